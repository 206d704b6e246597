"""The job that a waiting task currently waits for: the submitted one, or one that was resubmitted after it.

A job that failed for a transient reason is submitted again, by the worker that resumes the task and never by
the trigger. It gets the same care as a first submission: an intent in the task's store before the POST, a key
that only this attempt has, and a search before any second POST.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vertex_batch.lifecycle.identity import attempt_key
from vertex_batch.lifecycle.submitting import Submitter
from vertex_batch.lifecycle.waiting import JobReading, may_resubmit
from vertex_batch.log import Log
from vertex_batch.tasks.context import TaskStateIntentStore, look_policy
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.resource import JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context


class Attempts:
    """The current attempt of a task, kept in its state store.

    :param first: the job that the submit task returned.
    :param resubmits: how many attempts may follow.
    :param before_create: see `Submitter`.
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

    def goes_on_after(self, seen: JobReading) -> bool:
        """Whether the job that has ended should be submitted again."""
        return bool(self._first.job_key) and may_resubmit(seen, self.number, self._resubmits)

    def submit_next(self, client: BatchClient) -> JobReference:
        """Submit the next attempt, or find the one that was already submitted.

        :raises SupersededError: the submit task was cleared and has a new job.
        """
        number = self._in_doubt or self.number + 1
        first = self._first
        submitter = Submitter(
            client, self._store, look_policy(), log=self._log, before_create=self._before_create
        )
        failed = client.get(first.project, first.location, self.job.job_id)
        submission = submitter.resubmit(failed, first.job_key, number, first.project, first.location)
        self._in_doubt = 0
        self._set(number, submission.job_id)
        return self.job

    def _resume(self) -> None:
        stored = self._store.load()
        if not stored or not stored.attempt:
            return
        if stored.job_key != attempt_key(self._first.job_key, stored.attempt):
            return  # of a job before the submit task was cleared
        if stored.job_id:
            self._set(stored.attempt, stored.job_id)
        elif stored.is_in_doubt:
            self._in_doubt = stored.attempt

    def _set(self, number: int, job_id: str) -> None:
        self.number = number
        self.job = replace(self._first, job_id=job_id, job_key=attempt_key(self._first.job_key, number))
