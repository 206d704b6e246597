"""Submit one job, once: carries out what `vertex_batch.lifecycle` decides.

The order is the guarantee. The intent is stored before the POST and completed right after it, and every
attempt begins by looking, so a process that dies at any instant leaves something for the next one to find.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from vertex_batch.cancellation import cancel_and_confirm
from vertex_batch.client import BatchClient
from vertex_batch.errors import VertexBatchError
from vertex_batch.lifecycle import (
    JOB_KEY_LABEL,
    TASK_KEY_LABEL,
    Action,
    Intent,
    SubmitDecision,
    TaskIdentity,
    after_failed_create,
    decide_submit,
    known_job,
)
from vertex_batch.resource import BatchPredictionJob, CreateJobRequest

DEFAULT_RESEND_DELAY_SECONDS = 5.0


class Log(Protocol):
    """What Airflow's task log and the standard library's have in common."""

    def info(self, msg: str, /, *args: Any) -> Any: ...

    def warning(self, msg: str, /, *args: Any) -> Any: ...


class IntentStore(Protocol):
    """Where the intent outlives the process. In Airflow: ``context["task_state_store"]``."""

    def load(self) -> Intent | None: ...

    def save(self, intent: Intent) -> None: ...


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """How hard to look before a second POST.

    :param window_seconds: how long after a lost answer a job may still appear in the list. It must cover the
        proxy's own time-out, since the proxy finishes a POST whose client has gone.
    :param creates: POSTs that one attempt may send.
    """

    window_seconds: float = 180.0
    interval_seconds: float = 5.0
    creates: int = 4


@dataclass(frozen=True, slots=True)
class Submission:
    """How the task came to its job."""

    job_id: str
    action: Action
    reason: str
    job: BatchPredictionJob | None = None


class Submitter:
    """Brings one task to exactly one job.

    :param sleep: waits between looks; replaced in tests.
    """

    def __init__(
        self,
        client: BatchClient,
        store: IntentStore,
        policy: LookPolicy | None = None,
        *,
        log: Log | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._store = store
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
        )
        stored = self._store.load()
        known = known_job(wanted, stored)
        if known and known.job_id:
            self._log.info("Going on with job %s: %s.", known.job_id, known.reason)
            return Submission(known.job_id, known.action, known.reason)
        return self._look_and_create(identity, wanted, stored, request)

    def _look_and_create(
        self, identity: TaskIdentity, wanted: Intent, stored: Intent | None, request: CreateJobRequest
    ) -> Submission:
        creates_left = self._policy.creates
        last_error: VertexBatchError | None = None
        while True:
            decision = self._look(identity, wanted, stored)
            if decision.action is Action.ADOPT and decision.job:
                self._store.save(wanted.with_job(decision.job.job_id))
                self._log.info("Adopting job %s: %s.", decision.job.job_id, decision.reason)
                return Submission(decision.job.job_id, decision.action, decision.reason, decision.job)
            if decision.action is Action.CANCEL_THEN_SUBMIT and decision.job:
                self._log.info("Cancelling job %s first: %s.", decision.job.job_id, decision.reason)
                cancel_and_confirm(
                    self._client, wanted.project, wanted.location, decision.job.job_id, sleep=self._sleep
                )
                continue
            if creates_left == 0 and last_error:
                raise last_error
            creates_left -= 1
            stored = wanted = replace(wanted, declared_at=self._now().isoformat())
            self._store.save(wanted)
            try:
                job = self._client.create(wanted.project, wanted.location, request)
            except VertexBatchError as error:
                last_error = error
                self._recover(error, creates_left)
                if after_failed_create(error, tries_left=creates_left) is Action.SUBMIT:
                    stored = None  # a definite refusal leaves nothing to look for
                continue
            self._store.save(wanted.with_job(job.job_id))
            self._log.info("Submitted job %s: %s.", job.job_id, decision.reason)
            return Submission(job.job_id, Action.SUBMIT, decision.reason, job)

    def _recover(self, error: VertexBatchError, creates_left: int) -> None:
        following = after_failed_create(error, tries_left=creates_left)
        if following is None:
            raise error
        self._log.warning("%s", error)
        if following is Action.SUBMIT:
            self._sleep(getattr(error, "retry_after_seconds", None) or DEFAULT_RESEND_DELAY_SECONDS)

    def _look(self, identity: TaskIdentity, wanted: Intent, stored: Intent | None) -> SubmitDecision:
        """Ask the list until the decision is sure."""
        while True:
            found = find_jobs(self._client, wanted.project, wanted.location, identity.task_key)
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


def find_jobs(client: BatchClient, project: str, location: str, task_key: str) -> list[BatchPredictionJob]:
    """List every job that a task has submitted in its run, newest first, whichever epoch."""
    return list(client.list(project, location, filter=f'labels.{TASK_KEY_LABEL}="{task_key}"'))


def find_job_by_key(
    client: BatchClient, project: str, location: str, job_key: str
) -> BatchPredictionJob | None:
    """Look for the job of one epoch; None where the list does not show it (yet)."""
    return next(iter(client.list(project, location, filter=f'labels.{JOB_KEY_LABEL}="{job_key}"')), None)
