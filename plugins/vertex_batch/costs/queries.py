"""What people ask of the cost table, as SQLAlchemy Core selects and the plain data that they give."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Literal, get_args

from sqlalchemy import (  # noqa: TID253 - never imported by a DAG parse
    BigInteger,
    ColumnElement,
    Row,
    Select,
    func,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
)
from sqlalchemy.types import NullType  # noqa: TID253

from vertex_batch.costs.bill import JobFacts, RowCounts, Total
from vertex_batch.costs.schema import JOB_KEY, jobs, line_items, same_job
from vertex_batch.costs.types import usd

Grouping = Literal[
    "job",
    "spec",
    "day",
    "spec_day",
    "model_day",
    "team_day",
    "kind_day",
    "model",
    "kind",
    "team",
    "dag",
    "project",
    "location",
    "state",
]
UNKNOWN_SAVED = Total(Decimal(0), complete=False)
JobKey = tuple[str, str, str]
JobOrder = Literal["day", "cost", "failed", "spec", "state"]
_OF_LINE_ITEMS = ("model", "model_day", "kind", "kind_day")
_KEPT = ("amount_picousd", "unpriced_line_items", "tokens", "saved_picousd", "saved_unknown_line_items")
_AMOUNTS = ("amount_picousd", "standard_amount_picousd")
_ROWS = ("rows_ok", "rows_failed", "rows_unreadable", "rows_copied")
_EXACT = ("spec", "team", "dag_id", "run_id", "model", "state", "project")
_SEARCHED = ("spec", "team", "dag_id", "run_id", "model", "state", "job_id", "display_name", "note")
_GROUPS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "job": tuple(jobs.c[name] for name in JOB_KEY),
    "spec_day": (jobs.c.spec, jobs.c.day),
    "model_day": (line_items.c.model, jobs.c.day),
    "team_day": (jobs.c.team, jobs.c.day),
    "kind_day": (line_items.c.kind, jobs.c.day),
    "model": (line_items.c.model,),
    "kind": (line_items.c.kind,),
    "dag": (jobs.c.dag_id,),
    **{name: (jobs.c[name],) for name in ("spec", "day", "team", "project", "location", "state")},
}
_ORDERS: dict[str, ColumnElement[Any]] = {
    "day": jobs.c.day,
    "cost": jobs.c.amount_picousd,
    "failed": jobs.c.rows_failed + jobs.c.rows_unreadable,
    "spec": jobs.c.spec,
    "state": jobs.c.state,
}


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs; what is empty does not restrict.

    :param since: first day, inclusive. :param until: last day, inclusive.
    :param model: jobs created with this model, as the job names it.
    :param dag_ids: jobs of these DAGs only; None: of all, empty: of none.
    :param job_ids: jobs with these ids only; None: all, empty: none.
    :param only: jobs of these specs, or of these teams. :param but: of all others.
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
    only: tuple[Literal["spec", "team"], frozenset[str]] | None = None
    but: tuple[Literal["spec", "team"], frozenset[str]] | None = None
    job_ids: frozenset[str] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as SQL; values are bound, never spelled out."""
        found = [jobs.c[name] == getattr(self, name) for name in _EXACT if getattr(self, name)]
        if self.dag_ids is not None:
            found.append(jobs.c.dag_id.in_(sorted(self.dag_ids)))
        if self.job_ids is not None:
            found.append(jobs.c.job_id.in_(sorted(self.job_ids)))
        if self.only:
            found.append(jobs.c[self.only[0]].in_(sorted(self.only[1])))
        if self.but:
            found.append(jobs.c[self.but[0]].not_in(sorted(self.but[1])))
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
    :param saved: what it would have cost more without batch, see `Bill.saved`.
    :param rows: of all its jobs; None by model and by kind, since a row is of several.
    """

    group: tuple[Any, ...]
    total: Total
    jobs: int
    tokens: int
    first_day: date
    last_day: date
    saved: Total = UNKNOWN_SAVED
    rows: RowCounts | None = None

    @property
    def per_thousand_rows(self) -> Total | None:
        """What a thousand answered rows cost."""
        return self.total.per_thousand(self.rows.ok) if self.rows else None


@dataclass(frozen=True, slots=True)
class JobCost:
    """A job and what it cost, without its line items."""

    job: JobFacts
    rows: RowCounts
    total: Total
    tokens: int
    flags: tuple[str, ...]
    saved: Total = UNKNOWN_SAVED

    @property
    def per_thousand_rows(self) -> Total | None:
        """What a thousand answered rows cost."""
        return self.total.per_thousand(self.rows.ok)


def select_totals(by: Grouping, where: JobFilter) -> Select[Any]:
    """Amounts by group. A job without line items counts, with an amount of 0.

    What does not look into jobs is added up from the sums that are kept with each.
    """
    if by not in get_args(Grouping):
        raise ValueError(f"totals by {by!r} are not known; use one of {', '.join(get_args(Grouping))}")
    group = _GROUPS[by]
    days = func.min(jobs.c.day), func.max(jobs.c.day)
    if by in _OF_LINE_ITEMS:
        key = func.count(func.distinct(jobs.c.project + "/" + jobs.c.location + "/" + jobs.c.job_id))
        no_rows = (literal(0) for _ in _ROWS)
        asked = select(*group, *_sums_of_line_items(), key, *days, *no_rows).join_from(
            jobs, line_items, same_job(line_items, jobs)
        )
    else:
        kept = (_sum(jobs.c[name]) for name in _KEPT)
        asked = select(*group, *kept, func.count(), *days, *(_sum(jobs.c[name]) for name in _ROWS))
    return asked.where(*where.conditions()).group_by(*group).order_by(*group)


def select_jobs(
    where: JobFilter, limit: int, offset: int = 0, sort: JobOrder = "day", *, ascending: bool = False
) -> Select[Any]:
    """Jobs with their amounts; what is equal by the order is sorted the latest first."""
    first = _ORDERS[sort]
    return (
        select(jobs)
        .where(*where.conditions())
        .order_by(
            first.asc() if ascending else first.desc(),
            jobs.c.day.desc(),
            jobs.c.recorded_at.desc(),
            *(jobs.c[name] for name in JOB_KEY),
        )
        .limit(limit)
        .offset(offset)
    )


def select_recorded(keys: Collection[JobKey]) -> Select[Any]:
    """Those of the keys that have a bill."""
    key = tuple_(*(jobs.c[name] for name in JOB_KEY))
    return select(*(jobs.c[name] for name in JOB_KEY)).where(key.in_(list(keys)))


def select_dag_ids() -> Select[Any]:
    """All DAGs that have submitted jobs: one look into the index for each DAG, and not one for each job."""
    first = select(func.min(jobs.c.dag_id).label("dag_id")).cte("found", recursive=True)
    later = select(func.min(jobs.c.dag_id)).where(jobs.c.dag_id > first.c.dag_id).scalar_subquery()
    found = first.union_all(select(later).where(first.c.dag_id.is_not(None)))
    return select(found.c.dag_id).where(found.c.dag_id.is_not(None))


def read_total(row: Row[Any], by: Grouping) -> GroupTotal:
    width = len(_GROUPS[by])
    amount, unpriced, tokens, saved, unknown, count, first, last, *rows = row[width:]
    return GroupTotal(
        tuple(row[:width]),
        total_of(amount, unpriced),
        count,
        int(tokens or 0),
        first,
        last,
        total_of(saved, unknown),
        None if by in _OF_LINE_ITEMS else RowCounts(*(int(n) for n in rows)),
    )


def read_job_cost(row: Row[Any]) -> JobCost:
    return JobCost(
        job=read_facts(row),
        rows=read_rows(row),
        total=Total(row.amount_picousd, complete=not row.unpriced_line_items),
        tokens=row.tokens,
        flags=tuple(row.flags),
        saved=Total(row.saved_picousd, complete=not row.saved_unknown_line_items),
    )


def read_facts(row: Row[Any]) -> JobFacts:
    values = {f.name: row._mapping[f.name] for f in fields(JobFacts)}  # noqa: SLF001 - SQLAlchemy's public name
    return JobFacts(**{**values, "input_uris": tuple(values["input_uris"])})


def read_rows(row: Row[Any]) -> RowCounts:
    return RowCounts(row.rows_ok, row.rows_failed, row.rows_unreadable, row.rows_copied, row.rows_input)


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # The sum is taken of the integers, which is exact; PostgreSQL widens it to NUMERIC. It is read as the
    # driver gives it: SQLAlchemy's own Numeric would take SQLite's integers through a float.
    return func.sum(column, type_=NullType())


def _sums_of_line_items() -> tuple[ColumnElement[Any], ...]:
    amount, unsaved = (type_coerce(line_items.c[name], BigInteger) for name in _AMOUNTS)
    saved = unsaved - amount
    tokens = _sum(line_items.c.tokens).filter(line_items.c.unit == "token")
    unpriced, unknown = func.count() - func.count(amount), func.count() - func.count(saved)
    return _sum(amount), unpriced, tokens, _sum(saved), unknown


def total_of(pico: int | Decimal | None, unpriced: int | Decimal | None) -> Total:
    """Read a sum of picodollars, and how many of its parts have no price."""
    return Total(usd(pico or 0), complete=not unpriced)
