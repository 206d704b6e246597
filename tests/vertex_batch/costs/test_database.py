"""Databases that cannot serve: who, what, and never the password."""

from __future__ import annotations

import pickle
import sqlite3
import stat
import sys
import traceback

import pytest
from sqlalchemy import text

from vertex_batch.costs import (
    CostTable,
    CostTableError,
    CostTableNewerError,
    CostTableSetupError,
    CostTableUnavailableError,
)
from vertex_batch.costs.database import _parse
from vertex_batch.errors import PermanentError, TransientError

PASSWORD = "s3cr3t-p@ss"
ENCODED = "s3cr3t-p%40ss"


def refused(url, do="migrate") -> CostTableError:
    with pytest.raises(CostTableError) as caught:
        getattr(CostTable(url), do)()
    shown = "".join(traceback.format_exception(caught.value))
    assert PASSWORD not in shown
    assert ENCODED not in shown
    return caught.value


def test_a_server_that_does_not_answer_is_worth_a_retry():
    error = refused(f"postgresql://airflow:{ENCODED}@127.0.0.1:1/costs")
    assert isinstance(error, CostTableUnavailableError)
    assert isinstance(error, TransientError)
    assert "127.0.0.1" in str(error)


def test_a_wrong_password_and_a_missing_database_are_not(postgres):
    right = postgres.url("missing")
    for url in (right, right.replace(postgres.password, ENCODED)):
        error = refused(url)
        assert isinstance(error, CostTableSetupError)
        assert isinstance(error, PermanentError)
        assert "Cost table postgresql" in str(error)


def test_a_connection_that_is_kept_and_that_the_server_closed_is_replaced(postgres, bill):
    table = CostTable(postgres.create_database("kept"), keeps_connections=True)
    table.record(bill("1"))

    def backend() -> int:
        with table.reading() as connection:
            return connection.execute(text("SELECT pg_backend_pid()")).scalar_one()

    first = backend()
    assert backend() == first
    with CostTable(postgres.create_database("other")).reading() as connection:
        connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": first})
    assert backend() != first
    assert len(table.jobs()) == 1
    table.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "sqlite://",
        "sqlite:///:memory:",
        f"postgresql://airflow:{ENCODED}@host:port/x",
        f"mysql://u:{ENCODED}@h/x",
    ],
)
def test_a_url_that_is_none_of_ours_is_named_without_its_password(url):
    assert isinstance(refused(url), CostTableSetupError)


def test_a_missing_driver_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    error = refused(f"postgresql+psycopg://airflow:{ENCODED}@127.0.0.1:1/costs")
    assert "driver is missing" in str(error)
    assert "install" in str(error)


def test_airflow_writes_the_scheme_in_its_own_way():
    assert _parse("postgres://u:p@h/d").get_backend_name() == "postgresql"


def test_a_schema_newer_than_the_code_is_left_alone(database_url, table, bill):
    table.record(bill())
    from sqlalchemy import create_engine, text

    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO cost_schema_version VALUES (99, 'later')"))
    engine.dispose()
    for do in ("jobs", "migrate"):
        error = refused(database_url, do)
        # Transient: in a rolling upgrade, a retry may run on a worker with the newer package.
        assert isinstance(error, CostTableNewerError)
        assert isinstance(error, TransientError)
        assert "version 99" in str(error)
        assert "Upgrade the package" in str(error)


def test_a_new_sqlite_file_is_the_owners_alone_and_in_wal_mode(tmp_path, bill):
    path = tmp_path / "new" / "costs.db"
    CostTable(f"sqlite:///{path}").record(bill())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_looking_first_also_creates_the_file_for_its_owner_alone(tmp_path):
    path = tmp_path / "costs.db"
    assert CostTable(f"sqlite:///{path}").jobs() == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path):
    path = tmp_path / "costs.db"
    path.write_text("these are not the bytes of a database" * 100)
    assert "not a database" in str(refused(f"sqlite:///{path}"))


def test_a_directory_in_its_place_is_a_setup_error(tmp_path):
    assert isinstance(refused(f"sqlite:///{tmp_path}"), CostTableSetupError)


def test_a_file_that_may_only_be_read_can_be_read_but_not_written(tmp_path, bill):
    path = tmp_path / "costs.db"
    CostTable(f"sqlite:///{path}").record(bill())
    read_only = CostTable(f"sqlite:///file:{path}?mode=ro&uri=true")
    assert len(read_only.jobs()) == 1
    with pytest.raises(CostTableSetupError, match="readonly"):
        read_only.record(bill())


def test_a_busy_file_is_worth_a_retry(tmp_path, bill, monkeypatch):
    monkeypatch.setattr("vertex_batch.costs.database.BUSY_SECONDS", 0.05)
    url = f"sqlite:///{tmp_path}/costs.db"
    table = CostTable(url)
    table.record(bill())
    holder = sqlite3.connect(tmp_path / "costs.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(CostTableUnavailableError, match="locked"):
        CostTable(url).record(bill())
    holder.close()


def test_the_errors_pickle_with_their_arguments():
    error = CostTableUnavailableError("sqlite:///x", "busy")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.database, again.reason, str(again)) == (
        CostTableUnavailableError,
        "sqlite:///x",
        "busy",
        str(error),
    )
