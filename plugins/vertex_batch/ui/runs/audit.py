"""Who cancelled a job or marked a run, from Airflow's audit log. No rights are checked."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from airflow.models.log import Log
from airflow.utils.session import create_session
from sqlalchemy import select

from vertex_batch.costs import JobFacts
from vertex_batch.ui.words import moment

MAX_ENTRIES = 1000
CANCEL_EVENT = "vertex_batch.cancel"
"""The entry of the audit log for a job that was cancelled on these pages."""
_MARKS = ("patch_dag_run", "patch_task_instance")


@dataclass(frozen=True, slots=True)
class DoneBy:
    """What a person did to a run, from Airflow's audit log."""

    name: str
    at: datetime

    def __str__(self) -> str:
        return f"by {self.name} at {moment(self.at)}"


def marked_failed(dag_id: str, run_id: str) -> DoneBy | None:
    """Find who last marked a run, or a task of it, as failed; None if the audit log has no such entry."""
    return _latest(
        dag_id, run_id, lambda extra: extra.get("new_state", extra.get("state")) == "failed", *_MARKS
    )


def cancelled_by(job: JobFacts) -> DoneBy | None:
    """Find who cancelled a job on these pages; None if the audit log has no such entry."""
    name = "/".join(job.key)
    return _latest(job.dag_id, job.run_id, lambda extra: extra.get("job") == name, CANCEL_EVENT)


def _latest(
    dag_id: str, run_id: str, is_it: Callable[[dict[str, object]], bool], *events: str
) -> DoneBy | None:
    asked = (
        select(Log.owner, Log.dttm, Log.extra)
        .where(Log.dag_id == dag_id, Log.run_id == run_id, Log.event.in_(events))
        .order_by(Log.dttm.desc())
        .limit(MAX_ENTRIES)
    )
    with create_session() as session:
        found = session.execute(asked).all()
    return next((DoneBy(str(row.owner), row.dttm) for row in found if is_it(_object(row.extra))), None)


def _object(text: str | None) -> dict[str, object]:
    try:
        value = json.loads(text or "")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
