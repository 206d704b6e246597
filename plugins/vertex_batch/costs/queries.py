"""The queries of the cost table, as SQLAlchemy Core selects, whose results are in `questions`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, get_args

from sqlalchemy import (  # noqa: TID253 - never imported by a DAG parse
    ColumnElement,
    FromClause,
    Row,
    Select,
    Table,
    and_,
    exists,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.types import NullType  # noqa: TID253

from vertex_batch.costs.bill import JobFacts, RowCounts, Total
from vertex_batch.costs.questions import Grouping, GroupTotal, JobCost, JobFilter, JobOrder
from vertex_batch.costs.schema import JOB_KEY, SUMS, USAGE_KEY, deliveries, job_sums, jobs, same_job, usage
from vertex_batch.costs.types import usd
from vertex_batch.vertex.names import JobId, JobName

_PARTS = {"model": "model", "model_day": "model", "kind": "kind", "kind_day": "kind"}
_ROWS = ("rows_ok", "rows_failed", "rows_unreadable", "rows_unrecognized", "rows_copied")
_EXACT = ("spec", "team", "dag_id", "run_id", "model", "state", "project")
SEARCHED = ("spec", "team", "dag_id", "run_id", "model", "state", "job_id", "display_name", "note")
"""The fields that a search covers; they are stored together in one column, in lower case."""
SEARCHED_CHARS = 500
"""The length of that column: a row of an index must fit into a third of PostgreSQL's page."""
_GROUPS: dict[str, tuple[ColumnElement[Any], ...]] = {
    "job": tuple(jobs.c[name] for name in JOB_KEY),
    "spec_day": (jobs.c.spec, jobs.c.day),
    "model_day": (job_sums.c.name, job_sums.c.day),
    "team_day": (jobs.c.team, jobs.c.day),
    "kind_day": (job_sums.c.name, job_sums.c.day),
    "model": (job_sums.c.name,),
    "kind": (job_sums.c.name,),
    "dag": (jobs.c.dag_id,),
    **{name: (jobs.c[name],) for name in ("spec", "day", "team", "project", "location", "state")},
}
_ORDERS: dict[str, ColumnElement[Any]] = {
    "day": jobs.c.day,
    "cost": jobs.c.amount_picousd,
    "failed": jobs.c.rows_failed + jobs.c.rows_unreadable + jobs.c.rows_unrecognized,
    "spec": jobs.c.spec,
    "state": jobs.c.state,
}


def conditions(where: JobFilter, of: Table = jobs) -> list[ColumnElement[bool]]:
    """A filter as SQL conditions with bound values.

    :param of: the table of jobs, or another one with the needed columns.
    """
    found = [of.c[name] == getattr(where, name) for name in _EXACT if getattr(where, name)]
    if where.dag_ids is not None:
        of_dags = of.c.dag_id.in_(sorted(where.dag_ids))
        of_specs = and_(of.c.dag_id == "", of.c.spec.in_(sorted(where.specs_without_dag)))
        found.append(or_(of_dags, of_specs) if where.specs_without_dag else of_dags)
    if where.job_ids is not None:
        found.append(of.c.job_id.in_(sorted(where.job_ids)))
    if where.named is not None:
        found.append(or_(false(), *(_is_named(of, name) for name in sorted(where.named, key=str))))
    if where.only:
        found.append(of.c[where.only[0]].in_(sorted(where.only[1])))
    if where.but:
        found.append(of.c[where.but[0]].not_in(sorted(where.but[1])))
    if where.text:
        found.append(of.c.searched.contains(where.text.lower(), autoescape=True))
    if where.since:
        found.append(of.c.day >= where.since)
    if where.until:
        found.append(of.c.day <= where.until)
    return found


def _asks_the_job(where: JobFilter) -> bool:
    """Whether it needs columns that are not stored with the sums of a job's parts."""
    return bool(where.text) or any(getattr(where, name) for name in _EXACT if name not in job_sums.c)


def select_totals(by: Grouping, where: JobFilter) -> Select[Any]:
    """Select amounts by group. A job without line items counts, with an amount of 0.

    They are added up from the sums that are stored for each job, and for each model and kind in it.
    """
    if by not in get_args(Grouping):
        raise ValueError(f"unknown grouping {by!r}; use one of {', '.join(get_args(Grouping))}")
    group, part = _GROUPS[by], _PARTS.get(by)
    of = jobs if part is None else job_sums
    rows = (literal(0) for _ in _ROWS) if part else (_sum(jobs.c[name]) for name in _ROWS)
    kept = (_sum(of.c[name]) for name in SUMS)
    asked = select(*group, *kept, func.count(), func.min(of.c.day), func.max(of.c.day), *rows)
    if part:
        asked = asked.where(job_sums.c.part == part)
        if _asks_the_job(where):
            asked, of = asked.join_from(job_sums, jobs, same_job(job_sums, jobs)), jobs
    return asked.where(*conditions(where, of)).group_by(*group).order_by(*group)


