"""What the queries of the cost table share: filters, groups and orders, as SQLAlchemy Core expressions."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any, get_args

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.types import NullType  # noqa: TID253

from vertex_batch.costs.bill import RowCounts
from vertex_batch.costs.columns import one_of
from vertex_batch.costs.questions import Grouping, GroupTotal, JobFilter, JobOrder
from vertex_batch.costs.rows import total_of
from vertex_batch.costs.schema import JOB_KEY, SUMS, job_sums, jobs, same_job
from vertex_batch.vertex.names import JobName
from vertex_batch.vertex.resource import STATES_WITHOUT_RESULTS

_PARTS = {"model": "model", "model_day": "model", "kind": "kind", "kind_day": "kind"}
_ROWS = ("rows_ok", "rows_failed", "rows_unreadable", "rows_unrecognized", "rows_copied")
_EXACT = ("spec", "team", "dag_id", "run_id", "model", "state", "project")
_GROUPS: dict[str, tuple[sa.ColumnElement[Any], ...]] = {
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
_ORDERS: dict[str, sa.ColumnElement[Any]] = {
    "day": jobs.c.day,
    "cost": jobs.c.amount_picousd,
    "failed": jobs.c.rows_failed + jobs.c.rows_unreadable + jobs.c.rows_unrecognized,
    "spec": jobs.c.spec,
    "state": jobs.c.state,
}


def conditions(where: JobFilter, of: sa.Table = jobs) -> list[sa.ColumnElement[bool]]:
    """A filter as SQL conditions with bound values.

    :param of: the table of jobs, or another one with the needed columns.
    """
    found = [of.c[name] == getattr(where, name) for name in _EXACT if getattr(where, name)]
    if where.dag_ids is not None:
        of_dags = one_of(of.c.dag_id, where.dag_ids)
        of_specs = sa.and_(of.c.dag_id == "", one_of(of.c.spec, where.specs_without_dag))
        found.append(sa.or_(of_dags, of_specs) if where.specs_without_dag else of_dags)
    if where.job_ids is not None:
        found.append(one_of(of.c.job_id, where.job_ids))
    if where.named is not None:
        found.append(sa.or_(sa.false(), *(_is_named(of, name) for name in sorted(where.named, key=str))))
    if where.only:
        found.append(one_of(of.c[where.only[0]], where.only[1]))
    if where.but:
        found.append(sa.not_(one_of(of.c[where.but[0]], where.but[1])))
    if where.text:
        found.append(of.c.searched.contains(where.text.lower(), autoescape=True))
    if where.incomplete:
        counted = (of.c[name] for name in _ROWS if name != "rows_copied")
        found.append(
            sa.or_(of.c.state.in_(STATES_WITHOUT_RESULTS), of.c.rows_input > sum(counted, sa.literal(0)))
        )
        found.append(~_was_run_again(of))
    return found + _of_days(where, of)


def _of_days(where: JobFilter, of: sa.Table) -> list[sa.ColumnElement[bool]]:
    found = []
    if where.since:
        found.append(of.c.day >= where.since)
    if where.until:
        found.append(of.c.day <= where.until)
    if where.ended:
        midnight = datetime.combine(where.ended, time.min, UTC)
        found += [of.c.end_time >= midnight, of.c.end_time < midnight + timedelta(days=1)]
    return found


def _was_run_again(of: sa.Table) -> sa.ColumnElement[bool]:
    """Whether a later job of the same task of the same run has ended with results."""
    later = jobs.alias("later")
    same = (later.c[name] == of.c[name] for name in ("dag_id", "run_id", "task_id", "map_index"))
    is_later = later.c.create_time > of.c.create_time
    return sa.exists().where(of.c.run_id != "", *same, is_later, later.c.state.not_in(STATES_WITHOUT_RESULTS))


def _needs_job_columns(where: JobFilter) -> bool:
    """Whether it needs columns that are not stored with the sums of a job's parts."""
    return bool(where.text or where.ended) or any(
        getattr(where, name) for name in _EXACT if name not in job_sums.c
    )


def select_totals(by: Grouping, where: JobFilter) -> sa.Select[Any]:
    """Select amounts by group. A job without line items counts, with an amount of 0.

    They are added up from the sums that are stored for each job, and for each model and kind in it.
    """
    if by not in get_args(Grouping):
        raise ValueError(f"unknown grouping {by!r}; use one of {', '.join(get_args(Grouping))}")
    group, part = _GROUPS[by], _PARTS.get(by)
    of = jobs if part is None else job_sums
    rows = (sa.literal(0) for _ in _ROWS) if part else (sum_of(jobs.c[name]) for name in _ROWS)
    kept = (sum_of(of.c[name]) for name in SUMS)
    asked = sa.select(*group, *kept, sa.func.count(), sa.func.min(of.c.day), sa.func.max(of.c.day), *rows)
    if part:
        asked = asked.where(job_sums.c.part == part)
        if _needs_job_columns(where):
            asked, of = asked.join_from(job_sums, jobs, same_job(job_sums, jobs)), jobs
    return asked.where(*conditions(where, of)).group_by(*group).order_by(*group)


def select_jobs(
    where: JobFilter, limit: int | None, offset: int = 0, sort: JobOrder = "day", *, ascending: bool = False
) -> sa.Select[Any]:
    """Select jobs with their amounts; jobs that are equal in the order are sorted with the latest first."""
    first = _ORDERS[sort]
    return (
        sa.select(jobs)
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


def read_total(row: sa.Row[Any], by: Grouping) -> GroupTotal:
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
        None if by in _PARTS else RowCounts(*map(int, rows)),
    )


def _is_named(of: sa.Table, name: JobName) -> sa.ColumnElement[bool]:
    parts = {"job_id": name.job_id, "project": name.project, "location": name.location}
    return sa.and_(*(of.c[column] == value for column, value in parts.items() if value is not None))


def sum_of(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Add up integers exactly.

    PostgreSQL widens the sum to NUMERIC. It is used as the driver returns it: SQLAlchemy's Numeric would
    convert SQLite's integers through a float.
    """
    return sa.func.sum(column, type_=NullType())
