"""Cancel jobs and wait for their ends. A cancel is a request; a job has ended once its state is terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

from vertex_batch.errors import (
    CancelNotConfirmedError,
    FailedPreconditionError,
    NotFoundError,
    VertexBatchError,
    passing_first,
)
from vertex_batch.lifecycle.finding import find_jobs_by_key
from vertex_batch.lifecycle.ownership import check_run
from vertex_batch.log import Log
from vertex_batch.vertex.client import AsyncBatchClient, BatchClient
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import BatchPredictionJob

DEFAULT_CONFIRM_SECONDS = 600.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 10.0


def cancel_and_confirm(
    client: BatchClient,
    job_id: JobId,
    *,
    confirm_seconds: float = DEFAULT_CONFIRM_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> BatchPredictionJob:
    """Request a cancel, then poll until the job has ended.

    The job may succeed before the cancel takes effect; then it is returned as it is. Finished rows of a
    cancelled job are billed.

    :raises CancelNotConfirmedError: it had not ended after ``confirm_seconds``; it may still run.
    :raises NotFoundError: the job does not exist.
    """
    request_cancel(client, job_id)
    return _Waiting(client, confirm_seconds, sleep).end_of(job_id)


def cancel_all(
    client: BatchClient,
    job_ids: Iterable[JobId],
    *,
    confirm_seconds: float | None = DEFAULT_CONFIRM_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[JobId, BatchPredictionJob]:
    """Request the cancels of all jobs, then poll until all have ended.

    If a job cannot be cancelled or does not end, the others are still cancelled.

    :param job_ids: each is read right before its cancel is requested.
    :param confirm_seconds: how long after the requests all of them may take to end; None: do not wait.
    :returns: how each job ended; none if they were not waited for. A job that was deleted is left out.
    :raises VertexBatchError: raised after all jobs have been tried, if one failed; see `passing_first`. It
        says how the others ended.
    """
    requested: list[JobId] = []
    errors: list[VertexBatchError] = []
    for job_id in job_ids:
        try:
            request_cancel(client, job_id)
            requested.append(job_id)
        except NotFoundError:
            continue
        except VertexBatchError as error:
            errors.append(error)
    ended: dict[JobId, BatchPredictionJob] = {}
    waiting = _Waiting(client, confirm_seconds or 0.0, sleep)
    for job_id in requested if confirm_seconds is not None else ():
        try:
            ended[job_id] = waiting.end_of(job_id)
        except NotFoundError:
            continue
        except VertexBatchError as error:
            errors.append(error)
    if errors:
        raised = passing_first(errors)
        others = [f"Job {job_id} ended as {job.state}." for job_id, job in ended.items()]
        raised.others = " ".join([*others, *(str(error) for error in errors if error is not raised)])
        raise raised
    return ended


@dataclass(slots=True)
class _Waiting:
    """Waits for the ends of jobs whose cancels were requested together."""

    client: BatchClient
    confirm_seconds: float
    sleep: Callable[[float], None]
    waited: float = 0.0

    def end_of(self, job_id: JobId) -> BatchPredictionJob:
        while not (job := self.client.get(*job_id)).state.is_terminal:
            if self.waited >= self.confirm_seconds:
                raise CancelNotConfirmedError(str(job_id), job.raw_state, self.waited)
            pause = min(max(self.waited, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
            self.sleep(pause)
            self.waited += pause
        return job


def request_cancel(client: BatchClient, job_id: JobId) -> None:
    """Request a cancel once, without waiting. A job that has already ended is not an error."""
    with suppress(FailedPreconditionError):
        client.cancel(*job_id)


def request_cancel_by_key(
    client: BatchClient,
    place: Place,
    run: tuple[str, str],
    *,
    key: str | None,
    job_id: str | None,
    why: str,
    log: Log,
) -> bool:
    """Cancel the jobs with a key. Without a key, or if no job has it, cancel a job by its id.

    :param run: the DAG and the run of the task.
    :returns: whether there was a job to cancel.
    :raises OtherRunsJobError: another run submitted it.
    """
    found = find_jobs_by_key(client, place, key) if key else []
    if job_id and not found:
        found = [client.get(*place, job_id)]
    for job in found:
        check_run(job, *run)
        request_cancel(client, JobId(*place, job.job_id))
        log.info("Requested cancellation of job %s: %s", job.job_id, why)
    return bool(found)


async def request_cancel_async(client: AsyncBatchClient, job_id: JobId, run: tuple[str, str]) -> None:
    """`request_cancel` for a trigger, which has no time to wait for the end.

    :param run: the DAG and the run of the task that waits for the job.
    :raises OtherRunsJobError: another run submitted it.
    """
    check_run(await client.get(*job_id), *run)
    with suppress(FailedPreconditionError):
        await client.cancel(*job_id)
