"""Decide what a kill means for a job, and whether a run is still waiting for it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from vertex_batch.errors import PermanentError
from vertex_batch.lifecycle.identity import TaskIdentity, deployment_label
from vertex_batch.vertex.labels import (
    DAG_LABEL,
    DEPLOYMENT_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    TASK_KEY_LABEL,
)
from vertex_batch.vertex.resource import BatchPredictionJob, label_value

# How long a run that has not ended, or that Airflow does not find, has to record its own job.
TIME_TO_RECORD = timedelta(hours=6)
# How long the end of a job may go unnoticed before this is reported. Usually it is the poll interval.
TIME_TO_NOTICE = timedelta(minutes=30)
_Run = tuple[str, str]  # DAG and run
# States in which no later try of a task will resume its job.
_ENDED_TASK_STATES = frozenset({"failed", "success", "skipped", "removed", "upstream_failed"})


class Killed(StrEnum):
    """Why Airflow calls ``on_kill``, as far as the process can see it."""

    SIGNAL = "signal"  # SIGTERM: from a person, a worker that shuts down, or failed heartbeats
    TIMEOUT = "timeout"  # the task's execution_timeout
    TRIGGER = "trigger"  # the trigger's row is gone, or the trigger moved to another triggerer


def is_superseded(why: Killed, task_state: str | None, *, has_result: bool) -> bool:
    """Decide whether a later try has replaced a killed one: its process stood still for too long.

    :param has_result: whether the task has a result. A try that is still running has returned none.
    """
    return why is Killed.SIGNAL and task_state == "success" and has_result


def cancels_when_killed(why: Killed, task_state: str | None, *, next_try_resumes: bool = False) -> bool:
    """Decide whether the job of a killed task is cancelled, unless a later try has replaced it.

    :param task_state: the task's state in Airflow; None if it could not be read. Then the job is left alone:
        a worker that cannot reach Airflow was not killed by a person, and a trigger may have moved to another
        triggerer. The run's own tasks and the reaper cancel what no task waits for.
    :param next_try_resumes: after a time-out: whether another try will resume the job.
    """
    if why is Killed.TIMEOUT:
        return not next_try_resumes
    return task_state in _ENDED_TASK_STATES


class Ownership(StrEnum):
    """Whether the run of a job is still active, that is, waits for the job and will record it."""

    WAITED_FOR = "waited_for"
    ORPHAN = "orphan"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a job.

    :param task: the task that submitted it; None if no run that Airflow knows submitted it.
    :param deferred: how many tasks of its run wait in the triggerer.
    """

    ownership: Ownership
    task: TaskIdentity | None = None
    deferred: int = 0


def who_waits(
    job: BatchPredictionJob, deployment: str, dag_id: str, runs: Mapping[str, Mapping[str, str | None]]
) -> Owner:
    """Find the run that submitted a job, and decide whether it is over.

    Labels hold shortened names, so the run is found by its key, which is computed for each task of each run.

    :param runs: run id -> task id (followed by ``_N`` if it is mapped) -> state.
    """
    wanted = job.labels.get(TASK_KEY_LABEL)
    for run_id, tasks in runs.items():
        candidates = (task for name in tasks for task in _identities(deployment, dag_id, run_id, name))
        if task := next((each for each in candidates if each.task_key == wanted), None):
            over = have_ended(tasks.values())
            deferred = sum(state == "deferred" for state in tasks.values())
            return Owner(Ownership.ORPHAN if over else Ownership.WAITED_FOR, task, deferred)
    return Owner(Ownership.UNKNOWN)


def is_of_run(job: BatchPredictionJob, dag_id: str, run_id: str) -> bool:
    """Whether the labels of a job name this run as its submitter. Labels do not change after the creation."""
    named = (job.labels.get(DAG_LABEL), job.labels.get(RUN_LABEL))
    return named == (label_value(dag_id), label_value(run_id))


