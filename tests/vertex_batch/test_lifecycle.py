"""The decisions, as tables."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vertex_batch.errors import (
    AmbiguousSubmitError,
    BadKeyError,
    NotFoundError,
    ResourceExhaustedError,
    VertexBatchError,
)
from vertex_batch.lifecycle import (
    JOB_KEY_LABEL,
    REQUEST_LABEL,
    Action,
    Intent,
    Patience,
    Sighting,
    TaskIdentity,
    Verdict,
    after_failed_create,
    attempt_key,
    decide_submit,
    explain,
    judge,
    known_job,
    may_resubmit,
    must_look_for_a_twin,
    next_poll_seconds,
    settle_twins,
)
from vertex_batch.resource import BatchPredictionJob, JobState

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
PATIENCE = Patience(deadline_at=NOW + timedelta(hours=1), tolerated_failures=3)
TASK = TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit")
WANTED = Intent(3, TASK.job_key(3), "same", "p", "us-central1", NOW.isoformat())


def a_job(
    state: str = "JOB_STATE_RUNNING", *, epoch: int = 3, request: str = "same", **fields
) -> BatchPredictionJob:
    return BatchPredictionJob.model_validate(
        {
            "name": f"projects/1/locations/us-central1/batchPredictionJobs/{fields.pop('id', 7)}",
            "state": state,
            "labels": {JOB_KEY_LABEL: TASK.job_key(epoch), REQUEST_LABEL: request},
            **fields,
        }
    )


def an_error(kind: type[VertexBatchError], **fields) -> VertexBatchError:
    return kind(operation="get", target="p/us-central1/7", **fields)


class TestTheJobKey:
    def test_is_equal_over_retries_and_another_after_a_clear(self):
        assert TASK.job_key(3) == TASK.job_key(3) != TASK.job_key(7)

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
        assert other.job_key(3) != TASK.job_key(3)

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
OLDER = Intent(2, TASK.job_key(2), "same", "p", "us-central1", NOW.isoformat(), job_id="5")


class TestSubmit:
    @pytest.mark.parametrize(
        ("case", "stored", "found", "looked", "expected"),
        [
            ("first try, nothing there", None, [], True, Action.SUBMIT),
            ("the store was lost, the job runs", None, [a_job()], True, Action.ADOPT),
            (
                "the store was lost, the job has ended",
                None,
                [a_job("JOB_STATE_SUCCEEDED")],
                True,
                Action.ADOPT,
            ),
            ("died around the POST, job listed", NO_ID, [a_job()], False, Action.ADOPT),
            ("died around the POST, list may lag", NO_ID, [], False, Action.LOOK_AGAIN),
            ("died around the POST, list is sure", NO_ID, [], True, Action.SUBMIT),
            ("cleared, same request runs", OLDER, [a_job(epoch=2)], True, Action.ADOPT),
            ("cleared, same request pends", OLDER, [a_job("JOB_STATE_PENDING", epoch=2)], True, Action.ADOPT),
            ("cleared, same request paused", OLDER, [a_job("JOB_STATE_PAUSED", epoch=2)], True, Action.ADOPT),
            ("cleared, state from the future", OLDER, [a_job("JOB_STATE_NEW", epoch=2)], True, Action.ADOPT),
            (
                "cleared, other request runs",
                OLDER,
                [a_job(epoch=2, request="other")],
                True,
                Action.CANCEL_THEN_SUBMIT,
            ),
            ("cleared after success", OLDER, [a_job("JOB_STATE_SUCCEEDED", epoch=2)], True, Action.SUBMIT),
            ("cleared after failure", OLDER, [a_job("JOB_STATE_FAILED", epoch=2)], True, Action.SUBMIT),
            (
                "cleared while it is being cancelled",
                OLDER,
                [a_job("JOB_STATE_CANCELLING", epoch=2)],
                True,
                Action.SEE_IT_END,
            ),
            (
                "retry after a clear, own job and older one",
                NO_ID,
                [a_job("JOB_STATE_SUCCEEDED", epoch=2), a_job(id=8)],
                False,
                Action.ADOPT,
            ),
        ],
    )
    def test_decides(self, case, stored, found, looked, expected):
        assert decide_submit(WANTED, stored, found, looked_long_enough=looked).action is expected, case

    def test_an_attempt_gives_way_to_the_job_of_a_task_that_was_cleared(self):
        attempt = replace(WANTED, attempt=1, job_key=attempt_key(TASK.job_key(3), 1))
        failed = a_job("JOB_STATE_FAILED")
        for case, found, expected in [
            ("only the failed job is there", [failed], Action.SUBMIT),
            ("the attempt is there", [failed, a_job(labels={JOB_KEY_LABEL: attempt.job_key})], Action.ADOPT),
            ("cleared, the same request runs", [failed, a_job(epoch=7)], Action.ADOPT),
            ("cleared, another request runs", [failed, a_job(epoch=7, request="other")], Action.GIVE_WAY),
        ]:
            assert decide_submit(attempt, None, found, looked_long_enough=True).action is expected, case

    def test_each_attempt_has_a_key_of_its_own_and_the_first_is_the_task_s(self):
        keys = [attempt_key(TASK.job_key(3), attempt) for attempt in range(6)]
        assert keys[0] == TASK.job_key(3)
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

    def test_keeps_an_intent_through_the_store(self):
        assert Intent.from_dict(WITH_ID.to_dict()) == WITH_ID


class TestTwins:
    def test_are_looked_for_only_after_a_create_that_took_longer_than_a_look(self):
        window = timedelta(seconds=180)
        assert not must_look_for_a_twin(WANTED, NOW + timedelta(seconds=179), window)
        assert must_look_for_a_twin(WANTED, NOW + timedelta(seconds=180), window)

    def test_the_oldest_stays_and_what_still_runs_of_the_others_is_cancelled(self):
        old = a_job("JOB_STATE_SUCCEEDED", id=1, createTime="2026-11-22T02:00:01Z")
        ended = a_job("JOB_STATE_FAILED", id=2, createTime="2026-11-22T02:00:02Z")
        runs = a_job(id=3, createTime="2026-11-22T02:00:03Z")
        for order in ([old, ended, runs], [runs, ended, old]):
            assert settle_twins(order) == (old, [runs])


class TestAFailedCreate:
    def test_that_is_ambiguous_is_never_sent_again_before_a_look(self):
        for tries in (0, 1, 5):
            assert after_failed_create(an_error(AmbiguousSubmitError), tries_left=tries) is Action.LOOK_AGAIN

    def test_that_was_refused_for_now_is_sent_again_while_tries_are_left(self):
        assert after_failed_create(an_error(ResourceExhaustedError), tries_left=1) is Action.SUBMIT
        assert after_failed_create(an_error(ResourceExhaustedError), tries_left=0) is None

    def test_that_was_refused_for_good_is_not_sent_again(self):
        assert after_failed_create(an_error(BadKeyError), tries_left=5) is None


class TestWaiting:
    @pytest.mark.parametrize(
        ("state", "expected"),
        [
            (JobState.SUCCEEDED, Verdict.SUCCEEDED),
            (JobState.PARTIALLY_SUCCEEDED, Verdict.PARTIALLY_SUCCEEDED),
            (JobState.FAILED, Verdict.FAILED),
            (JobState.CANCELLED, Verdict.CANCELLED),
            (JobState.EXPIRED, Verdict.EXPIRED),
        ],
    )
    def test_ends_on_every_terminal_state(self, state, expected):
        assert judge(a_job(state), now=NOW, failures=0, patience=PATIENCE).verdict is expected

    def test_ends_on_no_other_state(self):
        for state in [*(s for s in JobState if not s.is_terminal), "JOB_STATE_FROM_THE_FUTURE"]:
            assert judge(a_job(state), now=NOW, failures=0, patience=PATIENCE).verdict is Verdict.WAIT

    def test_a_result_counts_even_after_the_deadline(self):
        late = PATIENCE.deadline_at + timedelta(hours=5)
        assert judge(
            a_job("JOB_STATE_SUCCEEDED"), now=late, failures=0, patience=PATIENCE
        ).verdict.has_results

    def test_a_job_that_runs_past_its_deadline_has_missed_it(self):
        seen = judge(a_job(), now=PATIENCE.deadline_at, failures=0, patience=PATIENCE)
        assert (seen.verdict, seen.state) == (Verdict.DEADLINE, "JOB_STATE_RUNNING")

    @pytest.mark.parametrize(
        ("error", "failures", "expected"),
        [
            (ResourceExhaustedError, 0, Verdict.WAIT),
            (ResourceExhaustedError, 2, Verdict.WAIT),
            (ResourceExhaustedError, 3, Verdict.BLIND),
            (BadKeyError, 0, Verdict.BLIND),
            (NotFoundError, 0, Verdict.LOST),
        ],
    )
    def test_bears_what_passes_and_not_for_ever(self, error, failures, expected):
        assert judge(an_error(error), now=NOW, failures=failures, patience=PATIENCE).verdict is expected

    @pytest.mark.parametrize(
        ("case", "state", "started", "verdict"),
        [
            ("queued for too long", "JOB_STATE_PENDING", None, Verdict.DEADLINE),
            ("running for too long", "JOB_STATE_RUNNING", "2026-11-22T01:00:00Z", Verdict.DEADLINE),
            ("started late, runs well", "JOB_STATE_RUNNING", "2026-11-22T02:30:00Z", Verdict.WAIT),
            ("ended, however late", "JOB_STATE_SUCCEEDED", "2026-11-22T01:00:00Z", Verdict.SUCCEEDED),
        ],
    )
    def test_queue_and_run_have_limits_of_their_own(self, case, state, started, verdict):
        patience = replace(PATIENCE, queue_seconds=3600.0, run_seconds=3600.0)
        job = a_job(state, createTime="2026-11-22T00:30:00Z", startTime=started)
        assert judge(job, now=NOW, failures=0, patience=patience).verdict is verdict, case

    def test_a_poll_comes_no_sooner_than_the_server_asked_for(self):
        assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=300) == 300
        assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=5) == pytest.approx(120)
        assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=1e9) == 3600

    @pytest.mark.parametrize("code", range(17))
    def test_only_what_failed_for_a_passing_reason_is_submitted_again(self, code):
        failed = Sighting(Verdict.FAILED, error_code=code)
        assert may_resubmit(failed, 0, 1) is (code in {4, 8, 13, 14})
        assert not may_resubmit(failed, 1, 1)
        for verdict in set(Verdict) - {Verdict.FAILED}:
            assert not may_resubmit(Sighting(verdict, error_code=code), 0, 1)

    def test_an_unreadable_job_misses_its_deadline_too(self):
        late = PATIENCE.deadline_at + timedelta(seconds=1)
        seen = judge(an_error(ResourceExhaustedError), now=late, failures=0, patience=PATIENCE)
        assert seen.verdict is Verdict.DEADLINE

    def test_a_sighting_travels_as_plain_data(self):
        job = a_job(
            "JOB_STATE_FAILED",
            error={"code": 9, "message": "no bucket"},
            completionStats={"successfulCount": "10"},
        )
        seen = judge(job, now=NOW, failures=0, patience=PATIENCE)
        assert Sighting.from_dict(seen.to_dict()) == seen
        assert (seen.ok_rows, seen.error_code) == (10, 9)

    def test_progress_changes_only_with_state_or_counts(self):
        one = judge(a_job(), now=NOW, failures=0, patience=PATIENCE)
        two = judge(a_job(updateTime="2026-11-22T03:00:00Z"), now=NOW, failures=0, patience=PATIENCE)
        three = judge(a_job(completionStats={"successfulCount": "1"}), now=NOW, failures=0, patience=PATIENCE)
        assert one.progress == two.progress != three.progress

    def test_polls_back_off_while_they_fail_and_never_stop(self):
        pauses = [next_poll_seconds(60, failures, jitter=0.5) for failures in range(100)]
        assert pauses[0] == pytest.approx(60)
        assert pauses[:4] == sorted(pauses[:4])
        assert max(pauses) == pytest.approx(600)

    def test_says_what_happened_what_it_costs_and_what_to_do(self):
        failed = Sighting(Verdict.FAILED, state="JOB_STATE_FAILED", error_code=9, message="no such bucket")
        passing = Sighting(Verdict.FAILED, state="JOB_STATE_FAILED", error_code=13, message="System error.")
        assert "p/l/7 failed (code 9): no such bucket" in explain("p/l/7", failed)
        assert "billed" in explain("p/l/7", failed)
        assert "Mend the cause" in explain("p/l/7", failed)
        assert "may pass" in explain("p/l/7", passing)
        for verdict in Verdict:
            if verdict is not Verdict.WAIT:
                assert explain("p/l/7", Sighting(verdict))
