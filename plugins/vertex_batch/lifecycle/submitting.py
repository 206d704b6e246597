"""Submit one job, once: carry out what `submit_rules` decides.

The order is the guarantee. The intent is stored before the POST and completed right after it, and every
attempt begins with a search. So whenever a process crashes, the next one finds what it left.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

from vertex_batch.errors import PermanentError, VertexBatchError
from vertex_batch.lifecycle.cancelling import cancel_all, cancel_and_confirm, request_cancel
from vertex_batch.lifecycle.finding import (
    LookPolicy,
    find_group_jobs,
    find_jobs,
    find_jobs_by_key,
    look_for_lost_job,
)
from vertex_batch.lifecycle.identity import Intent, TaskIdentity, attempt_key, map_index_of
from vertex_batch.lifecycle.submit_rules import (
    USUAL_REASON,
    Action,
    SubmitDecision,
    after_failed_create,
    after_seen_ending,
    choose_among_duplicates,
    decide_submit,
    is_sure_refusal,
    known_job,
    may_have_duplicate,
)
from vertex_batch.log import Log
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import ATTEMPT_LABEL, IDEMPOTENCY_KEY_LABEL, REQUEST_LABEL, TASK_KEY_LABEL
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import BatchPredictionJob, CreateJobRequest

DEFAULT_RESEND_DELAY_SECONDS = 5.0
LONGEST_RESEND_DELAY_SECONDS = 300.0
"""A longer pause is not spent in the worker: the error is raised, and the task's retry comes after it."""


class IntentStore(Protocol):
    """Keeps the intent after the process has ended. In Airflow: ``context["task_state_store"]``."""

    def load(self) -> Intent | None: ...

    def save(self, intent: Intent) -> None: ...


FindJobs = Callable[[Place], list[BatchPredictionJob]]
"""The jobs of a task in one project and location, of all epochs."""
_CREATES = (Action.SUBMIT, Action.CANCEL_THEN_SUBMIT)


@dataclass(frozen=True, slots=True)
class Submission:
    """The task's job, and how the task got it."""

    job_id: str
    action: Action


class SupersededError(PermanentError):
    """A job was not submitted again, because another one runs in its place.

    :param job_id: the job that runs.
    """

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id, self.reason = job_id, reason
        super().__init__(
            f"Nothing was submitted again: {reason} (job {job_id}). A retry will not submit it either."
        )