def select_jobs(
    where: JobFilter, limit: int, offset: int = 0, sort: JobOrder = "day", *, ascending: bool = False
) -> Select[Any]:
    """Select jobs with their amounts; jobs that are equal in the order are sorted with the latest first."""
    first = _ORDERS[sort]
    return (
        select(jobs)
        .where(*conditions(where))
        .order_by(
            first.asc() if ascending else first.desc(),
            jobs.c.day.desc(),
            jobs.c.recorded_at.desc(),
            *(jobs.c[name] for name in JOB_KEY),
        )
        .limit(limit)
        .offset(offset)
    )


def select_recorded(keys: Collection[JobId]) -> Select[Any]:
    """Select those of the keys that have a bill."""
    key = tuple_(*(jobs.c[name] for name in JOB_KEY))
    return select(*(jobs.c[name] for name in JOB_KEY)).where(key.in_(list(keys)))


def select_dag_ids() -> Select[Any]:
    """Select all DAGs that have submitted jobs, with one index lookup per DAG instead of one per job."""
    first = select(func.min(jobs.c.dag_id).label("dag_id")).cte("found", recursive=True)
    later = select(func.min(jobs.c.dag_id)).where(jobs.c.dag_id > first.c.dag_id).scalar_subquery()
    found = first.union_all(select(later).where(first.c.dag_id.is_not(None)))
    return select(found.c.dag_id).where(found.c.dag_id.is_not(None))


def select_specs_without_dag() -> Select[Any]:
    """Select the specs of jobs that have no DAG."""
    return select(jobs.c.spec).where(jobs.c.dag_id == "").distinct()


def select_count(where: JobFilter) -> Select[Any]:
    """Select the number of jobs."""
    return select(func.count()).select_from(jobs).where(*conditions(where))


def select_first_day(where: JobFilter) -> Select[Any]:
    """Select the first day with a job, whatever the days of the filter."""
    return (
        select(jobs.c.day)
        .where(*conditions(replace(where, since=None, until=None)))
        .order_by(jobs.c.day)
        .limit(1)
    )


def select_failed_reasons(where: JobFilter, limit: int) -> Select[Any]:
    """Select the failed rows by reason of the latest jobs that have some."""
    return (
        select(jobs.c.failed_reasons)
        .where(*conditions(where), jobs.c.rows_failed > 0)
        .order_by(jobs.c.day.desc())
        .limit(limit)
    )


def select_usage(where: JobFilter, models: Collection[str] | None = None) -> Select[Any]:
    """Select tokens by location and usage key, of some models or of all."""
    key = [usage.c.location, *(usage.c[name] for name in USAGE_KEY)]
    asked = select(*key, _sum(usage.c.tokens).label("tokens")).join_from(usage, jobs, same_job(usage, jobs))
    if models is not None:
        asked = asked.where(usage.c.model.in_(sorted(models)))
    return asked.where(*conditions(where)).group_by(*key).order_by(*key)


def select_deliveries(where: JobFilter) -> Select[Any]:
    """Select deliveries, each with the latest run that delivered to the same file after it."""
    later = deliveries.alias("later")
    runs = select(later.c.run_id).where(*_replaces(later)).order_by(later.c.delivered_at.desc()).limit(1)
    replaced_by = func.coalesce(runs.scalar_subquery(), "").label("replaced_by")
    order = (deliveries.c[name] for name in ("dag_id", "run_id", "task_id", "map_index"))
    return select(deliveries, replaced_by).where(*conditions(where, deliveries)).order_by(*order)


def select_last_delivery(where: JobFilter) -> Select[Any]:
    """Select when the latest delivery was made."""
    return select(func.max(deliveries.c.delivered_at)).where(*conditions(where, deliveries))


def select_delivery_sums(where: JobFilter, after: datetime) -> Select[Any]:
    """Select the number of deliveries and the sums of their rows, without those that were replaced."""
    later = deliveries.alias("later")
    sums = (_sum(deliveries.c[name]) for name in ("input_rows", "delivered", "exceptions"))
    return select(func.count(), *sums).where(
        *conditions(where, deliveries),
        deliveries.c.delivered_at > after,
        ~exists().where(*_replaces(later)),
    )


def _replaces(later: FromClause) -> list[ColumnElement[bool]]:
    """Whether a delivery has replaced the file of another one of the same DAG."""
    same = (later.c[name] == deliveries.c[name] for name in ("dag_id", "answers_uri"))
    return [*same, later.c.delivered_at > deliveries.c.delivered_at]


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
        None if by in _PARTS else RowCounts(*(int(n) for n in rows)),
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
    return RowCounts(
        row.rows_ok,
        row.rows_failed,
        row.rows_unreadable,
        row.rows_unrecognized,
        row.rows_copied,
        row.rows_input,
    )


def _is_named(of: Table, name: JobName) -> ColumnElement[bool]:
    parts = {"job_id": name.job_id, "project": name.project, "location": name.location}
    return and_(*(of.c[column] == value for column, value in parts.items() if value is not None))


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    # The sum of integers is exact; PostgreSQL widens it to NUMERIC. It is used as the driver returns it:
    # SQLAlchemy's Numeric would convert SQLite's integers through a float.
    return func.sum(column, type_=NullType())


def total_of(pico: int | Decimal | None, unpriced: int | Decimal | None) -> Total:
    """Make a total from a sum of picodollars and the number of its parts without a price."""
    return Total(usd(pico or 0), complete=not unpriced)
