"""Decide what one poll of a job means: wait, end, or submit again. Pure. `explaining` puts it into words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from vertex_batch.errors import NotFoundError, TransientError, VertexBatchError
from vertex_batch.vertex.resource import BatchPredictionJob, JobState, known_fields

# Vertex queues a job for up to 72 h and runs it for up to 24 h; one hour is spare.
DEFAULT_DEADLINE = timedelta(hours=97)


class Verdict(StrEnum):
    """What one poll of a job means for the task that waits for it."""

    WAIT = "wait"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    LOST = "lost"
    DEADLINE = "deadline"
    POLLING_FAILED = "polling_failed"

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

# Vertex stops a job 24 h after its start, and then calls it cancelled, failed or expired.
CUT_OFF_SECONDS = 23 * 3600.0

# google.rpc.Code of a failed job: these are transient faults of the service; the others need a fix first.
# A row is also sent again after UNKNOWN, ABORTED and CANCELLED (`usage.failure_codes`). A job is not, since
# they do not say that the service was in trouble, and the same job may fail as a whole again.
PASSING_JOB_ERRORS = frozenset({4, 8, 13, 14})


@dataclass(frozen=True, slots=True)
class PollLimits:
    """How long to wait for a job, and how many failed polls to tolerate.

    :param deadline_at: wall clock, so it survives a restart of the triggerer.
    :param tolerated_failures: polls in a row that may fail for a transient reason.
    :param queue_seconds: longest time from the job's creation to its start.
    :param run_seconds: longest time from its start to its end.
    """

    deadline_at: datetime
    tolerated_failures: int = 20
    queue_seconds: float | None = None
    run_seconds: float | None = None

    def missed_by(self, job: BatchPredictionJob, now: datetime) -> str | None:
        """Which limit a job that has not ended has exceeded; None if it is in time, "" for the deadline."""
        if now >= self.deadline_at:
            return ""
        if not job.start_time and _has_passed(self.queue_seconds, job.create_time, now):
            return f"it has not started within {self.queue_seconds:g} s of its creation"
        if _has_passed(self.run_seconds, job.start_time, now):
            return f"it has run for longer than {self.run_seconds:g} s"
        return None


def _has_passed(seconds: float | None, since: datetime | None, now: datetime) -> bool:
    return seconds is not None and since is not None and (now - since).total_seconds() >= seconds


@dataclass(frozen=True, slots=True)
class JobReading:
    """The result of one poll of a job, as plain data that a trigger can send.

    :param resumable: whether a new job may read this one's output folder and run only the rest.
    :param ran_seconds: how long it ran; None if that is not known, or if it has not ended.
    """

    verdict: Verdict
    state: str = ""
    ok_rows: int = 0
    failed_rows: int = 0
    incomplete_rows: int = 0
    error_code: int = 0
    message: str = ""
    output_directory: str | None = None
    resumable: bool = False
    ran_seconds: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"verdict": self.verdict.value}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> JobReading:
        return cls(**{**known_fields(cls, data), "verdict": Verdict(data["verdict"])})

    @property
    def failed_ratio(self) -> float:
        """Share of failed rows among those that ended; 0 if none did."""
        ended = self.ok_rows + self.failed_rows
        return self.failed_rows / ended if ended else 0.0

    @property
    def may_have_answers(self) -> bool:
        """Whether a row was answered, as far as Vertex's counts show; True if they do not."""
        unknown = self.failed_rows <= 0 and self.incomplete_rows <= 0
        return self.ok_rows > 0 or (unknown and self.output_directory is not None)

    @property
    def has_no_answer(self) -> bool:
        """Whether the job ended with results although, by Vertex's own counts, no row was answered.

        Without counts this is False: the output decides when the bill is recorded.
        """
        unanswered = self.failed_rows > 0 or self.incomplete_rows > 0
        return self.verdict.has_results and self.ok_rows == 0 and unanswered

    @property
    def progress(self) -> str:
        """State and counts. A log line is written only when this changes."""
        if not (self.ok_rows or self.failed_rows):
            return self.state
        left = f", {self.incomplete_rows:,} to go" if self.incomplete_rows > 0 else ""
        return f"{self.state} ({self.ok_rows:,} rows done, {self.failed_rows:,} failed{left})"


def assess(
    reading: BatchPredictionJob | VertexBatchError, *, now: datetime, failures: int, limits: PollLimits
) -> JobReading:
    """Decide what one poll of a job means.

    :param reading: the job, or the error that reading it raised. An error does not mean that the job is gone.
    :param failures: polls in a row that have failed before this one.
    """
    if isinstance(reading, VertexBatchError):
        return _assess_failure(reading, now=now, failures=failures, limits=limits)
    seen = describe(reading)
    missed = limits.missed_by(reading, now) if seen.verdict is Verdict.WAIT else None
    return seen if missed is None else replace(seen, verdict=Verdict.DEADLINE, message=missed)


