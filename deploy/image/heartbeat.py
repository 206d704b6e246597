"""Exit with 0 if Airflow's process in this container has a fresh heartbeat: ``heartbeat.py TriggererJob``.

The same question as ``airflow jobs check --local``, without loading Airflow for it.
"""  # noqa: INP001 - a script of the image, not part of a package

import os
import socket
import sys
from contextlib import suppress

import psycopg2

URL = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
MAX_AGE_SECONDS = 60
ALIVE = """
    SELECT FROM job
    WHERE job_type = %s AND state = 'running' AND hostname = ANY(%s)
      AND latest_heartbeat > now() - make_interval(secs => %s)
"""


def host_names() -> list[str]:
    """Return the names under which Airflow may know this host: its own look-up takes the canonical name."""
    name = socket.gethostname()
    found = [name, socket.getfqdn()]
    with suppress(OSError):
        found += [entry[3] for entry in socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)]
    return found


def main(job_type: str) -> int:
    """Return the exit code.

    :param job_type: ``TriggererJob``, ``DagProcessorJob`` or ``SchedulerJob``.
    """
    # libpq reads what is behind the driver's name in SQLAlchemy's URL; SQLAlchemy itself takes long to load.
    connection = psycopg2.connect(f"postgresql://{os.environ[URL].partition('://')[2]}", connect_timeout=5)
    with connection, connection.cursor() as cursor:
        cursor.execute(ALIVE, (job_type, host_names(), MAX_AGE_SECONDS))
        alive = cursor.fetchone() is not None
    connection.close()
    if not alive:
        sys.stdout.write(f"no {job_type} on {socket.gethostname()} in the last {MAX_AGE_SECONDS} s\n")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
