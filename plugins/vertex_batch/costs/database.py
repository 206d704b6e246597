"""Connect to the cost table's database, SQLite or PostgreSQL, with errors that a person can act on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from copy import copy
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.dialects import postgresql, sqlite  # noqa: TID253
from sqlalchemy.pool import NullPool  # noqa: TID253

from vertex_batch.costs.errors import CostTableError, CostTableSetupError, CostTableUnavailableError

BUSY_SECONDS = 30
CONNECT_SECONDS = 10
KEPT_SECONDS = 300
_WRITE = "vertex_batch_write"
_DRIVERS = ("psycopg", "psycopg2")
_BUSY = ("database is locked", "database table is locked", "disk i/o error")
_REFUSED = (
    "authentication failed",
    "does not exist",
    "no password supplied",
    "permission denied",
    "no pg_hba",
)


class Database:
    """Opens a connection for each transaction, so that it can be used in a process that forks.

    :param url: a SQLAlchemy URL, or Airflow's form of one: ``sqlite:////var/costs.db``, ``postgresql://...``.
    :param keeps_connections: keep connections to a server open, for a process with many queries that does not
        fork.
    """

    def __init__(self, url: str, *, keeps_connections: bool = False) -> None:
        parsed = _parse(url)
        self.name = parsed.render_as_string(hide_password=True)
        self._password = parsed.password or ""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._file = _file(parsed) if self.is_sqlite else None
        self._held: sa.Connection | None = None
        with self._translated():
            self._engine = _engine(parsed, is_sqlite=self.is_sqlite, keeps_connections=keeps_connections)

    def exists(self) -> bool:
        """Whether the database exists. Always True for a server, which is not contacted here."""
        return self._file is None or self._file.exists()

    def close(self) -> None:
        """Close the kept connections; the next transaction opens one again."""
        self._engine.dispose()

    @contextmanager
    def snapshot(self) -> Iterator[Database]:
        """The database as it is at one moment: whatever is read from it, is read in one transaction.

        Its errors are translated where something is read, and not those of the block.
        """
        with ExitStack() as stack:
            with self._translated():
                connection = stack.enter_context(self._engine.connect())
                if not self.is_sqlite:
                    connection.execution_options(isolation_level="REPEATABLE READ")
                stack.enter_context(connection.begin())
            same = copy(self)
            same._held = connection  # noqa: SLF001 - of its own copy
            yield same

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction for reading."""
        if self._held is not None:
            with self._translated():
                yield self._held
            return
        self._create_file()
        with self._translated(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction for writing; in SQLite it waits for the other writers before it begins."""
        self._create_file()
        with self._translated(), self._engine.connect() as connection:
            connection.execution_options(**{_WRITE: True})
            with connection.begin():
                yield connection

    def _create_file(self) -> None:
        """Create a SQLite file that only its owner can read, since costs are private."""
        if self._file is None or self._file.exists():
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self._file, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise CostTableSetupError(self.name, f"the file cannot be created: {error.strerror}") from error

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Translate database exceptions into the cost table's errors, without the password."""
        try:
            yield
        except CostTableError:
            raise
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            reason = f"the database driver is missing ({error}); install psycopg"
            raise CostTableSetupError(self.name, reason) from error
        except sa.exc.StatementError as error:
            raise self._error(error)(self.name, self._reason(error)) from None
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise CostTableSetupError(self.name, self._reason(error)) from None

    def _reason(self, error: Exception) -> str:
        cause = (getattr(error, "orig", None) or error) if isinstance(error, sa.exc.StatementError) else error
        text = " ".join(str(cause).split()) or type(cause).__name__
        return text.replace(self._password, "***") if self._password else text

    def _error(self, error: sa.exc.StatementError) -> type[CostTableError]:
        said = str(error.orig).lower()
        if not isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
            return CostTableSetupError
        transient = (
            any(word in said for word in _BUSY) if self.is_sqlite else not any(w in said for w in _REFUSED)
        )
        return CostTableUnavailableError if transient else CostTableSetupError


def upsert(
    connection: sa.Connection, table: sa.Table, row: Mapping[str, object], *, unless_equal_but: str = ""
) -> None:
    """Write a row, replacing the one with the same primary key.

    :param unless_equal_but: a column; if no other one has changed, the row stays as it is. Empty: it is
        always replaced.
    """
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)
    keys = [column.name for column in table.primary_key]
    changed = {name: insert.excluded[name] for name in row if name not in keys}
    compared = [name for name in changed if unless_equal_but and name != unless_equal_but]
    differs = (
        sa.or_(*(table.c[name].is_distinct_from(changed[name]) for name in compared)) if compared else None
    )
    statement = insert.on_conflict_do_update(index_elements=keys, set_=changed, where=differs)
    connection.execute(statement, dict(row))


def _parse(text: str) -> sa.URL:
    """Parse a URL. An invalid one is left out of the message, since it may contain a password."""
    try:
        url = sa.make_url(text)
    except (sa.exc.ArgumentError, ValueError):
        raise CostTableSetupError(
            "(unreadable URL)",
            "it is not a valid database URL; write sqlite:////path/costs.db or postgresql://user:pw@host/db",
        ) from None
    if url.drivername in ("postgres", "postgresql"):
        driver = next((name for name in _DRIVERS if find_spec(name)), "")
        url = url.set(drivername=f"postgresql+{driver}" if driver else "postgresql")
    if url.get_backend_name() not in ("sqlite", "postgresql"):
        raise CostTableSetupError(
            url.render_as_string(hide_password=True), "only SQLite and PostgreSQL are supported"
        )
    return url


def _file(url: sa.URL) -> Path | None:
    """The file of a SQLite URL; None for SQLite's own URI form."""
    database = url.database or ""
    if database in ("", ":memory:"):
        raise CostTableSetupError(
            str(url), "an in-memory database would lose the bills; write sqlite:////path/costs.db"
        )
    return None if database.startswith("file:") else Path(database)


def _engine(url: sa.URL, *, is_sqlite: bool, keeps_connections: bool) -> sa.Engine:
    options: dict[str, object] = (
        {"timeout": BUSY_SECONDS} if is_sqlite else {"connect_timeout": CONNECT_SECONDS}
    )
    if url.get_driver_name() == "psycopg":
        # A prepared statement gets one plan for all values, but a page may query a day or a year.
        options["prepare_threshold"] = None
    if keeps_connections and not is_sqlite:  # a server may have closed one, so each is tested before use
        return sa.create_engine(url, pool_pre_ping=True, pool_recycle=KEPT_SECONDS, connect_args=options)
    engine = sa.create_engine(url, poolclass=NullPool, connect_args=options)
    if is_sqlite:
        sa.event.listen(engine, "connect", _prepare_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    dbapi_connection.isolation_level = None  # _begin_sqlite begins the transactions
    cursor = dbapi_connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000}")
    cursor.execute("PRAGMA foreign_keys = ON")
    # The file keeps this setting. A file that is read-only or busy is used without it.
    with suppress(sqlite3.Error):
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    """Take a writer's lock at the beginning: two readers that become writers would deadlock."""
    writes = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
