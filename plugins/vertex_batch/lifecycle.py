"""The way of a job, as pure decisions: submit, adopt, re-attach, wait, cancel.

Nothing here reads a clock, a network or Airflow. Operators, sensors and triggers bring what was read,
and do what comes back; so this file is the specification, and its tables are its tests.

Why a job key: Vertex's create has no idempotency key. A create that timed out, was reset or answered 500
may have made a job, and sending it again makes a second bill. The key goes into the job's labels, so that
whoever comes next can ask whether the job is there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from vertex_batch.errors import AmbiguousSubmitError, NotFoundError, TransientError, VertexBatchError
from vertex_batch.resource import BatchPredictionJob, JobState, label_value

MANAGED_BY_LABEL = "managed_by"
MANAGED_BY = "vertex-batch"
JOB_KEY_LABEL = "airflow_job_key"
TASK_KEY_LABEL = "airflow_task_key"
REQUEST_LABEL = "airflow_request"
ATTEMPT_LABEL = "airflow_attempt"
DEPLOYMENT_LABEL = "airflow_deployment"
RESERVED_LABELS = frozenset(
    {
        MANAGED_BY_LABEL,
        JOB_KEY_LABEL,
        TASK_KEY_LABEL,
        REQUEST_LABEL,
        ATTEMPT_LABEL,
        DEPLOYMENT_LABEL,
        "airflow_dag",
        "airflow_run",
        "airflow_task",
        "airflow_spec",
    }
)

# Vertex queues a job for up to 72 h and runs it for up to 24 h; the rest is for the answer to arrive.
DEFAULT_DEADLINE = timedelta(hours=97)

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]


def deployment_label(deployment: str) -> str:
    """Equal for all jobs of one Airflow, so that it can list its own."""
    return _digest(deployment)


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """Which task asks. Two Airflow deployments may share a Google project, so the deployment is part of it.

    :param deployment: what tells this Airflow from another, such as its base URL.
    :param map_index: -1 for a task that is not mapped.
    """

    deployment: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1

    @property
    def task_key(self) -> str:
        """Equal for everything that this task ever submits in this run."""
        return _digest(self.deployment, self.dag_id, self.run_id, self.task_id, self.map_index)

    def job_key(self, epoch: int) -> str:
        """Equal over Airflow's automatic retries; another once a person clears the task.

        :param epoch: ``ti.max_tries``, which Airflow raises on every clear and on no retry.
        """
        return _digest(self.task_key, epoch)

    def labels(self, epoch: int, fingerprint: str) -> dict[str, str]:
        """The labels by which a job is found again, and by which a person sees whose it is."""
        return {
            MANAGED_BY_LABEL: MANAGED_BY,
            JOB_KEY_LABEL: self.job_key(epoch),
            TASK_KEY_LABEL: self.task_key,
            REQUEST_LABEL: fingerprint,
            DEPLOYMENT_LABEL: deployment_label(self.deployment),
            "airflow_dag": label_value(self.dag_id),
            "airflow_run": label_value(self.run_id),
            "airflow_task": label_value(self.task_id),
        }


def attempt_key(job_key: str, attempt: int) -> str:
    """The key of the job that is submitted in place of one that failed for a passing reason.

    :param job_key: of the job that the submit task submitted, which is attempt 0.
    """
    return _digest(job_key, attempt) if attempt else job_key


@dataclass(frozen=True, slots=True)
class Intent:
    """What is kept in the task's state store: written before the POST, completed right after it.

    :param declared_at: when it was written, ISO 8601 in UTC.
    :param attempt: 0 for the submit task's job, then one more for each that was submitted again.
    :param job_id: None between the POST and its answer: then a job may exist that nobody knows.
    """

    epoch: int
    job_key: str
    fingerprint: str
    project: str
    location: str
    declared_at: str
    job_id: str | None = None
    attempt: int = 0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def with_job(self, job_id: str) -> Intent:
        return replace(self, job_id=job_id)

    @classmethod
    def from_dict(cls, data: object) -> Intent | None:
        """Read a stored intent; None where there is none or it is not ours to read."""
        if not isinstance(data, dict):
            return None
        try:
            return cls(**data)
        except TypeError:
            return None


class Action(StrEnum):
    """What a submit does next."""

    SUBMIT = "submit"
    REATTACH = "reattach"
    ADOPT = "adopt"
    CANCEL_THEN_SUBMIT = "cancel_then_submit"
    SEE_IT_END = "see_it_end"
    GIVE_WAY = "give_way"
    LOOK_AGAIN = "look_again"


@dataclass(frozen=True, slots=True)
class SubmitDecision:
    """An action, the job that it is about, and the sentence for the log."""

    action: Action
    reason: str
    job: BatchPredictionJob | None = None
    job_id: str | None = None


def known_job(wanted: Intent, stored: Intent | None) -> SubmitDecision | None:
    """Decide what needs no look: this epoch's job is known by its id, so the task goes on with it."""
    if stored and stored.job_key == wanted.job_key and stored.job_id:
        return SubmitDecision(
            Action.REATTACH, "an earlier try of this task submitted it", job_id=stored.job_id
        )
    return None


