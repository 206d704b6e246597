"""The decisions, as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from vertex_batch.errors import (
    AmbiguousSubmitError,
    BadKeyError,
    ConfigurationError,
    InvalidArgumentError,
    ProxyUnreachableError,
    ResourceExhaustedError,
    ServiceUnavailableError,
    VertexBatchError,
)
from vertex_batch.lifecycle.identity import Intent, TaskIdentity, attempt_key
from vertex_batch.lifecycle.submit_rules import (
    SUBMIT_RULES,
    Action,
    Listed,
    Stored,
    after_failed_create,
    choose_among_duplicates,
    decide_submit,
    find_rule,
    is_sure_refusal,
    known_job,
    may_have_duplicate,
)
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL, REQUEST_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
TASK = TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit")
WANTED = Intent(3, TASK.idempotency_key(3), "same", "p", "us-central1", NOW.isoformat())


def a_job(state: str = "RUNNING", *, epoch: int = 3, request: str = "same", **fields) -> BatchPredictionJob:
    return BatchPredictionJob.model_validate(
        {
            "name": f"projects/1/locations/us-central1/batchPredictionJobs/{fields.pop('id', 7)}",
            "state": state,
            "labels": {IDEMPOTENCY_KEY_LABEL: TASK.idempotency_key(epoch), REQUEST_LABEL: request},
            **fields,
        }
    )


def an_error(kind: Callable[..., VertexBatchError], **fields) -> VertexBatchError:
    return kind(operation="get", target="p/us-central1/7", **fields)


class TestTheJobKey:
    def test_is_equal_over_retries_and_another_after_a_clear(self):
        assert TASK.idempotency_key(3) == TASK.idempotency_key(3) != TASK.idempotency_key(7)

    @pytest.mark.parametrize(
        "other",
        [
            TaskIdentity("https://staging.example", "nightly", "scheduled__2026-11-22", "submit"),
            TaskIdentity("https://airflow.example", "weekly", "scheduled__2026-11-22", "submit"),
            TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-23", "submit"),
            TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit_2"),
            TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit", 1),
        ],
    )
    def test_differs_for_every_part_of_the_identity(self, other):
        assert other.idempotency_key(3) != TASK.idempotency_key(3)

    def test_cannot_be_forged_by_moving_a_separator(self):
        assert TaskIdentity("", "a", "b.c", "t").task_key != TaskIdentity("", "a.b", "c", "t").task_key

    def test_makes_labels_that_vertex_accepts_whatever_the_names_hold(self):
        hostile = TaskIdentity("", "Team.Übung/" * 20, "manual__2026-11-22T03:00:00+00:00", "T" * 200)
        for name, value in hostile.labels(0, "f" * 40).items():
            assert len(name) <= 63
            assert len(value) <= 63
            assert value == value.lower()
            assert not set(value) & set(" ./:+")


NO_ID = WANTED
WITH_ID = WANTED.with_job("7")
OLDER = Intent(2, TASK.idempotency_key(2), "same", "p", "us-central1", NOW.isoformat(), job_id="5")

OLDER_IN_DOUBT = replace(OLDER, job_id=None)


class TestSubmit:
    @pytest.mark.parametrize(
        ("case", "stored", "found", "looked", "expected"),
        [
            ("first try, nothing there", None, [], True, Action.SUBMIT),
            ("the store was lost, the job runs", None, [a_job()], True, Action.ADOPT),
            (
                "the store was lost, the job has ended",
                None,
                [a_job("SUCCEEDED")],
                True,
                Action.ADOPT,
            ),
            ("died around the POST, job listed", NO_ID, [a_job()], False, Action.ADOPT),
            ("died around the POST, list may lag", NO_ID, [], False, Action.LOOK_AGAIN),
            ("died around the POST, list is sure", NO_ID, [], True, Action.SUBMIT),
            ("cleared, same request runs", OLDER, [a_job(epoch=2)], True, Action.ADOPT),
            ("cleared, same request pends", OLDER, [a_job("PENDING", epoch=2)], True, Action.ADOPT),
            ("cleared, same request paused", OLDER, [a_job("PAUSED", epoch=2)], True, Action.ADOPT),
            ("cleared, state from the future", OLDER, [a_job("NEW", epoch=2)], True, Action.ADOPT),
            (
                "cleared, other request runs",
                OLDER,
                [a_job(epoch=2, request="other")],
                True,
                Action.CANCEL_THEN_SUBMIT,
            ),
            ("cleared around the POST, list may lag", OLDER_IN_DOUBT, [], False, Action.LOOK_AGAIN),
            ("cleared around the POST, list is sure", OLDER_IN_DOUBT, [], True, Action.SUBMIT),
            ("cleared around the POST, listed", OLDER_IN_DOUBT, [a_job(epoch=2)], False, Action.ADOPT),
            ("cleared after success", OLDER, [a_job("SUCCEEDED", epoch=2)], True, Action.SUBMIT),
            ("cleared after failure", OLDER, [a_job("FAILED", epoch=2)], True, Action.SUBMIT),
            (
                "cleared while it is being cancelled",
                OLDER,
                [a_job("CANCELLING", epoch=2)],
                True,
                Action.SEE_IT_END,
            ),
            (
                "retry after a clear, own job and older one",
                NO_ID,
                [a_job("SUCCEEDED", epoch=2), a_job(id=8)],
                False,
                Action.ADOPT,
            ),
        ],
    )
    def test_decides(self, case, stored, found, looked, expected):
        assert decide_submit(WANTED, stored, found, looked_long_enough=looked).action is expected, case

    def test_there_is_a_rule_for_everything_and_no_rule_for_nothing(self):
        flags = [True, False]
        used = {
            find_rule(stored, listed, looked_long_enough=looked, resubmission=again)
            for stored, listed, looked, again in product(Stored, Listed, flags, flags)
        }
        assert used == set(SUBMIT_RULES)

    def test_no_rule_submits_while_a_job_of_the_task_may_run(self):
        for listed, looked, again in product(Listed, [True, False], [True, False]):
            rule = find_rule(Stored.INTENT, listed, looked_long_enough=looked, resubmission=again)
            if rule.action is Action.SUBMIT:
                assert looked
                assert listed in {Listed.ENDED, Listed.NOTHING}

    def test_an_attempt_gives_way_to_the_job_of_a_task_that_was_cleared(self):
        attempt = replace(WANTED, attempt=1, job_key=attempt_key(TASK.idempotency_key(3), 1))
        failed = a_job("FAILED")
        for case, found, expected in [
            ("only the failed job is there", [failed], Action.SUBMIT),
            (
                "the attempt is there",
                [failed, a_job(labels={IDEMPOTENCY_KEY_LABEL: attempt.job_key})],
                Action.ADOPT,
            ),
            ("cleared, the same request runs", [failed, a_job(epoch=7)], Action.ADOPT),
            ("cleared, another request runs", [failed, a_job(epoch=7, request="other")], Action.GIVE_WAY),
        ]:
            assert decide_submit(attempt, None, found, looked_long_enough=True).action is expected, case

    def test_each_attempt_has_a_key_of_its_own_and_the_first_is_the_task_s(self):
        keys = [attempt_key(TASK.idempotency_key(3), attempt) for attempt in range(6)]
        assert keys[0] == TASK.idempotency_key(3)
        assert len(set(keys)) == 6

    def test_settles_every_try_on_the_oldest_of_two_jobs_with_one_key(self):
        jobs = [
            a_job(id=9, createTime="2026-11-22T02:00:09Z"),
            a_job(id=8, createTime="2026-11-22T02:00:08Z"),
        ]
        for order in (jobs, jobs[::-1]):
            chosen = decide_submit(WANTED, None, order, looked_long_enough=True).job
            assert chosen is not None
            assert chosen.job_id == "8"

    def test_goes_on_with_a_known_job_without_asking(self):
        decision = known_job(WANTED, WITH_ID)
        assert decision is not None
        assert (decision.action, decision.job_id) == (Action.REATTACH, "7")

    @pytest.mark.parametrize("stored", [None, NO_ID, OLDER])
    def test_looks_where_no_job_of_this_epoch_is_known(self, stored):
        assert known_job(WANTED, stored) is None

    @pytest.mark.parametrize("junk", [None, "text", 7, {"epoch": 1}, {"unknown": 1}])
    def test_reads_a_foreign_stored_value_as_no_intent(self, junk):
        assert Intent.from_dict(junk) is None

    def test_reads_the_intent_of_a_worker_with_a_newer_version(self):
        """That worker may have crashed after its POST: as no intent, it would be sent again at once."""
        assert Intent.from_dict({**WANTED.to_dict(), "of_a_later_version": 1}) == WANTED

    def test_keeps_an_intent_through_the_store(self):
        assert Intent.from_dict(WITH_ID.to_dict()) == WITH_ID


class TestTwins:
    def test_are_looked_for_only_after_a_create_that_took_longer_than_a_look(self):
        window = timedelta(seconds=180)
        assert not may_have_duplicate(NOW, NOW + timedelta(seconds=179), window)
        assert may_have_duplicate(NOW, NOW + timedelta(seconds=180), window)

    def test_the_oldest_stays_and_what_still_runs_of_the_others_is_cancelled(self):
        old = a_job("SUCCEEDED", id=1, createTime="2026-11-22T02:00:01Z")
        ended = a_job("FAILED", id=2, createTime="2026-11-22T02:00:02Z")
        runs = a_job(id=3, createTime="2026-11-22T02:00:03Z")
        for order in ([old, ended, runs], [runs, ended, old]):
            assert choose_among_duplicates(order) == (old, [runs])


class TestAFailedCreate:
    def test_that_is_ambiguous_is_never_sent_again_before_a_look(self):
        for tries in (0, 1, 5):
            assert after_failed_create(an_error(AmbiguousSubmitError), tries_left=tries) is Action.LOOK_AGAIN

    def test_that_was_refused_for_now_is_sent_again_while_tries_are_left(self):
        assert after_failed_create(an_error(ResourceExhaustedError), tries_left=1) is Action.SUBMIT
        assert after_failed_create(an_error(ResourceExhaustedError), tries_left=0) is None

    def test_that_was_refused_for_good_is_not_sent_again(self):
        assert after_failed_create(an_error(BadKeyError), tries_left=5) is None


@pytest.mark.parametrize(
    ("error", "is_sure"),
    [
        (an_error(InvalidArgumentError, http_status=400), True),
        (an_error(BadKeyError, http_status=401), True),
        (an_error(ResourceExhaustedError, http_status=429), True),
        (an_error(ServiceUnavailableError, http_status=408, may_have_submitted=True), False),
        (an_error(ServiceUnavailableError, http_status=503), False),
        (an_error(AmbiguousSubmitError, http_status=500), False),
        (an_error(AmbiguousSubmitError), False),
        (an_error(ProxyUnreachableError), False),
        (ConfigurationError("something else"), False),
    ],
)
def test_only_an_answer_of_4xx_is_a_sure_refusal(error, is_sure):
    assert is_sure_refusal(error) is is_sure


def test_a_refused_intent_is_like_none_and_one_in_doubt_is_searched_for():
    refused = replace(WANTED, refused=True)
    assert Intent.from_dict(refused.to_dict()) == refused
    assert decide_submit(WANTED, refused, [], looked_long_enough=False).action is Action.SUBMIT
    assert decide_submit(WANTED, WANTED, [], looked_long_enough=False).action is Action.LOOK_AGAIN
    without = {name: value for name, value in WANTED.to_dict().items() if name != "refused"}
    assert Intent.from_dict(without).is_in_doubt  # stored by an earlier version
