"""What one poll of a job means, as tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vertex_batch.errors import BadKeyError, NotFoundError, ResourceExhaustedError, VertexBatchError
from vertex_batch.lifecycle.explaining import explain
from vertex_batch.lifecycle.polling import next_poll_seconds
from vertex_batch.lifecycle.waiting import (
    JobReading,
    PollLimits,
    Resubmission,
    TaskEnd,
    Verdict,
    assess,
    is_resumable,
    leaves_rest,
    resubmission,
    task_end,
)
from vertex_batch.vertex.resource import BatchPredictionJob, JobState

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
LIMITS = PollLimits(deadline_at=NOW + timedelta(hours=1), tolerated_failures=3)


def a_job(state: str = "RUNNING", **fields) -> BatchPredictionJob:
    name = "projects/1/locations/us-central1/batchPredictionJobs/7"
    return BatchPredictionJob.model_validate({"name": name, "state": state, **fields})


def an_error(kind: Callable[..., VertexBatchError], **fields) -> VertexBatchError:
    return kind(operation="get", target="p/us-central1/7", **fields)


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
def test_a_wait_ends_on_every_terminal_state(state, expected):
    assert assess(a_job(state), now=NOW, failures=0, limits=LIMITS).verdict is expected


@pytest.mark.parametrize("state", [*JobState, "FROM_THE_FUTURE"])
def test_every_terminal_state_and_no_other_has_a_verdict_that_ends_the_wait(state):
    waits = assess(a_job(state), now=NOW, failures=0, limits=LIMITS).verdict is Verdict.WAIT
    assert waits is not JobState.parse(state).is_terminal


def test_a_result_counts_even_after_the_deadline():
    late = LIMITS.deadline_at + timedelta(hours=5)
    assert assess(a_job("SUCCEEDED"), now=late, failures=0, limits=LIMITS).verdict.has_results


def test_a_job_that_runs_past_its_deadline_has_missed_it():
    seen = assess(a_job(), now=LIMITS.deadline_at, failures=0, limits=LIMITS)
    assert (seen.verdict, seen.state) == (Verdict.DEADLINE, "RUNNING")


@pytest.mark.parametrize(
    ("error", "failures", "expected"),
    [
        (ResourceExhaustedError, 0, Verdict.WAIT),
        (ResourceExhaustedError, 2, Verdict.WAIT),
        (ResourceExhaustedError, 3, Verdict.POLLING_FAILED),
        (BadKeyError, 0, Verdict.POLLING_FAILED),
        (NotFoundError, 0, Verdict.LOST),
    ],
)
def test_bears_what_passes_and_not_for_ever(error, failures, expected):
    assert assess(an_error(error), now=NOW, failures=failures, limits=LIMITS).verdict is expected


@pytest.mark.parametrize(
    ("case", "state", "started", "verdict"),
    [
        ("queued for too long", "PENDING", None, Verdict.DEADLINE),
        ("running for too long", "RUNNING", "2026-11-22T01:00:00Z", Verdict.DEADLINE),
        ("started late, runs well", "RUNNING", "2026-11-22T02:30:00Z", Verdict.WAIT),
        ("ended, however late", "SUCCEEDED", "2026-11-22T01:00:00Z", Verdict.SUCCEEDED),
    ],
)
def test_queue_and_run_have_limits_of_their_own(case, state, started, verdict):
    limits = replace(LIMITS, queue_seconds=3600.0, run_seconds=3600.0)
    job = a_job(state, createTime="2026-11-22T00:30:00Z", startTime=started)
    assert assess(job, now=NOW, failures=0, limits=limits).verdict is verdict, case


def test_a_poll_comes_no_sooner_than_the_server_asked_for():
    assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=300) == 300
    assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=5) == pytest.approx(120)
    assert next_poll_seconds(60, 1, 0.5, retry_after_seconds=1e9) == 3600


@pytest.mark.parametrize("code", range(17))
def test_only_what_failed_for_a_passing_reason_is_submitted_again(code):
    failed = JobReading(Verdict.FAILED, error_code=code)
    passing = code in {4, 8, 13, 14}
    assert resubmission(failed, 0, 1) is (Resubmission.WHOLE if passing else Resubmission.NONE)
    assert resubmission(failed, 1, 1) is Resubmission.NONE
    assert leaves_rest(failed) is passing
    for verdict in set(Verdict) - {Verdict.FAILED}:
        assert resubmission(JobReading(verdict, error_code=code), 0, 1) is Resubmission.NONE


@pytest.mark.parametrize(
    ("ok", "failed", "incomplete", "folder", "resumable", "how"),
    [
        (0, 0, 10, "gs://b/o", True, Resubmission.WHOLE),
        (0, 4, 6, "gs://b/o", True, Resubmission.WHOLE),  # failed rows are not billed
        (0, 0, 0, None, False, Resubmission.WHOLE),  # it never started
        (5, 0, 5, "gs://b/o", True, Resubmission.RESUME),
        (5, 0, 5, "gs://b/o", False, Resubmission.NONE),
        (0, 0, 0, "gs://b/o", True, Resubmission.RESUME),  # without counts
        (0, 0, -1, "gs://b/o", False, Resubmission.NONE),
    ],
)
def test_answered_rows_are_not_paid_for_twice(ok, failed, incomplete, folder, resumable, how):
    seen = JobReading(
        Verdict.FAILED,
        ok_rows=ok,
        failed_rows=failed,
        incomplete_rows=incomplete,
        error_code=13,
        output_directory=folder,
        resumable=resumable,
    )
    assert resubmission(seen, 0, 1) is how


@pytest.mark.parametrize(
    ("model", "folder", "resumable"),
    [
        ("publishers/google/models/gemini-3.8-flash", "gs://b/o", True),
        ("publishers/google/models/gemini-3.8-flash", None, False),
        ("publishers/google/models/gemini-3.8-flash", "bq://p.d.t", False),
        ("publishers/google/models/gemini-embedding-001", "gs://b/o", False),
        ("publishers/google/models/text-embedding-005", "gs://b/o", False),
        ("publishers/anthropic/models/claude-sonnet-4-5", "gs://b/o", False),
        ("projects/p/locations/l/models/123", "gs://b/o", False),
    ],
)
def test_only_outputs_of_gemini_can_be_resumed(model, folder, resumable):
    assert is_resumable(model, folder) is resumable


@pytest.mark.parametrize(
    ("verdict", "ran_hours", "again"),
    [
        (Verdict.EXPIRED, 0, True),
        (Verdict.DEADLINE, 1, True),
        (Verdict.CANCELLED, 1, False),  # a person did that
        (Verdict.CANCELLED, 24, True),  # Vertex did that
        (Verdict.LOST, 0, False),
        (Verdict.POLLING_FAILED, 0, False),
        (Verdict.WAIT, 0, False),
    ],
)
def test_what_a_person_stopped_is_not_started_again(verdict, ran_hours, again):
    assert leaves_rest(JobReading(verdict, ran_seconds=ran_hours * 3600)) is again


@pytest.mark.parametrize(
    ("stats", "ratio", "end", "end_of_shard"),
    [
        ({"failedCount": 3}, 1.0, TaskEnd.FAILED, TaskEnd.SUCCESS),
        ({"failedCount": 3}, 0.5, TaskEnd.FAILED, TaskEnd.FAILED),
        ({"incompleteCount": 3}, 1.0, TaskEnd.FAILED, TaskEnd.SUCCESS),
        ({"incompleteCount": -1}, 1.0, TaskEnd.SUCCESS, TaskEnd.SUCCESS),  # -1: not known
        ({"successfulCount": 1, "failedCount": 999}, 1.0, TaskEnd.SUCCESS, TaskEnd.SUCCESS),
        ({"successfulCount": 1, "failedCount": 1}, 0.4, TaskEnd.FAILED, TaskEnd.FAILED),
        (None, 1.0, TaskEnd.SUCCESS, TaskEnd.SUCCESS),  # the output decides
    ],
)
@pytest.mark.parametrize("state", ["SUCCEEDED", "PARTIALLY_SUCCEEDED"])
def test_a_job_without_an_answer_fails_its_task_whatever_share_may_fail(
    state, stats, ratio, end, end_of_shard
):
    job = a_job(state, **({"completionStats": stats} if stats else {}))
    seen = assess(job, now=NOW, failures=0, limits=LIMITS)
    assert task_end(seen, ratio) is end
    assert task_end(seen, ratio, fail_without_answers=False) is end_of_shard


def test_an_unreadable_job_misses_its_deadline_too():
    late = LIMITS.deadline_at + timedelta(seconds=1)
    seen = assess(an_error(ResourceExhaustedError), now=late, failures=0, limits=LIMITS)
    assert seen.verdict is Verdict.DEADLINE


def test_a_sighting_travels_as_plain_data():
    job = a_job(
        "FAILED",
        error={"code": 9, "message": "no bucket"},
        completionStats={"successfulCount": "10"},
    )
    seen = assess(job, now=NOW, failures=0, limits=LIMITS)
    assert JobReading.from_dict(seen.to_dict()) == seen
    assert JobReading.from_dict({**seen.to_dict(), "of_a_later_version": 1}) == seen
    assert (seen.ok_rows, seen.error_code) == (10, 9)


def test_progress_changes_only_with_state_or_counts():
    one = assess(a_job(), now=NOW, failures=0, limits=LIMITS)
    two = assess(a_job(updateTime="2026-11-22T03:00:00Z"), now=NOW, failures=0, limits=LIMITS)
    three = assess(a_job(completionStats={"successfulCount": "1"}), now=NOW, failures=0, limits=LIMITS)
    assert one.progress == two.progress != three.progress


def test_polls_back_off_while_they_fail_and_never_stop():
    pauses = [next_poll_seconds(60, failures, jitter=0.5) for failures in range(100)]
    assert pauses[0] == pytest.approx(60)
    assert pauses[:4] == sorted(pauses[:4])
    assert max(pauses) == pytest.approx(600)


def test_says_what_happened_what_it_costs_and_what_to_do():
    failed = JobReading(Verdict.FAILED, state="FAILED", error_code=9, message="no such bucket")
    passing = JobReading(Verdict.FAILED, state="FAILED", error_code=13, message="System error.")
    run = ("nightly", "once")
    cancelled = explain("p/l/7", JobReading(Verdict.CANCELLED, error_code=1, message="CANCELED"), run)
    assert "p/l/7 was cancelled on request, by a person or a task. Finished rows are billed" in cancelled
    assert "p/l/7 failed (code 9): no such bucket" in explain("p/l/7", failed, run)
    assert "billed" in explain("p/l/7", failed, run)
    assert "Fix the cause" in explain("p/l/7", failed, run)
    assert "usually transient" in explain("p/l/7", passing, run)
    for verdict in Verdict:
        if verdict is not Verdict.WAIT:
            assert explain("p/l/7", JobReading(verdict), run)


def test_the_rows_of_a_progress_have_thousands():
    seen = JobReading(Verdict.WAIT, state="RUNNING", ok_rows=18144, failed_rows=1000, incomplete_rows=1856)
    assert seen.progress == "RUNNING (18,144 rows done, 1,000 failed, 1,856 to go)"