def decide_submit(
    wanted: Intent,
    stored: Intent | None,
    found: Iterable[BatchPredictionJob],
    *,
    looked_long_enough: bool,
) -> SubmitDecision:
    """Decide on what the list has shown. See the table in ``docs/lifecycle.md``.

    :param found: every job that carries this task's key, of whichever epoch.
    :param looked_long_enough: whether a job that was created before the intent's process died would be
        in the list by now. Only asked where an intent without an id is stored.
    """
    jobs = sorted(found, key=lambda job: job.create_time or _LONG_AGO, reverse=True)
    mine = [job for job in jobs if job.labels.get(JOB_KEY_LABEL) == wanted.job_key]
    if mine:
        # Oldest first: if ever two carry one key, every try settles on the same one.
        return SubmitDecision(Action.ADOPT, "it carries this task's key: its answer was lost", job=mine[-1])
    earlier = _decide_on_active(wanted, [job for job in jobs if not job.state.is_terminal])
    if earlier:
        return earlier
    in_doubt = stored is not None and stored.job_key == wanted.job_key and not stored.job_id
    if in_doubt and not looked_long_enough:
        return SubmitDecision(
            Action.LOOK_AGAIN, "an earlier try may have submitted a job that the list does not show yet"
        )
    if jobs:
        return SubmitDecision(Action.SUBMIT, "the earlier job has ended and the task was cleared")
    return SubmitDecision(Action.SUBMIT, "no job carries this task's key")


def _decide_on_active(wanted: Intent, active: list[BatchPredictionJob]) -> SubmitDecision | None:
    """Decide where an earlier epoch's job has not ended; None where there is none."""
    running = [job for job in active if job.state is not JobState.CANCELLING]
    same = [job for job in running if job.labels.get(REQUEST_LABEL) == wanted.fingerprint]
    if same:
        return SubmitDecision(
            Action.ADOPT, "the task was cleared while the same request still runs", job=same[0]
        )
    if running and wanted.attempt:
        return SubmitDecision(
            Action.GIVE_WAY, "the task was cleared and another job runs in its place", job=running[0]
        )
    if running:
        return SubmitDecision(
            Action.CANCEL_THEN_SUBMIT, "the task was cleared and its request has changed", job=running[0]
        )
    if active:
        return SubmitDecision(
            Action.SEE_IT_END, "the earlier job is being cancelled and may yet succeed", job=active[0]
        )
    return None


def after_seen_ending(job: BatchPredictionJob, wanted: Intent) -> bool:
    """Whether a job whose cancel was under way is the task's result after all: it came through in time."""
    has_results = job.state in {JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED}
    return has_results and job.labels.get(REQUEST_LABEL) == wanted.fingerprint


def must_look_for_a_twin(wanted: Intent, answered_at: datetime, window: timedelta) -> bool:
    """Whether a create took so long that another try may have given up on it and submitted, too.

    That is so for a process that Airflow took for dead: it was stopped between intent and POST, and went on.
    """
    return answered_at - datetime.fromisoformat(wanted.declared_at) >= window


