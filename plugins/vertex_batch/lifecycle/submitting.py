"""Submit one job, once: carry out what `submit_rules` decides.

The order is the guarantee. The intent is stored before the POST and completed right after it, and every
attempt begins by looking, so a process that dies at any instant leaves something for the next one to find.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from vertex_batch.errors import PermanentError, VertexBatchError
from vertex_batch.lifecycle.cancelling import ask, cancel_and_confirm
from vertex_batch.lifecycle.finding import LookPolicy, find_jobs, find_jobs_by_key
from vertex_batch.lifecycle.identity import Intent, TaskIdentity, attempt_key, map_index_of
from vertex_batch.lifecycle.submit_rules import (
    Action,
    SubmitDecision,
    after_failed_create,
    after_seen_ending,
    decide_submit,
    known_job,
    must_look_for_a_twin,
    settle_twins,
)
from vertex_batch.log import Log
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import (
    ATTEMPT_LABEL,
    JOB_KEY_LABEL,
    REQUEST_LABEL,
    TASK_KEY_LABEL,
)
from vertex_batch.vertex.resource import BatchPredictionJob, CreateJobRequest

DEFAULT_RESEND_DELAY_SECONDS = 5.0


class IntentStore(Protocol):
    """Where the intent outlives the process. In Airflow: ``context["task_state_store"]``."""

    def load(self) -> Intent | None: ...

    def save(self, intent: Intent) -> None: ...


_CREATES = (Action.SUBMIT, Action.CANCEL_THEN_SUBMIT)


@dataclass(frozen=True, slots=True)
class Submission:
    """How the task came to its job."""

    job_id: str
    action: Action
    reason: str
    job: BatchPredictionJob | None = None


class SupersededError(PermanentError):
    """A job was not submitted again, because another runs in its place.

    :param job_id: the one that runs.
    """

    def __init__(self, job_id: str, reason: str) -> None:
        self.job_id, self.reason = job_id, reason
        super().__init__(f"Nothing was submitted again: {reason} (job {job_id}). A retry will not either.")


class Submitter:
    """Brings one task to exactly one job.

    :param before_intent: called once it is decided that a job is to be created, before anything is stored or
        cancelled for it; what it raises keeps it from being submitted. It is not called for a job that is
        adopted, nor once an intent for this very job was stored: then it has been called.
    :param before_create: called right before each POST; what it raises keeps the POST from being sent.
    :param sleep: waits between looks; replaced in tests.
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
        self, identity: TaskIdentity, epoch: int, project: str, location: str, request: CreateJobRequest
    ) -> Submission:
        """Find this task's job, or create it.

        :param request: what to run; the labels that find it again are added here.
        :raises AmbiguousSubmitError: the outcome is unknown even after looking; a later try looks again.
        :raises VertexBatchError: nothing was submitted, for the reason given.
        """
        fingerprint = request.fingerprint()
        labels = {**request.labels, **identity.labels(epoch, fingerprint)}
        request = request.model_copy(update={"labels": labels})
        wanted = Intent(
            epoch,
            identity.job_key(epoch),
            fingerprint,
            project,
            location,
            declared_at=self._now().isoformat(),
            map_index=identity.map_index,
        )
        return self._bring(identity.task_key, wanted, request)

    def resubmit(
        self, failed: BatchPredictionJob, job_key: str, attempt: int, project: str, location: str
    ) -> Submission:
        """Find the job of a later attempt, or create it: the same request as that of a job that failed.

        :param failed: the job of an earlier attempt.
        :param job_key: that of the first attempt.
        :raises SupersededError: the task was cleared meanwhile, and its job is another now.
        """
        key = attempt_key(job_key, attempt)
        labels = {**failed.labels, JOB_KEY_LABEL: key, ATTEMPT_LABEL: str(attempt)}
        fingerprint = labels.get(REQUEST_LABEL, "")
        declared_at = self._now().isoformat()
        index = map_index_of(labels)
        wanted = Intent(0, key, fingerprint, project, location, declared_at, attempt=attempt, map_index=index)
        request = CreateJobRequest.again(failed).model_copy(update={"labels": labels})
        return self._bring(labels.get(TASK_KEY_LABEL, ""), wanted, request)

    def _bring(
        self, task_key: str, wanted: Intent, request: CreateJobRequest, *, is_checked: bool = False
    ) -> Submission:
        stored = self._store.load()
        known = known_job(wanted, stored)
        if known and known.job_id:
            self._log.info("Going on with job %s: %s.", known.job_id, known.reason)
            return Submission(known.job_id, known.action, known.reason)
        is_checked = is_checked or (stored is not None and stored.job_key == wanted.job_key)
        return self._look_and_create(task_key, wanted, stored, request, is_checked=is_checked)

    def _look_and_create(
        self,
        task_key: str,
        wanted: Intent,
        stored: Intent | None,
        request: CreateJobRequest,
        *,
        is_checked: bool,
    ) -> Submission:
        creates_left = self._policy.creates
        last_error: VertexBatchError | None = None
        while True:
            looked_at = self._now()
            decision = self._look(task_key, wanted, stored)
            if not is_checked and decision.action in _CREATES and not self._check_quickly(looked_at):
                # Another try, which takes this one for dead, may have gone ahead meanwhile.
                return self._bring(task_key, wanted, request, is_checked=True)
            is_checked = is_checked or decision.action in _CREATES
            if decision.action is Action.GIVE_WAY and decision.job:
                raise SupersededError(decision.job.job_id, decision.reason)
            if decision.action is Action.ADOPT and decision.job:
                return self._adopt(wanted, decision.job, decision.reason)
            if decision.action in {Action.CANCEL_THEN_SUBMIT, Action.SEE_IT_END} and decision.job:
                self._log.info("Seeing job %s end first: %s.", decision.job.job_id, decision.reason)
                ended = cancel_and_confirm(
                    self._client, wanted.project, wanted.location, decision.job.job_id, sleep=self._sleep
                )
                if after_seen_ending(ended, wanted):
                    return self._adopt(wanted, ended, "its cancel came too late: it has succeeded")
                continue
            if creates_left == 0 and last_error:
                raise last_error
            creates_left -= 1
            stored = wanted = replace(wanted, declared_at=self._now().isoformat())
            self._store.save(wanted)
            self._before_create()
            try:
                job = self._client.create(wanted.project, wanted.location, request)
            except VertexBatchError as error:
                last_error = error
                self._recover(error, creates_left)
                if after_failed_create(error, tries_left=creates_left) is Action.SUBMIT:
                    stored = None  # a definite refusal leaves nothing to look for
                continue
            return self._settle(wanted, job, decision.reason)

    def _check_quickly(self, looked_at: datetime) -> bool:
        """Call `before_intent`; return whether what was seen at a time is still worth something after it."""
        self._before_intent()
        return self._now() - looked_at <= timedelta(seconds=self._policy.interval_seconds)

    def _adopt(self, wanted: Intent, job: BatchPredictionJob, reason: str) -> Submission:
        self._store.save(wanted.with_job(job.job_id))
        self._log.info("Adopting job %s: %s.", job.job_id, reason)
        return Submission(job.job_id, Action.ADOPT, reason, job)

    def _settle(self, wanted: Intent, job: BatchPredictionJob, reason: str) -> Submission:
        """Keep the job just created, unless this process slept so long that another try has one, too."""
        window = timedelta(seconds=self._policy.window_seconds)
        if must_look_for_a_twin(wanted, self._now(), window):
            kept, twins = settle_twins([job, *self._others(wanted, job)])
            for twin in twins:
                self._log.warning("Cancelling job %s: job %s carries its key.", twin.job_id, kept.job_id)
                ask(self._client, wanted.project, wanted.location, twin.job_id)
            if kept.job_id != job.job_id:
                return self._adopt(wanted, kept, "another try of this task has submitted it meanwhile")
        self._store.save(wanted.with_job(job.job_id))
        self._log.info("Submitted job %s: %s.", job.job_id, reason)
        return Submission(job.job_id, Action.SUBMIT, reason, job)

    def _others(self, wanted: Intent, job: BatchPredictionJob) -> list[BatchPredictionJob]:
        found = find_jobs_by_key(self._client, wanted.project, wanted.location, wanted.job_key)
        return [other for other in found if other.job_id != job.job_id]

    def _recover(self, error: VertexBatchError, creates_left: int) -> None:
        following = after_failed_create(error, tries_left=creates_left)
        if following is None:
            raise error
        self._log.warning("%s", error)
        if following is Action.SUBMIT:
            self._sleep(getattr(error, "retry_after_seconds", None) or DEFAULT_RESEND_DELAY_SECONDS)

    def _look(self, task_key: str, wanted: Intent, stored: Intent | None) -> SubmitDecision:
        """Ask the list until the decision is sure."""
        while True:
            found = find_jobs(self._client, wanted.project, wanted.location, task_key)
            decision = decide_submit(
                wanted, stored, found, looked_long_enough=self._looked_long_enough(stored)
            )
            if decision.action is not Action.LOOK_AGAIN:
                return decision
            self._log.info("Looking again in %g s: %s.", self._policy.interval_seconds, decision.reason)
            self._sleep(self._policy.interval_seconds)

    def _looked_long_enough(self, stored: Intent | None) -> bool:
        if stored is None:
            return True
        since = datetime.fromisoformat(stored.declared_at)
        return self._now() - since >= timedelta(seconds=self._policy.window_seconds)
