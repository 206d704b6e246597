"""What people ask of the cost table, as SQLAlchemy Core selects and the plain data that they give."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

from sqlalchemy import (  # noqa: TID253 - never imported by a DAG parse
    ColumnElement,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
)
from sqlalchemy.types import NullType  # noqa: TID253

from vertex_batch.costs.bill import JobFacts, RowCounts, Total
from vertex_batch.costs.schema import jobs, line_items
from vertex_batch.costs.types import usd

Grouping = Literal[
    "job",
    "spec",
    "day",
    "spec_day",
    "model_day",
    "team_day",
    "model",
    "team",
    "dag",
    "project",
    "location",
    "state",
]
_JOB_KEY = ("project", "location", "job_id")
_EXACT = ("spec", "team", "dag_id", "run_id", "model", "state", "project")
_SEARCHED = ("spec", "team", "dag_id", "run_id", "model", "state", "job_id", "display_name", "note")
_GROUPS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "job": tuple(jobs.c[name] for name in _JOB_KEY),
    "spec_day": (jobs.c.spec, jobs.c.day),
    "model_day": (line_items.c.model, jobs.c.day),
    "team_day": (jobs.c.team, jobs.c.day),
    "model": (line_items.c.model,),
    "dag": (jobs.c.dag_id,),
    **{name: (jobs.c[name],) for name in ("spec", "day", "team", "project", "location", "state")},
}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; what is empty does not restrict.

    :param since: first day, inclusive. :param until: last day, inclusive.
    :param model: jobs created with this model, as the job names it.
    :param dag_ids: jobs of these DAGs only; None: of all, empty: of none.
    :param text: jobs with this in a name of theirs, in whatever case.
    """

    spec: str = ""
    team: str = ""
    dag_id: str = ""
    run_id: str = ""
    model: str = ""
    state: str = ""
    project: str = ""
    since: date | None = None
    until: date | None = None
    dag_ids: frozenset[str] | None = None
    text: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL; values are bound, never spelled out."""
        found = [jobs.c[name] == getattr(self, name) for name in _EXACT if getattr(self, name)]
        if self.dag_ids is not None:
            found.append(jobs.c.dag_id.in_(sorted(self.dag_ids)))
        if self.text:
            found.append(or_(*(jobs.c[name].icontains(self.text, autoescape=True) for name in _SEARCHED)))
        if self.since:
            found.append(jobs.c.day >= self.since)
        if self.until:
            found.append(jobs.c.day <= self.until)
        return found


@dataclass(frozen=True, slots=True)
class GroupTotal:
    """The cost of a group of jobs.

    :param group: the values that the group has in common, such as ``("nightly", date(2026, 11, 22))``.
    """

    group: tuple[Any, ...]
    total: Total
    jobs: int
    tokens: int
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class JobCost:
    """A job and what it cost, without its line items."""

    job: JobFacts
    rows: RowCounts
    total: Total
    tokens: int
    flags: tuple[str, ...]


def select_totals(by: Grouping, where: JobFilter) -> Select[Any]:
    """Amounts by group. A job without line items counts, with an amount of 0."""
    if by not in get_args(Grouping):
        raise ValueError(f"totals by {by!r} are not known; use one of {', '.join(get_args(Grouping))}")
    group = _GROUPS[by]
    key = func.count(func.distinct(jobs.c.project + "/" + jobs.c.location + "/" + jobs.c.job_id))
    joined = jobs.join(line_items, _same_job(), isouter=not by.startswith("model"))
    return (
        select(*group, *_sums(), key, func.min(jobs.c.day), func.max(jobs.c.day))
        .select_from(joined)
        .where(*where.conditions())
        .group_by(*group)
        .order_by(*group)
    )


def select_jobs(where: JobFilter, limit: int, offset: int = 0) -> Select[Any]:
    """Jobs with their amounts, the latest first."""
    sums = select(
        *(line_items.c[name] for name in _JOB_KEY),
        *(column.label(name) for name, column in zip(("amount", "unpriced", "tokens"), _sums(), strict=True)),
    ).group_by(*(line_items.c[name] for name in _JOB_KEY))
    t = sums.subquery()
    same = and_(*(t.c[name] == jobs.c[name] for name in _JOB_KEY))
    return (
        select(jobs, t.c.amount, t.c.unpriced, t.c.tokens.label("tokens"))
        .select_from(jobs.join(t, same, isouter=True))
        .where(*where.conditions())
        .order_by(jobs.c.day.desc(), jobs.c.recorded_at.desc(), *(jobs.c[name] for name in _JOB_KEY))
        .limit(limit)
        .offset(offset)
    )


def read_total(row: Row[Any], by: Grouping) -> GroupTotal:
    width = len(_GROUPS[by])
    amount, unpriced, tokens, count, first, last = row[width:]
    return GroupTotal(tuple(row[:width]), _total(amount, unpriced), count, int(tokens or 0), first, last)


def read_job_cost(row: Row[Any]) -> JobCost:
    return JobCost(
        job=read_facts(row),
        rows=read_rows(row),
        total=_total(row.amount, row.unpriced),
        tokens=int(row.tokens or 0),
        flags=tuple(row.flags),
    )


def read_facts(row: Row[Any]) -> JobFacts:
    values = {f.name: row._mapping[f.name] for f in fields(JobFacts)}  # noqa: SLF001 - SQLAlchemy's public name
    return JobFacts(**{**values, "input_uris": tuple(values["input_uris"])})


def read_rows(row: Row[Any]) -> RowCounts:
    return RowCounts(row.rows_ok, row.rows_failed, row.rows_unreadable, row.rows_copied, row.rows_input)


def _sums() -> tuple[ColumnElement[Any], ...]:
    # The sum is taken of the integers, which is exact; PostgreSQL widens it to NUMERIC. It is read as the
    # driver gives it: SQLAlchemy's own Numeric would take SQLite's integers through a float.
    pico = func.sum(line_items.c.amount_picousd, type_=NullType())
    unpriced = func.count(line_items.c.kind) - func.count(line_items.c.amount_picousd)
    tokens = func.sum(line_items.c.tokens).filter(line_items.c.unit == "token")
    return pico, unpriced, tokens


def _same_job() -> ColumnElement[bool]:
    return and_(*(line_items.c[name] == jobs.c[name] for name in _JOB_KEY))


def _total(pico: int | Decimal | None, unpriced: int | None) -> Total:
    return Total(usd(pico or 0), complete=not unpriced)