def settle_twins(found: Iterable[BatchPredictionJob]) -> tuple[BatchPredictionJob, list[BatchPredictionJob]]:
    """Of several jobs with one key, say which the task goes on with, and which are to be cancelled.

    The oldest stays, whoever asks, so that two tries at once agree without talking.
    """
    oldest, *others = sorted(found, key=lambda job: (job.create_time or _LONG_AGO, job.job_id))
    return oldest, [job for job in others if not job.state.is_terminal]


def after_failed_create(error: VertexBatchError, *, tries_left: int) -> Action | None:
    """Decide after a create that raised. None: give up and let the error speak.

    An ambiguous answer is never re-sent before the list has been asked.
    """
    if isinstance(error, AmbiguousSubmitError):
        return Action.LOOK_AGAIN
    if isinstance(error, TransientError) and tries_left > 0:
        return Action.SUBMIT
    return None


class Verdict(StrEnum):
    """What one look at a waiting job means."""

    WAIT = "wait"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"
    DEADLINE = "deadline"
    BLIND = "blind"

    @property
    def has_results(self) -> bool:
        """Whether the job ended with output to use."""
        return self in {Verdict.SUCCEEDED, Verdict.PARTIALLY_SUCCEEDED}


_VERDICT_OF_STATE = {
    JobState.SUCCEEDED: Verdict.SUCCEEDED,
    JobState.PARTIALLY_SUCCEEDED: Verdict.PARTIALLY_SUCCEEDED,
    JobState.FAILED: Verdict.FAILED,
    JobState.CANCELLED: Verdict.CANCELLED,
    JobState.EXPIRED: Verdict.EXPIRED,
}

# google.rpc.Code of a failed job: these come from the service and may pass; the others need a mend first.
PASSING_JOB_ERRORS = frozenset({4, 8, 13, 14})


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how much to bear.

    :param deadline_at: wall clock, so it survives a restart of the triggerer.
    :param tolerated_failures: polls in a row that may fail for a passing reason.
    :param queue_seconds: longest time from the job's creation to its start.
    :param run_seconds: longest time from its start to its end.
    """

    deadline_at: datetime
    tolerated_failures: int = 20
    queue_seconds: float | None = None
    run_seconds: float | None = None

    def missed_by(self, job: BatchPredictionJob, now: datetime) -> str | None:
        """Which limit a job that has not ended has missed; None where it is in time."""
        if now >= self.deadline_at:
            return ""
        queued = (now - job.create_time).total_seconds() if job.create_time else 0.0
        if self.queue_seconds is not None and not job.start_time and queued >= self.queue_seconds:
            return f"it has not started within {self.queue_seconds:g} s of its creation"
        ran = (now - job.start_time).total_seconds() if job.start_time else 0.0
        if self.run_seconds is not None and ran >= self.run_seconds:
            return f"it has run for longer than {self.run_seconds:g} s"
        return None


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a job, as plain data: what a trigger sends and a log line says."""

    verdict: Verdict
    state: str = ""
    ok_rows: int = 0
    failed_rows: int = 0
    incomplete_rows: int = 0
    error_code: int = 0
    message: str = ""
    output_directory: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Sighting:
        return cls(**{**data, "verdict": Verdict(data["verdict"])})

    @property
    def failed_ratio(self) -> float:
        """Share of failed rows among those that ended; 0 where none did."""
        ended = self.ok_rows + self.failed_rows
        return self.failed_rows / ended if ended else 0.0

    @property
    def progress(self) -> str:
        """State and counts, for a log line that is written only when this changes."""
        state = self.state.removeprefix("JOB_STATE_")
        if not (self.ok_rows or self.failed_rows):
            return state
        left = f", {self.incomplete_rows} to go" if self.incomplete_rows > 0 else ""
        return f"{state} ({self.ok_rows} rows done, {self.failed_rows} failed{left})"


def judge(
    reading: BatchPredictionJob | VertexBatchError, *, now: datetime, failures: int, patience: Patience
) -> Sighting:
    """Say what one look at a job means.

    :param reading: the job, or why it could not be read. "Could not read" is not "is not there".
    :param failures: polls in a row that have failed before this one.
    """
    if isinstance(reading, VertexBatchError):
        return _judge_failure(reading, now=now, failures=failures, patience=patience)
    seen = _describe(reading)
    missed = patience.missed_by(reading, now) if seen.verdict is Verdict.WAIT else None
    return seen if missed is None else replace(seen, verdict=Verdict.DEADLINE, message=missed)


