"""Cancel a job and wait for its end. A cancel is a request; a job has ended once its state is terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from vertex_batch.errors import CancelNotConfirmedError, FailedPreconditionError
from vertex_batch.lifecycle.finding import find_jobs_by_key
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
    waited = 0.0
    while True:
        job = client.get(*job_id)
        if job.state.is_terminal:
            return job
        if waited >= confirm_seconds:
            raise CancelNotConfirmedError(job=str(job_id), state=job.raw_state, waited_seconds=waited)
        pause = min(max(waited, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        sleep(pause)
        waited += pause


def request_cancel(client: BatchClient, job_id: JobId) -> None:
    """Request a cancel once, without waiting. A job that has already ended is not an error."""
    with suppress(FailedPreconditionError):
        client.cancel(*job_id)


def request_cancel_by_key(
    client: BatchClient, place: Place, *, key: str | None, job_id: str | None, why: str, log: Log
) -> bool:
    """Cancel the jobs with a key. Without a key, or if no job has it, cancel a job by its id.

    :returns: whether there was a job to cancel.
    """
    found = [job.job_id for job in find_jobs_by_key(client, place, key)] if key else []
    job_ids = found or ([job_id] if job_id else [])
    for each in job_ids:
        request_cancel(client, JobId(*place, each))
        log.info("Requested cancellation of job %s: %s", each, why)
    return bool(job_ids)


async def request_cancel_async(client: AsyncBatchClient, job_id: JobId) -> None:
    """`request_cancel` for a trigger, which has no time to wait for the end."""
    with suppress(FailedPreconditionError):
        await client.cancel(*job_id)
