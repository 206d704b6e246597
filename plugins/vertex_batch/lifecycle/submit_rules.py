"""Decide on one create, from what was read: submit, adopt, re-attach, or look again.

Nothing here reads a clock, a network or Airflow. `SUBMIT_RULES` is the specification; the documentation
prints it. `waiting` decides on a job that is waited for, and whether a failed one is submitted again;
`ownership` decides on a killed task.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from vertex_batch.errors import AmbiguousSubmitError, ApiError, TransientError, VertexBatchError
from vertex_batch.lifecycle.identity import Intent
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL, REQUEST_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob, JobState


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
    """An action, the job that it concerns, and the reason for the log."""

    action: Action
    reason: str
    job: BatchPredictionJob | None = None
    job_id: str | None = None


class Stored(StrEnum):
    """What the task's store holds."""

    NOTHING = "nothing, or a refused intent"
    INTENT = "an intent without a job, of any epoch"
    JOB = "a job of this epoch"
    EARLIER = "something of an earlier epoch, or of another project or location"


class Listed(StrEnum):
    """What the list shows of the task's jobs, of all epochs: the first of these that applies."""

    OWN = "a job with this idempotency key, in any state"
    SAME = "another job with the same request, active"
    CHANGED = "another job with a different request, active"
    CANCELLING = "another job, being cancelled"
    ENDED = "other jobs, all ended"
    NOTHING = "no job"


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of `SUBMIT_RULES`. A field that is None matches every case.

    :param listed: None: the list is not needed.
    :param looked_long_enough: whether `look_seconds` have passed since the intent was stored.
    :param resubmission: whether the waiting task is the one that submits.
    """

    stored: Stored | None
    listed: Listed | None
    action: Action
    reason: str
    looked_long_enough: bool | None = None
    resubmission: bool | None = None

    def holds(self, stored: Stored, listed: Listed, *, looked_long_enough: bool, resubmission: bool) -> bool:
        return (
            self.stored in {None, stored}
            and self.listed in {None, listed}
            and self.looked_long_enough in {None, looked_long_enough}
            and self.resubmission in {None, resubmission}
        )


# The specification: the first rule that matches decides. `docs/lifecycle.md` prints it.
SUBMIT_RULES = (
    Rule(Stored.JOB, None, Action.REATTACH, "an earlier try of this task submitted it"),
    Rule(None, Listed.OWN, Action.ADOPT, "it carries this task's key: its answer was lost"),
    Rule(None, Listed.SAME, Action.ADOPT, "the task was cleared while the same request still runs"),
    Rule(
        None,
        Listed.CHANGED,
        Action.CANCEL_THEN_SUBMIT,
        "the task was cleared and its request has changed",
        resubmission=False,
    ),
    Rule(
        None,
        Listed.CHANGED,
        Action.GIVE_WAY,
        "the task was cleared and another job runs in its place",
        resubmission=True,
    ),
    Rule(
        None, Listed.CANCELLING, Action.SEE_IT_END, "the earlier job is being cancelled and may yet succeed"
    ),
    Rule(
        Stored.INTENT,
        None,
        Action.LOOK_AGAIN,
        "an earlier try may have submitted a job that the list does not show yet",
        looked_long_enough=False,
    ),
    Rule(None, Listed.ENDED, Action.SUBMIT, "the earlier job has ended and the task was cleared"),
    Rule(None, Listed.NOTHING, Action.SUBMIT, "no job carries this task's key"),
)

USUAL_REASON = SUBMIT_RULES[-1].reason
"""Of a first submission."""


def known_job(wanted: Intent, stored: Intent | None) -> SubmitDecision | None:
    """Decide what needs no search: if the id of this epoch's job is stored, the task resumes that job."""
    if stored is None or _what_is_stored(wanted, stored) is not Stored.JOB:
        return None
    rule = SUBMIT_RULES[0]
    return SubmitDecision(rule.action, rule.reason, job_id=stored.job_id)


