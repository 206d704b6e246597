"""Which runs occupy the places of a DAG, read from Airflow's database by the scheduler and DAG processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vertex_batch.timetables.lateness import Moment, RunSlot

if TYPE_CHECKING:
    from airflow.models.dag import DagModel
    from airflow.models.dagrun import DagRun

BACKFILL = "backfill"


def stored_places(stored: DagModel | DagRun, since: Moment) -> Sequence[RunSlot]:
    """Return the runs of a DAG that were active at this moment or later, by one query.

    A run that is cleared while it is active keeps its start date, and one that is cleared after its end has a
    new time of queuing: the earlier of the two is when it took its place.

    :param stored: an object of the DAG. Without a database session no run is returned.
    """
    # A DAG file that makes this timetable must not load Airflow's models.
    from airflow.models.dagrun import DagRun  # noqa: PLC0415
    from sqlalchemy import or_, select
    from sqlalchemy.orm import object_session

    if (session := object_session(stored)) is None:
        return []
    active = DagRun.state.in_(("queued", "running"))
    query = select(DagRun.queued_at, DagRun.start_date, DagRun.end_date, active).where(
        DagRun.dag_id == stored.dag_id, DagRun.run_type != BACKFILL, or_(active, DagRun.end_date >= since)
    )
    return [
        RunSlot(min(moment for moment in (queued, started) if moment), None if is_active else ended)
        for queued, started, ended, is_active in session.execute(query)
        if queued or started
    ]
