"""Which runs count as active, read from a table of runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import sqlalchemy
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunType
from sqlalchemy.orm import Session

from vertex_batch.timetables.lateness import RunSlot
from vertex_batch.timetables.run_slots import stored_places

TICK = datetime(2026, 11, 27, 2, 30, tzinfo=UTC)
BEFORE, EARLIER, LATER = (TICK.replace(hour=hour) for hour in (0, 1, 5))
RUNNING, QUEUED, DONE = DagRunState.RUNNING, DagRunState.QUEUED, DagRunState.SUCCESS


@pytest.fixture
def session() -> Iterator[Session]:
    engine = sqlalchemy.create_engine("sqlite://")
    tables = [DagRun.metadata.tables[name] for name in ("dag_run", "log_template")]
    DagRun.metadata.create_all(engine, tables=tables)
    with Session(engine) as session:
        yield session


def add(
    session: Session,
    state: DagRunState,
    queued: datetime | None,
    started: datetime | None = None,
    ended: datetime | None = None,
    *,
    kind: DagRunType = DagRunType.SCHEDULED,
    dag_id: str = "nightly",
) -> DagRun:
    run = DagRun(dag_id=dag_id, run_id=f"{len(session.new)}", run_type=kind, run_after=TICK, state=state)
    run.queued_at, run.start_date, run.end_date = queued, started, ended
    session.add(run)
    return run


@pytest.mark.parametrize(
    ("state", "queued", "started", "ended", "expected"),
    [
        pytest.param(RUNNING, BEFORE, EARLIER, None, [RunSlot(BEFORE, None)], id="active"),
        pytest.param(QUEUED, BEFORE, None, None, [RunSlot(BEFORE, None)], id="queued"),
        pytest.param(RUNNING, LATER, BEFORE, None, [RunSlot(BEFORE, None)], id="cleared while it is active"),
        pytest.param(QUEUED, LATER, None, None, [RunSlot(LATER, None)], id="cleared after its end"),
        pytest.param(DONE, BEFORE, EARLIER, LATER, [RunSlot(BEFORE, LATER)], id="ended since"),
        pytest.param(DONE, BEFORE, EARLIER, EARLIER, [], id="ended before"),
    ],
)
def test_a_run_occupies_a_place_until_it_ends(session, state, queued, started, ended, expected):
    run = add(session, state, queued, started, ended)
    assert stored_places(run, TICK) == expected


@pytest.mark.parametrize(
    ("kind", "dag_id", "counted"),
    [
        (DagRunType.MANUAL, "nightly", True),
        (DagRunType.ASSET_TRIGGERED, "nightly", True),
        (DagRunType.BACKFILL_JOB, "nightly", False),
        (DagRunType.SCHEDULED, "other", False),
    ],
)
def test_it_counts_the_runs_that_airflow_counts(session, kind, dag_id, counted):
    run = add(session, DONE, BEFORE, BEFORE, BEFORE)
    add(session, RUNNING, BEFORE, EARLIER, kind=kind, dag_id=dag_id)
    assert stored_places(run, TICK) == [RunSlot(BEFORE, None)] * counted


def test_without_a_session_there_is_nothing_to_read():
    assert stored_places(DagRun(dag_id="nightly"), TICK) == []
