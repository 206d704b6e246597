"""Ordered migrations, applied in one transaction by one process at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

from sqlalchemy import Connection, inspect, text  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs.database import Database
from vertex_batch.costs.errors import CostTableNewerError

_LOCK = 7_302_117_564_091_846  # an arbitrary number for our PostgreSQL advisory lock
_VERSIONS = "cost_schema_version"
_REPLACED_VIEW = re.compile(r"^CREATE OR REPLACE VIEW (\w+) AS", re.MULTILINE)
_MOMENT = "COALESCE(j.create_time, j.recorded_at)"
# The names in the migration that uses them, which must not change with the schema.
_SUMS = ("amount_picousd", "unpriced_line_items", "tokens", "saved_picousd", "saved_unknown_line_items")
# Written `{name: argument, argument}`. Moments in SQLite are ISO 8601 text with six digits after the second.
_CALLS = {  # SQLite, PostgreSQL
    "usd": ("printf('%d.%012d', {0} / 1000000000000, {0} % 1000000000000)", "{0} * 0.000000000001"),
    "price": (
        "printf('%d.%012d', {0} * {1} / 1000000000000, {0} * {1} % 1000000000000)",
        "CAST({0} AS NUMERIC) * {1} * 0.000000000001",
    ),
    "quantity": (
        "printf('%d.%06d', {0} / {1}, {0} % {1} * (1000000 / {1}))",
        "ROUND(CAST({0} AS NUMERIC) / {1}, 6)",
    ),
    "second": ("substr({0}, 1, 19) || 'Z'", "date_trunc('second', {0})"),
    "next_second": (
        "strftime('%Y-%m-%dT%H:%M:%SZ', substr({0}, 1, 19), '+1 second')",
        "date_trunc('second', {0}) + INTERVAL '1 second'",
    ),
    "month_start": (
        "substr({0}, 1, 7) || '-01T00:00:00Z'",
        "date_trunc('month', {0} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
    ),
    "month_end": (
        "strftime('%Y-%m-%dT00:00:00Z', substr({0}, 1, 7) || '-01', '+1 month')",
        "(date_trunc('month', {0} AT TIME ZONE 'UTC') + INTERVAL '1 month') AT TIME ZONE 'UTC'",
    ),
    "json": ("json_quote({0})", "CAST(to_json({0}) AS TEXT)"),
}
_CALL = re.compile(r"\{(\w+): ([^{}]*)\}")
_BY_DIALECT = {  # SQLite, PostgreSQL
    "month_start": (
        f"strftime('%Y-%m-01T00:00:00Z', {_MOMENT})",
        f"date_trunc('month', {_MOMENT} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
    ),
    "month_end": (
        f"strftime('%Y-%m-01T00:00:00Z', {_MOMENT}, 'start of month', '+1 month')",
        f"(date_trunc('month', {_MOMENT} AT TIME ZONE 'UTC') + INTERVAL '1 month') AT TIME ZONE 'UTC'",
    ),
    # Make the primary key an index that covers all columns that are read.
    "clustered": (" WITHOUT ROWID", ""),
    "covering": ("", f" INCLUDE (spec, team, {', '.join(_SUMS)})"),
}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema. Never change one that has been released: add the next.

    All views are in the last step. Once released, a change of one of them gives its file the next number.

    :param file: its SQL; with ``{dialect}`` in its name, one file for each database.
    """

    version: int
    file: str

    def statements(self, *, is_sqlite: bool) -> list[str]:
        """The SQL statements of the step. Both databases use the same text, apart from a few words."""
        file = self.file.format(dialect="sqlite" if is_sqlite else "postgresql")
        sql = resources.files("vertex_batch.costs").joinpath("sql", file).read_text(encoding="utf-8")
        for name, (sqlite, postgresql) in _BY_DIALECT.items():
            sql = sql.replace(f"{{{name}}}", sqlite if is_sqlite else postgresql)
        sql = _CALL.sub(lambda call: _called(call[1], call[2], is_sqlite=is_sqlite), sql)
        if is_sqlite:  # it cannot replace a view; in PostgreSQL a replaced view keeps its permissions
            sql = _REPLACED_VIEW.sub(r"DROP VIEW IF EXISTS \1;\nCREATE VIEW \1 AS", sql)
        # Remove comments first: one may end in a semicolon, and psycopg2 refuses an empty statement.
        code = "".join(line for line in sql.splitlines(keepends=True) if not line.startswith("--"))
        return [statement.strip() for statement in code.split(";\n") if statement.strip()]


MIGRATIONS = (
    Migration(1, "0001_cost_table.sql"),
    Migration(3, "0003_price_history.sql"),
    Migration(4, "0004_saved.sql"),
    Migration(5, "0005_estimates.sql"),
    Migration(7, "0007_page_totals.sql"),
    Migration(8, "0008_job_sums.sql"),
    Migration(9, "0009_outcomes_and_units.sql"),
    Migration(11, "0011_price_days.{dialect}.sql"),
    Migration(13, "0013_deliveries.sql"),
    Migration(14, "0014_answer_limits.sql"),
    Migration(15, "0015_kept_deliveries.sql"),
    Migration(16, "0016_delivered_retries.sql"),
    Migration(17, "0017_delivery_addresses.sql"),
    Migration(18, "0018_views.sql"),
)
LATEST = MIGRATIONS[-1].version


def _called(name: str, arguments: str, *, is_sqlite: bool) -> str:
    """The SQL of a call, such as ``{usd: amount_picousd}``, in one dialect."""
    form = _CALLS[name][0 if is_sqlite else 1]
    return form.format(*arguments.split(", "))


def is_current(database: Database) -> bool:
    """Whether the schema matches this code; raise if it is newer."""
    with database.read() as connection:
        return _applied(database, connection) >= {migration.version for migration in MIGRATIONS}


def migrate(database: Database) -> None:
    """Upgrade the schema. Harmless if it is up to date, and if many processes do it at the same time."""
    with database.write() as connection:
        if not database.is_sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        applied = _applied(database, connection)
        if not applied:
            connection.execute(
                text(f"CREATE TABLE {_VERSIONS} (version INTEGER PRIMARY KEY, applied_at TEXT NOT NULL)")
            )
        for migration in MIGRATIONS:
            if migration.version not in applied:
                for statement in migration.statements(is_sqlite=database.is_sqlite):
                    connection.exec_driver_sql(statement)
                connection.execute(
                    text(f"INSERT INTO {_VERSIONS} VALUES (:version, CURRENT_TIMESTAMP)"),  # noqa: S608 - a constant
                    {"version": migration.version},
                )


def _applied(database: Database, connection: Connection) -> set[int]:
    if not inspect(connection).has_table(_VERSIONS):
        return set()
    versions = set(connection.execute(text(f"SELECT version FROM {_VERSIONS}")).scalars())  # noqa: S608
    newest = max(versions, default=0)
    if newest > LATEST:
        reason = f"its schema has version {newest}, newer than version {LATEST} of this code"
        raise CostTableNewerError(database.name, reason)
    return versions