def submitter(job: BatchPredictionJob) -> str:
    """The DAG and the run that submitted a job, as its labels name them."""
    return f"{job.labels.get(DAG_LABEL, '')} {job.labels.get(RUN_LABEL, '')}".strip()


class OtherRunsJobError(PermanentError):
    """A job that was passed to a run was submitted by another one.

    Everybody who may edit a DAG can write the XComs of its runs. They must not reach jobs of other DAGs.

    :param job: the job's id.
    :param owner: as `submitter` returns it.
    """

    def __init__(self, job: str, owner: str) -> None:
        self.job, self.owner = job, owner
        super().__init__(
            f"Job {job} was submitted by another run ({owner}), which cancels and bills it. This run does"
            " neither, and a retry will not either. An XCom of this run names the job by mistake, or a person"
            " has written it: clear the submit task, or delete the XCom."
        )


def check_run(job: BatchPredictionJob, dag_id: str, run_id: str) -> None:
    """Check that a run may treat a job as its own: it submitted it, or no run of this package did.

    :raises OtherRunsJobError: another run submitted it.
    """
    if job.labels.get(MANAGED_BY_LABEL) == MANAGED_BY and not is_of_run(job, dag_id, run_id):
        raise OtherRunsJobError(job.job_id, submitter(job))


def have_ended(states: Iterable[str | None]) -> bool:
    """Whether tasks in these states have ended, and no later try of them follows."""
    return all(state in _ENDED_TASK_STATES for state in states)


def lacks_a_bill(job: BatchPredictionJob, owner: Owner, now: datetime) -> bool:
    """Whether a job without a bill has ended and no run is left to record it, or none has for hours.

    A run that Airflow does not find may still record its job: its DAG's name may be too long for a label. One
    that has not ended may never do so: Airflow starts no task of a DAG that is paused, or whose file is gone.
    """
    if not job.state.is_terminal:
        return False
    is_late = job.ended_at is not None and now - job.ended_at >= TIME_TO_RECORD
    return is_late or owner.ownership is Ownership.ORPHAN


def count_unwatched(jobs: Iterable[tuple[BatchPredictionJob, Owner]], now: datetime) -> int:
    """Count the jobs whose end no triggerer has seen: they ended long ago, and their tasks still wait.

    A run may have more tasks that wait: for its other jobs, which have not ended or have ended just now.

    :param jobs: every job of some runs, or those of them that have no bill.
    """
    ended, going_on = Counter[_Run](), Counter[_Run]()
    deferred: dict[_Run, int] = {}
    for job, owner in jobs:
        if owner.ownership is not Ownership.WAITED_FOR or owner.task is None:
            continue
        run = owner.task.dag_id, owner.task.run_id
        deferred[run] = owner.deferred
        is_over = job.state.is_terminal and job.ended_at and now - job.ended_at >= TIME_TO_NOTICE
        (ended if is_over else going_on)[run] += 1
    return sum(max(min(count, deferred[run] - going_on[run]), 0) for run, count in ended.items())


def why_not_to_adopt(job: BatchPredictionJob, deployment: str) -> str | None:
    """Explain why a job cannot be adopted: a run submitted it and will record it. None: it can be.

    :param deployment: that of this Airflow.
    """
    if job.labels.get(MANAGED_BY_LABEL) != MANAGED_BY:
        return None
    run = submitter(job)
    if job.labels.get(DEPLOYMENT_LABEL) != deployment_label(deployment):
        return f"another Airflow deployment submitted it ({run}) and records its cost"
    return (
        f"this Airflow submitted it ({run}), and that run records its cost. If that run is over and its bill"
        " is missing, clear its record_cost task, or let the DAG vertex_batch_reap record it"
    )


def _identities(deployment: str, dag_id: str, run_id: str, name: str) -> Iterator[TaskIdentity]:
    yield TaskIdentity(deployment, dag_id, run_id, name)
    task_id, _, index = name.rpartition("_")
    if task_id and index.isdigit():
        yield TaskIdentity(deployment, dag_id, run_id, task_id, int(index))
