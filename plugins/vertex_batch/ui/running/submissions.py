"""Which jobs the runs of this Airflow have submitted lately, from Airflow's own database."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from airflow.jobs.job import Job
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from airflow.sdk import conf
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.identity import Intent
from vertex_batch.lifecycle.ownership import is_of_run
from vertex_batch.tasks.context import INTENT_XCOM
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import BatchPredictionJob

log = logging.getLogger(__name__)

# A job queues for up to three days and runs for up to one; its run may have been ended before.
_LONGEST_LIFE = timedelta(days=5)
_TRIGGER = "%.BatchPredictionJobTrigger"
# A triggerer takes 50 triggers a second.
_TIME_TO_TAKE = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """A job that a task of this Airflow submitted, and whose it is.

    :param is_wanted: its run has not ended.
    :param is_recorded: its bill says that it is of this run.
    :param note: of the person who triggered the run.
    :param litellm_conn_id: the proxy, as the waiting task names it; else the usual connection.
    """

    project: str
    location: str
    job_id: str
    dag_id: str
    run_id: str
    task_id: str
    is_wanted: bool = True
    litellm_conn_id: str = LiteLLMHook.default_conn_name
    note: str = ""
    is_recorded: bool = False

    @property
    def key(self) -> JobId:
        return JobId(self.project, self.location, self.job_id)

    def owns(self, job: BatchPredictionJob) -> bool:
        """Whether this run has submitted the job, or recorded it."""
        return self.is_recorded or is_of_run(job, self.dag_id, self.run_id)


def recent_submissions() -> list[SubmittedJob]:
    """List the jobs of all running runs, and of those that ended in the last days. No rights are checked.

    What a run has stored may have been written by a person, so it may name a job of another DAG: only the
    job's labels say whose it is (`SubmittedJob.owns`).
    """
    with create_session() as session:
        connections = dict(_connections(session))
        found = {(*each.key, each.dag_id, each.run_id): each for each in _submissions(session, connections)}
        return list(found.values())


def _submissions(session: Session, connections: dict[str, str]) -> Iterator[SubmittedJob]:
    """Read what submit and waiting tasks have stored, the latest last."""
    going_on = DagRun.state.in_((DagRunState.RUNNING, DagRunState.QUEUED))
    recent = select(DagRun.id).where(or_(going_on, DagRun.run_after > datetime.now(UTC) - _LONGEST_LIFE))
    asked = (
        select(XComModel.value, XComModel.dag_id, XComModel.run_id, XComModel.task_id, DagRun.conf, going_on)
        .join(DagRun, DagRun.id == XComModel.dag_run_id)
        # By the run: the index of keys would lead to every run that there ever was.
        .where(XComModel.dag_run_id.in_(recent), XComModel.key.concat("") == INTENT_XCOM)
        .order_by(XComModel.timestamp)
    )
    for row in session.execute(asked):
        intent = _intent(row)
        if intent and intent.job_id:
            yield SubmittedJob(
                intent.project,
                intent.location,
                intent.job_id,
                row.dag_id,
                row.run_id,
                row.task_id,
                bool(row[-1]),
                connections.get(intent.job_id, LiteLLMHook.default_conn_name),
                str((row.conf or {}).get("note") or ""),
            )


def count_unwatched() -> dict[str, int]:
    """Count, by DAG, the deferred tasks that no live triggerer has taken for more than two minutes."""
    seconds = conf.getfloat("triggerer", "triggerer_health_check_threshold", fallback=30.0)
    now = datetime.now(UTC)
    is_dead = or_(Job.id.is_(None), Job.latest_heartbeat < now - timedelta(seconds=seconds))
    asked = (
        select(TaskInstance.dag_id, func.count().label("jobs"))
        .join(Trigger, TaskInstance.trigger_id == Trigger.id)
        .outerjoin(Job, Trigger.triggerer_id == Job.id)
        .where(TaskInstance.state == TaskInstanceState.DEFERRED, Trigger.classpath.like(_TRIGGER))
        .where(Trigger.created_date < now - _TIME_TO_TAKE, is_dead)
        .group_by(TaskInstance.dag_id)
    )
    with create_session() as session:
        return {row.dag_id: row.jobs for row in session.execute(asked)}


def _intent(row: object) -> Intent | None:
    """Read one; what a deployment's own XCom backend keeps elsewhere is not looked for."""
    try:
        return Intent.from_dict(XComModel.deserialize_value(row))
    except (TypeError, ValueError):
        return None


def _connections(session: Session) -> Iterator[tuple[str, str]]:
    """By which connection deferred tasks watch their jobs."""
    asked = (
        select(Trigger)
        .join(TaskInstance, TaskInstance.trigger_id == Trigger.id)
        .where(TaskInstance.state == TaskInstanceState.DEFERRED, Trigger.classpath.like(_TRIGGER))
    )
    for trigger in session.scalars(asked):
        try:
            order = trigger.kwargs
            yield order["job"]["job_id"], order["litellm_conn_id"]
        except Exception:  # noqa: BLE001 - a row of another key must not break the page
            log.warning(
                "Trigger %s cannot be read, so its job's connection is taken to be the usual", trigger.id
            )
