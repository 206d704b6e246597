"""The cost table in the columns of FOCUS: the selects, and the form of each value in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs.csv_text import harmless
from vertex_batch.costs.queries import conditions
from vertex_batch.costs.questions import FocusVersion, JobFilter
from vertex_batch.costs.schema import JOB_KEY, jobs

_KEY = ("BillingAccountId", "RegionId", "x_JobId")
# How the names of columns end that hold moments, and decimals.
_MOMENTS = ("PeriodStart", "PeriodEnd", "LogicalDate")
_DECIMALS = ("Cost", "UnitPrice", "Quantity")
_FLAGS = frozenset({"x_IsComplete"})
_NAMES = frozenset(
    {
        "BillingAccountId",
        "RegionId",
        "RegionName",
        "ResourceName",
        "SkuId",
        "SkuPriceId",
        "SubAccountId",
        "SubAccountName",
        "x_Model",
        "x_PriceSource",
        "x_JobId",
        "x_JobState",
        "x_Spec",
        "x_Team",
        "x_DagId",
        "x_RunId",
        "x_TaskId",
    }
)
"""Columns that begin with text from outside; the others begin with words of the view or are closed sets."""
_ROWS_AT_ONCE = 2000
# PostgreSQL formats moments and decimals faster than Python, and its text is the same as SQLite's.
_UTC_FORMAT = 'YYYY-MM-DD"T"HH24:MI:SS"Z"'


def read_focus(
    connection: sa.Connection, where: JobFilter, version: FocusVersion
) -> Iterator[Sequence[str | int | None]]:
    """Read charges as they are written to a file: first the names of the columns, then each row.

    Both databases give the same rows. Rows are fetched a few thousand at a time. Decimals are exact and
    without an exponent. Each has at least one decimal, so that no reader takes its column for integers. Names
    are harmless for a spreadsheet.
    """
    names = tuple(connection.execute(sa.text(f"SELECT * FROM {version.view} LIMIT 0")).keys())  # noqa: S608
    forms = [(place, form) for place, name in enumerate(names) if (form := _form(name))]
    asked = _select(names, where, version, is_sqlite=connection.dialect.name == "sqlite")
    found = connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(asked)
    yield names  # not before the database has accepted the query
    for rows in found.partitions():
        for row in rows:
            cells = list(row)
            for place, form in forms:
                cells[place] = form(cells[place])
            yield cells


def _select(
    names: Sequence[str], where: JobFilter, version: FocusVersion, *, is_sqlite: bool
) -> sa.Select[tuple[Any, ...]]:
    view = sa.table(version.view, *(sa.column(name) for name in names))
    columns = view.c if is_sqlite else [_as_text(view.c[name]) for name in names]
    asked = sa.select(*columns).select_from(view)
    chosen = conditions(where)
    if not chosen:
        return asked
    keys = sa.select(*(jobs.c[name] for name in JOB_KEY)).where(*chosen)
    return asked.where(sa.tuple_(*(view.c[name] for name in _KEY)).in_(keys))


def _as_text(of: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """In PostgreSQL: moments and decimals as text."""
    name = str(of.key)
    if name.endswith(_MOMENTS):
        return sa.func.to_char(sa.func.timezone("UTC", of), _UTC_FORMAT)
    return sa.cast(of, sa.Text) if name.endswith(_DECIMALS) else of


def _form(name: str) -> Callable[[Any], str | int | None] | None:
    """How the values of a column are written; None: as they are."""
    if name.endswith(_DECIMALS):
        return _decimal
    if name in _FLAGS:
        return _flag
    return _name if name in _NAMES else None


def _decimal(value: str) -> str:
    digits = value.rstrip("0")
    return f"{digits}0" if digits.endswith(".") else digits


def _name(value: str | None) -> str | None:
    return harmless(value) if value else value


def _flag(value: bool | int) -> str:
    return "true" if value else "false"
