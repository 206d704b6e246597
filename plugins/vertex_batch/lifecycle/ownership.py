"""Whose job is it: what a kill means for it, and whether anybody still waits for it. Pure decisions, too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vertex_batch.lifecycle.identity import TaskIdentity, deployment_label
from vertex_batch.vertex.labels import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, TASK_KEY_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob

# What a run that Airflow does not find has for its own recording.
TIME_TO_RECORD = timedelta(hours=6)
# States in which no try of a task will go on with its job.
_ENDED_TASK_STATES = frozenset({"failed", "success", "skipped", "removed", "upstream_failed"})


class Killed(StrEnum):
    """Why Airflow calls ``on_kill``, as far as the process can see it."""

    SIGNAL = "signal"  # SIGTERM: a person's doing, a worker that shuts down, or heartbeats that failed
    TIMEOUT = "timeout"  # the task's execution_timeout
    TRIGGER = "trigger"  # the trigger's row is gone, or the trigger moved to another triggerer


def cancels_when_killed(why: Killed, task_state: str | None, *, next_try_goes_on: bool = False) -> bool:
    """Decide whether a killed task takes its job along.

    :param task_state: what Airflow says has become of the task; None where it does not say.
    :param next_try_goes_on: after a time-out: whether a try is left that will go on with the job.
    """
    if why is Killed.TIMEOUT:
        return not next_try_goes_on
    if task_state is None:
        # A worker that cannot reach Airflow is no person's wish. A trigger is hardly ever told for nothing.
        return why is Killed.TRIGGER
    return task_state in _ENDED_TASK_STATES


class Ownership(StrEnum):
    """Whether the run of a job still goes on: whether anybody waits for the job, and will record it."""

    WAITED_FOR = "waited_for"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a job is.

    :param task: the task that submitted it; None where no run that Airflow knows has.
    """

    ownership: Ownership
    task: TaskIdentity | None = None


def who_waits(
    job: BatchPredictionJob,
    deployment: str,
    dag_id: str,
    runs: Mapping[str, Mapping[str, str | None]],
) -> Owner:
    """Find the run that submitted a job, and say whether it is over.

    Labels hold names only in part, so the run is found by its key, computed for each task of each run.

    :param runs: run id -> task id, with ``_N`` behind it for a mapped one -> state.
    """
    wanted = job.labels.get(TASK_KEY_LABEL)
    for run_id, tasks in runs.items():
        candidates = (task for name in tasks for task in _identities(deployment, dag_id, run_id, name))
        if task := next((each for each in candidates if each.task_key == wanted), None):
            over = all(state in _ENDED_TASK_STATES for state in tasks.values())
            return Owner(Ownership.ORPHAN if over else Ownership.WAITED_FOR, task)
    return Owner(Ownership.UNKNOWN)


def lacks_a_bill(job: BatchPredictionJob, owner: Owner, now: datetime) -> bool:
    """Whether a job without a bill has ended and nobody is left to record it.

    A run that Airflow does not find may be one whose DAG does not fit into a label, and still record.
    """
    if not job.state.is_terminal:
        return False
    if owner.ownership is Ownership.UNKNOWN:
        return job.ended_at is not None and now - job.ended_at >= TIME_TO_RECORD
    return owner.ownership is Ownership.ORPHAN


def why_not_to_adopt(job: BatchPredictionJob, deployment: str) -> str | None:
    """Say why a job is not to be brought under another run: a run has submitted it, and will record it.

    :param deployment: this Airflow's.
    """
    if job.labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    run = f"{job.labels.get('airflow_dag', '')} {job.labels.get('airflow_run', '')}".strip()
    if job.labels.get(DEPLOYMENT_LABEL) != deployment_label(deployment):
        return f"another Airflow has submitted it ({run}), and records what it costs"
    return (
        f"this Airflow has submitted it ({run}), and records it there. If that run is over and its bill is"
        " missing, clear its record_cost task, or let the DAG vertex_batch_reap record it"
    )


def _identities(deployment: str, dag_id: str, run_id: str, name: str) -> Iterator[TaskIdentity]:
    yield TaskIdentity(deployment, dag_id, run_id, name)
    task_id, _, index = name.rpartition("_")
    if task_id and index.isdigit():
        yield TaskIdentity(deployment, dag_id, run_id, task_id, int(index))
