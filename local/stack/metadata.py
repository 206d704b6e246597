"""Airflow's metadata: a PostgreSQL server for each stack, with a copy of a schema that was migrated once."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from local.stack.paths import MAIN_BIN, STATE
from local.stack.postgres import copy_data, postgres_service, running, server_version, start_postgres
from local.stack.processes import Service, StackError, inherited

NAME = "airflow"


def metadata_service(folder: Path, port: int, say: Callable[[str], None]) -> Service:
    """Describe the server of a stack; its data are put into the folder unless they are there."""
    if not (folder / "data").exists():
        copy_data(migrated_data(f"{NAME}-{version('apache-airflow')}", _migrate, say), folder)
    return postgres_service(folder, port)


def metadata_url(folder: Path, port: int) -> str:
    """Return Airflow's URL of the database, once `metadata_service` has prepared the folder."""
    return _airflow_url(running(folder, port).url(NAME))


def migrated_data(name: str, migrate: Callable[[Path], None], say: Callable[[str], None]) -> Path:
    """Return the data of a server with an empty, migrated database.

    Making one takes a dozen seconds, so it is kept. Of stacks that start at once, one makes it.

    :param name: of the schema, with its version.
    :param migrate: makes the data in the given folder.
    """
    cache = STATE / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"{name}-postgres-{server_version()}"
    with (cache / "metadata.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            say(f"creating the tables of Airflow's database ({name}); later starts copy them")
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                Path(folder).chmod(0o755)  # the server may run as another user
                migrate(Path(folder) / "server")
                (Path(folder) / "server").replace(kept)
    return kept


def _migrate(server_folder: Path) -> None:
    home, log = server_folder.parent / "home", server_folder.parent / "migrate.log"
    with start_postgres(server_folder) as server, log.open("wb") as output:
        settings = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _airflow_url(server.create_database(NAME)),
        }
        done = subprocess.run(
            [MAIN_BIN / "airflow", "db", "migrate"],
            env={**inherited(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        shutil.copy(log, STATE / "cache" / log.name)  # its folder goes away
        raise StackError(
            "database migration", f"ended with status {done.returncode}", STATE / "cache" / log.name
        )


def _airflow_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg2://")