class Submitter:
    """Makes sure that one task has exactly one job.

    :param before_intent: called once it is decided that a job will be created, before anything is stored or
        cancelled for it. If it raises, nothing is submitted. It is not called for a job that is adopted.
    :param before_create: called right before each POST. If it raises, the POST is not sent.
    :param sleep: waits between searches; replaced in tests.
    """

    def __init__(
        self,
        client: BatchClient,
        store: IntentStore,
        policy: LookPolicy | None = None,
        *,
        log: Log | None = None,
        before_intent: Callable[[], object] = lambda: None,
        before_create: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._store = store
        self._before_intent = before_intent
        self._before_create = before_create
        self._policy = policy or LookPolicy()
        self._log: Log = log or logging.getLogger(__name__)
        self._sleep = sleep
        self._now = now

    def submit(
        self, identity: TaskIdentity, epoch: int, place: Place, request: CreateJobRequest
    ) -> Submission:
        """Find this task's job, or create it.

        :param request: what to run; the labels that find the job again are added here.
        :raises AmbiguousSubmitError: the outcome is unknown even after a search; a later try searches again.
        :raises VertexBatchError: nothing was submitted, for the reason given.
        """
        fingerprint = request.fingerprint()
        labels = {**request.labels, **identity.labels(epoch, fingerprint)}
        request = request.model_copy(update={"labels": labels})
        wanted = Intent(
            epoch,
            identity.idempotency_key(epoch),
            fingerprint,
            *place,
            declared_at=self._now().isoformat(),
            map_index=identity.map_index,
        )
        # Shards of the same task may have been submitted before its spec got `split: off`.
        is_mapped = identity.map_index >= 0
        find = partial(find_jobs, self._client, task_key=identity.task_key)
        find_all = partial(find_group_jobs, self._client, group_key=identity.group_key)
        return self._submit_or_adopt(find if is_mapped else find_all, wanted, request)

    def resubmit(
        self, failed: BatchPredictionJob, first_key: str, attempt: int, place: Place, *, resume: bool = False
    ) -> Submission:
        """Find the job of a later attempt, or create it with the request of the job that failed.

        :param failed: the job of the attempt before.
        :param first_key: the idempotency key of the first attempt.
        :param resume: the new job reads the output folder of the failed one, so that only the rows without an
            answer run. Its labels are those of the same work, by which a cleared task finds it.
        :raises SupersededError: the task was cleared in the meantime and has another job now.
        """
        key = attempt_key(first_key, attempt)
        labels = {**failed.labels, IDEMPOTENCY_KEY_LABEL: key, ATTEMPT_LABEL: str(attempt)}
        fingerprint = labels.get(REQUEST_LABEL, "")
        declared_at = self._now().isoformat()
        index = map_index_of(labels)
        wanted = Intent(0, key, fingerprint, *place, declared_at, attempt=attempt, map_index=index)
        again = CreateJobRequest.resuming(failed) if resume else CreateJobRequest.again(failed)
        request = again.model_copy(update={"labels": labels})
        find = partial(find_jobs, self._client, task_key=labels.get(TASK_KEY_LABEL, ""))
        return self._submit_or_adopt(find, wanted, request)

    def _submit_or_adopt(
        self, find: FindJobs, wanted: Intent, request: CreateJobRequest, *, is_checked: bool = False
    ) -> Submission:
        stored = self._store.load()
        wanted = wanted.following(stored)
        known = known_job(wanted, stored)
        if known and known.job_id:
            self._log.info("Resuming job %s: %s.", known.job_id, known.reason)
            return Submission(known.job_id, known.action)
        return self._look_and_create(find, wanted, stored, request, is_checked=is_checked)

    def _look_and_create(
        self,
        find: FindJobs,
        wanted: Intent,
        stored: Intent | None,
        request: CreateJobRequest,
        *,
        is_checked: bool,
    ) -> Submission:
        creates_left = self._policy.creates
        last_error: VertexBatchError | None = None
        # Whether each POST so far was surely refused, also those of earlier tries.
        all_refused = stored is None or stored.job_key != wanted.job_key or stored.refused
        while True:
            looked_at = self._now()
            decision = self._look(find, wanted, stored)
            if not is_checked and decision.action in _CREATES and not self._check_quickly(looked_at):
                # Another try may have assumed that this one crashed, and submitted in the meantime.
                return self._submit_or_adopt(find, wanted, request, is_checked=True)
            is_checked = is_checked or decision.action in _CREATES
            if decision.action is Action.GIVE_WAY and decision.job:
                raise SupersededError(decision.job.job_id, decision.reason)
            if decision.action is Action.ADOPT and decision.job:
                return self._adopt(wanted, decision.job, decision.reason)
            if decision.action in {Action.CANCEL_THEN_SUBMIT, Action.SEE_IT_END} and decision.job:
                self._log.info("Waiting for job %s to end first: %s.", decision.job.job_id, decision.reason)
                ended = cancel_and_confirm(
                    self._client, JobId(*wanted.place, decision.job.job_id), sleep=self._sleep
                )
                if after_seen_ending(ended, wanted):
                    return self._adopt(wanted, ended, "it succeeded before its cancel took effect")
                continue
            if creates_left == 0 and last_error:
                raise last_error
            creates_left -= 1
            self._leave(find, wanted, stored)
            stored = wanted = replace(wanted, declared_at=self._now().isoformat())
            self._store.save(wanted)
            self._before_create()
            try:
                job = self._client.create(*wanted.place, request)
            except VertexBatchError as error:
                last_error = error
                all_refused = self._all_refused(wanted, error, so_far=all_refused)
                if self._recover(error, creates_left) is Action.SUBMIT:
                    stored = None  # after a definite refusal there is nothing to search for
                continue
            return self._settle(wanted, job, decision.reason, looked_at)

    def _leave(self, find: FindJobs, wanted: Intent, stored: Intent | None) -> None:
        """Cancel what the task has submitted to other projects and locations: no task waits for it."""
        if stored and stored.is_in_doubt and stored.place in wanted.elsewhere:
            look_for_lost_job(self._client, stored, self._policy, sleep=self._sleep, now=self._now)
        left = [
            JobId(*place, job.job_id)
            for place in wanted.elsewhere
            for job in find(place)
            if not job.state.is_terminal
        ]
        for job_id in left:
            self._log.info("Cancelling job %s: its task has moved", job_id)
        cancel_all(self._client, left, sleep=self._sleep)

    def _check_quickly(self, looked_at: datetime) -> bool:
        """Call `before_intent`; return whether it was quick enough for the earlier search to be valid."""
        self._before_intent()
        return self._now() - looked_at <= timedelta(seconds=self._policy.interval_seconds)

    def _adopt(self, wanted: Intent, job: BatchPredictionJob, reason: str) -> Submission:
        self._store.save(wanted.with_job(job.job_id))
        self._log.info("Adopting job %s: %s.", job.job_id, reason)
        if job.labels.get(REQUEST_LABEL, wanted.fingerprint) != wanted.fingerprint:
            self._log.warning(
                "Job %s was submitted with another request than the present one, and answers that one",
                job.job_id,
            )
        return Submission(job.job_id, Action.ADOPT)

    def _settle(
        self, wanted: Intent, job: BatchPredictionJob, reason: str, looked_at: datetime
    ) -> Submission:
        """Keep the job just created, unless the POST took so long that another try has one as well."""
        window = timedelta(seconds=self._policy.window_seconds)
        if may_have_duplicate(looked_at, self._now(), window):
            kept, duplicates = choose_among_duplicates([job, *self._others(wanted, job)])
            for duplicate in duplicates:
                self._log.warning("Cancelling job %s: job %s carries its key.", duplicate.job_id, kept.job_id)
                request_cancel(self._client, JobId(*wanted.place, duplicate.job_id))
            if kept.job_id != job.job_id:
                return self._adopt(wanted, kept, "another try of this task submitted it in the meantime")
        self._store.save(wanted.with_job(job.job_id))
        # The usual reason would only distract.
        self._log.info("Submitted job %s%s", job.job_id, f": {reason}" if reason != USUAL_REASON else "")
        return Submission(job.job_id, Action.SUBMIT)

    def _all_refused(self, wanted: Intent, error: VertexBatchError, *, so_far: bool) -> bool:
        """Whether every POST was surely refused. If so, store that no task has to search for a job."""
        if not (so_far and is_sure_refusal(error)):
            return False
        if self._store.load() == wanted:  # else another try has stored its own in the meantime
            self._store.save(replace(wanted, refused=True))
        return True

    def _others(self, wanted: Intent, job: BatchPredictionJob) -> list[BatchPredictionJob]:
        found = find_jobs_by_key(self._client, wanted.place, wanted.job_key)
        return [other for other in found if other.job_id != job.job_id]

    def _recover(self, error: VertexBatchError, creates_left: int) -> Action:
        following = after_failed_create(error, tries_left=creates_left)
        pause = getattr(error, "retry_after_seconds", None) or DEFAULT_RESEND_DELAY_SECONDS
        if following is None or (following is Action.SUBMIT and pause > LONGEST_RESEND_DELAY_SECONDS):
            raise error
        self._log.warning("%s", error)
        if following is Action.SUBMIT:
            self._sleep(pause)
        return following

    def _look(self, find: FindJobs, wanted: Intent, stored: Intent | None) -> SubmitDecision:
        """Read the list until the decision is certain."""
        while True:
            found = find(wanted.place)
            decision = decide_submit(
                wanted, stored, found, looked_long_enough=self._looked_long_enough(stored)
            )
            if decision.action is not Action.LOOK_AGAIN:
                return decision
            self._log.info("Searching again in %g s: %s.", self._policy.interval_seconds, decision.reason)
            self._sleep(self._policy.interval_seconds)

    def _looked_long_enough(self, stored: Intent | None) -> bool:
        if stored is None:
            return True
        since = datetime.fromisoformat(stored.declared_at)
        return self._now() - since >= timedelta(seconds=self._policy.window_seconds)
