"""The days of runs: whose input they read, and to whose file their answers are delivered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from functools import partial
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from sqlalchemy import Row, Select, select
from sqlalchemy.orm import Session

from vertex_batch.errors import ConfigurationError
from vertex_batch.specs.run_dates import run_day
from vertex_batch.tasks.choices import run_with_dates


def run_days(runs: Iterable[tuple[str, str]], timezones: Mapping[str, str]) -> dict[tuple[str, str], date]:
    """Return the days of runs of specs; without a run that Airflow or the specs' folder no longer has.

    No rights are checked.

    :param runs: DAG id and run id of each.
    :param timezones: of each spec.
    """
    wanted = {run for run in runs if run[0] in timezones and run[1]}
    if not wanted:
        return {}
    with create_session() as session:
        dag_ids, run_ids = {dag_id for dag_id, _ in wanted}, {run_id for _, run_id in wanted}
        rows = session.execute(_asked().where(DagRun.dag_id.in_(dag_ids), DagRun.run_id.in_(run_ids)))
        known = {(row.dag_id, row.run_id): row for row in rows}
        days = {run: _day(session, known, *run, timezones[run[0]]) for run in wanted}
    return {run: day for run, day in days.items() if day}


def _day(
    session: Session, known: dict[tuple[str, str], Row[Any]], dag_id: str, run_id: str, timezone: str
) -> date | None:
    try:
        found = run_with_dates(run_id, partial(_find, session, known, dag_id))
    except ConfigurationError:  # the run itself failed for it
        return None
    return run_day(*found, timezone) if found else None


def _find(
    session: Session, known: dict[tuple[str, str], Row[Any]], dag_id: str, run_id: str
) -> Row[Any] | None:
    if (dag_id, run_id) in known:
        return known[dag_id, run_id]
    return session.execute(_asked().where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)).one_or_none()


def _asked() -> Select[Any]:
    run = DagRun
    return select(run.dag_id, run.run_id, run.conf, run.partition_date, run.logical_date, run.run_after)