class TaskEnd(StrEnum):
    """How the waiting task ends."""

    SUCCESS = "success"
    FAILED = "failed, not retried"
    RETRIED = "failed, retried: a retry waits for the same job"


def task_end(seen: JobReading, max_failed_ratio: float, *, fail_without_answers: bool = True) -> TaskEnd:
    """Decide how the task ends after the last poll of its job.

    :param max_failed_ratio: the largest share of failed rows with which the task still succeeds, as long as a
        row was answered.
    :param fail_without_answers: whether a job without a single answer fails the task. False for a shard: its
        run may have answers of other shards.
    """
    if seen.verdict is Verdict.POLLING_FAILED:
        return TaskEnd.RETRIED  # the job may still run
    if seen.has_no_answer and fail_without_answers:
        return TaskEnd.FAILED
    if seen.verdict.has_results and seen.failed_ratio <= max_failed_ratio:
        return TaskEnd.SUCCESS
    return TaskEnd.FAILED


class Resubmission(StrEnum):
    """How a job that has ended is submitted again automatically."""

    NONE = "not at all"
    WHOLE = "with the same input: no row was answered"
    RESUME = "with its output folder as the input: only the rest runs"


def resubmission(seen: JobReading, attempt: int, resubmits: int) -> Resubmission:
    """Decide whether a job that failed for a transient reason is submitted again, and what the new job reads.

    Answered rows are never paid for twice: if there may be some, the new job resumes the failed one. A job
    that cannot be resumed is not submitted again.
    """
    if not failed_for_a_passing_reason(seen) or attempt >= resubmits:
        return Resubmission.NONE
    if not seen.may_have_answers:
        return Resubmission.WHOLE
    return Resubmission.RESUME if seen.resumable else Resubmission.NONE


def leaves_rest(seen: JobReading) -> bool:
    """Whether a job ended without results for a passing reason, so that its unanswered rows may run again.

    A job that a person cancelled leaves nothing: what they stopped is not started again.
    """
    if seen.verdict is Verdict.CANCELLED:
        return seen.ran_seconds is not None and seen.ran_seconds >= CUT_OFF_SECONDS
    return seen.verdict in {Verdict.EXPIRED, Verdict.DEADLINE} or failed_for_a_passing_reason(seen)


def failed_for_a_passing_reason(seen: JobReading) -> bool:
    """Whether the job failed because the service was in trouble, and not because of its request."""
    return seen.verdict is Verdict.FAILED and seen.error_code in PASSING_JOB_ERRORS


def is_resumable(model: str, output_directory: str | None) -> bool:
    """Whether a job may read the output of this one as its input, and run only what has no answer.

    Google documents this for batch inference with Gemini (batch-inference/resume-job). Outputs of embedding
    models do not have the form of an input, and of a tuned model the base is not known here.
    """
    name = model.removeprefix("publishers/google/models/")
    is_gemini = name.startswith("gemini-") and not name.startswith("gemini-embedding")
    return is_gemini and (output_directory or "").startswith("gs://")


def _assess_failure(
    error: VertexBatchError, *, now: datetime, failures: int, limits: PollLimits
) -> JobReading:
    if isinstance(error, NotFoundError):
        return JobReading(Verdict.LOST, message=str(error))
    if not isinstance(error, TransientError) or failures >= limits.tolerated_failures:
        return JobReading(Verdict.POLLING_FAILED, message=str(error))
    if now >= limits.deadline_at:
        return JobReading(Verdict.DEADLINE, message=str(error))
    return JobReading(Verdict.WAIT, message=str(error))


def describe(job: BatchPredictionJob) -> JobReading:
    """Read what a job says of itself, before limits are applied."""
    stats = job.completion_stats
    ran = (job.ended_at - job.start_time).total_seconds() if job.ended_at and job.start_time else None
    return JobReading(
        verdict=_VERDICT_OF_STATE.get(job.state, Verdict.WAIT),
        state=job.raw_state,
        ok_rows=stats.successful_count if stats else 0,
        failed_rows=stats.failed_count if stats else 0,
        incomplete_rows=stats.incomplete_count if stats else 0,
        error_code=job.error.code if job.error else 0,
        message=job.error.message if job.error else "",
        output_directory=job.output_directory,
        resumable=is_resumable(job.model, job.output_directory),
        ran_seconds=ran,
    )