def may_resubmit(seen: Sighting, attempt: int, resubmits: int) -> bool:
    """Whether a job that has ended is submitted again without a person: what made it fail may pass."""
    passing = seen.verdict is Verdict.FAILED and seen.error_code in PASSING_JOB_ERRORS
    return passing and attempt < resubmits


def _judge_failure(error: VertexBatchError, *, now: datetime, failures: int, patience: Patience) -> Sighting:
    if isinstance(error, NotFoundError):
        return Sighting(Verdict.LOST, message=str(error))
    if not isinstance(error, TransientError) or failures >= patience.tolerated_failures:
        return Sighting(Verdict.BLIND, message=str(error))
    if now >= patience.deadline_at:
        return Sighting(Verdict.DEADLINE, message=str(error))
    return Sighting(Verdict.WAIT, message=str(error))


def _describe(job: BatchPredictionJob) -> Sighting:
    stats = job.completion_stats
    return Sighting(
        verdict=_VERDICT_OF_STATE.get(job.state, Verdict.WAIT),
        state=job.raw_state,
        ok_rows=stats.successful_count if stats else 0,
        failed_rows=stats.failed_count if stats else 0,
        incomplete_rows=stats.incomplete_count if stats else 0,
        error_code=job.error.code if job.error else 0,
        message=job.error.message if job.error else "",
        output_directory=job.output_directory,
    )


def next_poll_seconds(
    interval_seconds: float, failures: int, jitter: float, retry_after_seconds: float = 0.0
) -> float:
    """Back off while polls fail: doubled per failure up to ten times, then spread by ``jitter`` in 0..1.

    :param retry_after_seconds: what the server asked for; never less, but at most an hour.
    """
    backed_off = interval_seconds * min(1 << min(failures, 4), 10)
    return max(backed_off * (0.9 + 0.2 * jitter), min(retry_after_seconds, 3600.0))


_ENDINGS = {
    Verdict.FAILED: "failed",
    Verdict.CANCELLED: "was cancelled",
    Verdict.EXPIRED: "expired: it waited too long or ran over its time",
    Verdict.LOST: "is gone: somebody deleted it",
    Verdict.DEADLINE: "did not end before its deadline",
    Verdict.BLIND: "could not be read any more",
    Verdict.SUCCEEDED: "succeeded",
    Verdict.PARTIALLY_SUCCEEDED: "succeeded in part",
}
_MONEY = {
    Verdict.LOST: "What it cost cannot be read any more; the bill says so.",
    Verdict.DEADLINE: "Rows that were finished are billed; the record_cost task counts them.",
    Verdict.BLIND: "The job may still run and cost money.",
}
_NEXT = {
    Verdict.LOST: "Clear the submit task to run the batch again.",
    Verdict.DEADLINE: "Raise the deadline, or clear the submit task to run the batch again.",
    Verdict.BLIND: "Mend what the message names, then clear this task: it goes on waiting for the same job.",
    Verdict.CANCELLED: "Clear the submit task to run the batch again.",
    Verdict.EXPIRED: "Clear the submit task to run the batch again.",
}


def explain(job: str, seen: Sighting) -> str:
    """Tell the person on call: what happened to which job, what it means for money, what to do."""
    cause = f": {seen.message}" if seen.message else ""
    code = f" (code {seen.error_code})" if seen.error_code else ""
    money = _MONEY.get(seen.verdict, "Rows that were finished are billed; failed rows are not.")
    if seen.verdict is Verdict.FAILED:
        following = (
            "The cause may pass: clear the submit task to run the batch again."
            if seen.error_code in PASSING_JOB_ERRORS
            else "Mend the cause, then clear the submit task."
        )
    else:
        following = _NEXT.get(seen.verdict, "")
    return f"Batch prediction job {job} {_ENDINGS[seen.verdict]}{code}{cause}. {money} {following}".strip()