def decide_submit(
    wanted: Intent, stored: Intent | None, found: Iterable[BatchPredictionJob], *, looked_long_enough: bool
) -> SubmitDecision:
    """Decide by `SUBMIT_RULES` on what the list has shown.

    :param found: every job that carries this task's key, of all epochs.
    :param looked_long_enough: whether a job that was created before the intent's process crashed would be
        in the list by now. It matters only if an intent without an id is stored.
    """
    listed, job = _what_is_listed(wanted, found)
    rule = find_rule(
        _what_is_stored(wanted, stored),
        listed,
        looked_long_enough=looked_long_enough,
        resubmission=wanted.attempt > 0,
    )
    known = stored.job_id if stored and rule.action is Action.REATTACH else None
    return SubmitDecision(rule.action, rule.reason, job=job if rule.listed else None, job_id=known)


def find_rule(stored: Stored, listed: Listed, *, looked_long_enough: bool, resubmission: bool) -> Rule:
    """Find the rule that decides. There is always one."""
    return next(
        rule
        for rule in SUBMIT_RULES
        if rule.holds(stored, listed, looked_long_enough=looked_long_enough, resubmission=resubmission)
    )


def _what_is_stored(wanted: Intent, stored: Intent | None) -> Stored:
    if stored is None:
        return Stored.NOTHING
    if stored.is_in_doubt:
        return Stored.INTENT  # also of an earlier epoch: the task may have been cleared right after its POST
    if (stored.job_key, stored.place) != (wanted.job_key, wanted.place):
        return Stored.EARLIER
    return Stored.JOB if stored.job_id else Stored.NOTHING


def _what_is_listed(
    wanted: Intent, found: Iterable[BatchPredictionJob]
) -> tuple[Listed, BatchPredictionJob | None]:
    """Return what the list shows, and the job that this concerns, if any."""
    jobs = sorted(found, key=lambda job: job.created_at, reverse=True)
    own = [job for job in jobs if job.labels.get(IDEMPOTENCY_KEY_LABEL) == wanted.job_key]
    active = [job for job in jobs if not job.state.is_terminal]
    running = [job for job in active if job.state is not JobState.CANCELLING]
    same = [job for job in running if job.labels.get(REQUEST_LABEL) == wanted.fingerprint]
    # The oldest of its own: if two jobs ever carry one key, every try chooses the same one.
    for listed, candidates in (
        (Listed.OWN, own[::-1]),
        (Listed.SAME, same),
        (Listed.CHANGED, running),
        (Listed.CANCELLING, active),
    ):
        if candidates:
            return listed, candidates[0]
    return (Listed.ENDED if jobs else Listed.NOTHING), None


def after_seen_ending(job: BatchPredictionJob, wanted: Intent) -> bool:
    """Whether a job that was being cancelled is the task's result after all, since it finished first."""
    return job.state.has_results and job.labels.get(REQUEST_LABEL) == wanted.fingerprint


def may_have_duplicate(looked_at: datetime, answered_at: datetime, window: timedelta) -> bool:
    """Whether a create took so long that another try may have given up on it and submitted as well.

    This happens to a process that was paused between its search and its POST: Airflow declared it dead, and
    then it continued.
    """
    return answered_at - looked_at >= window


def choose_among_duplicates(
    found: Iterable[BatchPredictionJob],
) -> tuple[BatchPredictionJob, list[BatchPredictionJob]]:
    """Of several jobs with one key, choose the one that the task keeps and those to cancel.

    The oldest is always kept, so two tries at the same time choose the same one without communicating.
    """
    oldest, *others = sorted(found, key=lambda job: (job.created_at, job.job_id))
    return oldest, [job for job in others if not job.state.is_terminal]


def after_failed_create(error: VertexBatchError, *, tries_left: int) -> Action | None:
    """Decide what follows a create that raised. None: give up and raise the error.

    After an ambiguous answer the create is never sent again before the list has been read.
    """
    if isinstance(error, AmbiguousSubmitError):
        return Action.LOOK_AGAIN
    if isinstance(error, TransientError) and tries_left > 0:
        return Action.SUBMIT
    return None


def is_sure_refusal(error: VertexBatchError) -> bool:
    """Whether a create that raised has surely created no job: it was answered 4xx, and not as a time-out."""
    return (
        isinstance(error, ApiError)
        and not isinstance(error, AmbiguousSubmitError)
        and not error.may_have_submitted
        and error.http_status is not None
        and HTTPStatus.BAD_REQUEST <= error.http_status < HTTPStatus.INTERNAL_SERVER_ERROR
    )
