"""The job that a waiting task currently waits for: the submitted one, or one that was resubmitted after it.

A job that failed for a transient reason is submitted again, by the worker that resumes the task and never by
the trigger. If rows were answered, the new job resumes the failed one. It gets the same care as a first
submission: an intent in the task's store before the POST, a key that only this attempt has, and a search
before any second POST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vertex_batch.lifecycle.finding import find_jobs_by_key
from vertex_batch.lifecycle.identity import attempt_key
from vertex_batch.lifecycle.ownership import check_run
from vertex_batch.lifecycle.submitting import Submitter
from vertex_batch.lifecycle.waiting import JobReading, Resubmission, describe, resubmission
from vertex_batch.log import Log
from vertex_batch.tasks.context import TaskStateIntentStore, look_policy
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context

_TALLY_KEY = "failed_polls"


class Attempts:
    """The current attempt of a task, kept in its state store.

    :param first: the job that the submit task returned.
    :param resubmits: how many attempts may follow.
    :param before_create: called before a job is submitted again, first before anything is stored for it, then
        before each POST; see `Submitter`. If it raises, nothing is submitted.
    """

    def __init__(
        self,
        context: Context,
        first: JobReference,
        resubmits: int,
        *,
        log: Log,
        before_create: Callable[[], None],
    ) -> None:
        self._store = TaskStateIntentStore(context)
        self._run = context["ti"].dag_id, context["ti"].run_id
        self._first, self._resubmits = first, resubmits
        self._log, self._before_create = log, before_create
        self.number, self.job = 0, first
        self._in_doubt = 0
        self._resume()

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier process of this task may have crashed before it stored the id of a new job."""
        return self._in_doubt > 0

    @property
    def key_in_doubt(self) -> str | None:
        """The key of a job that is being submitted right now."""
        latest = self._store.latest
        return latest.job_key if latest and latest.is_in_doubt else None

    def submits_again_after(self, seen: JobReading) -> bool:
        """Whether the job that has ended should be submitted again."""
        again = resubmission(seen, self.number, self._resubmits)
        return bool(self._first.job_key) and again is not Resubmission.NONE

    def submit_next(self, client: BatchClient) -> JobReference:
        """Submit the next attempt, or find the one that was already submitted.

        :raises SupersededError: the submit task was cleared and has a new job.
        :raises OtherRunsJobError: another run submitted the job that has ended.
        """
        number = self._in_doubt or self.number + 1
        first = self._first
        submitter = Submitter(
            client,
            self._store,
            look_policy(),
            log=self._log,
            before_intent=self._before_create,
            before_create=self._before_create,
        )
        failed = self._attempt(client, number - 1)
        check_run(failed, *self._run)
        submission = submitter.resubmit(
            failed,
            first.job_key,
            number,
            first.id.place,
            resume=resubmission(describe(failed), 0, 1) is Resubmission.RESUME,
        )
        self._in_doubt = 0
        self._set(number, submission.job_id)
        return self.job

    def not_run(self, client: BatchClient, seen: JobReading) -> tuple[int, int]:
        """The rows of the present job's output, and those that the first attempt read.

        They differ if a job that resumed another one did not find all of its rows. (0, 0) if the counts are
        not known.
        """
        first = describe(client.get(self._first.project, self._first.location, self._first.job_id))
        if min(first.incomplete_rows, seen.incomplete_rows) < 0 or not _rows(seen):
            return 0, 0
        return _rows(seen), _rows(first)

    def _attempt(self, client: BatchClient, number: int) -> BatchPredictionJob:
        """The job of an attempt, which has ended."""
        first = self._first
        if number and number != self.number:  # a process that was to submit the next one has crashed
            key = attempt_key(first.job_key, number)
            found = find_jobs_by_key(client, first.id.place, key)
            if found:
                return found[-1]
        job_id = self.job.job_id if number == self.number else first.job_id
        return client.get(first.project, first.location, job_id)

    def _resume(self) -> None:
        stored = self._store.load()
        if not stored or not stored.attempt:
            return
        first = self._first
        if (stored.job_key, stored.place) != (attempt_key(first.job_key, stored.attempt), first.id.place):
            return  # of a job before the submit task was cleared
        if stored.job_id:
            self._set(stored.attempt, stored.job_id)
        elif stored.is_in_doubt:
            self._in_doubt = stored.attempt

    def _set(self, number: int, job_id: str) -> None:
        self.number = number
        key = attempt_key(self._first.job_key, number)
        # A resumed job reads another input than the first one.
        self.job = replace(self._first, job_id=job_id, job_key=key, input_rows=None)


def _rows(seen: JobReading) -> int:
    return seen.ok_rows + seen.failed_rows + seen.incomplete_rows


class FailureTally:
    """Counts failed polls in a row, for a sensor that runs each poll in a new process.

    The count is kept in the task's state store for one try. A retry starts again at zero.
    """

    def __init__(self) -> None:
        self._kept = 0

    def restore(self, context: Context) -> int:
        """Return the count of the earlier processes of this try."""
        kept: object = context["task_state_store"].get(_TALLY_KEY)
        self._kept = 0
        if isinstance(kept, dict) and kept.get("try_number") == context["ti"].try_number:
            self._kept = int(kept["failures"])
        return self._kept

    def keep(self, context: Context, failures: int) -> None:
        """Store the count if it has changed."""
        if failures != self._kept:
            context["task_state_store"].set(
                _TALLY_KEY, {"try_number": context["ti"].try_number, "failures": failures}
            )
            self._kept = failures
