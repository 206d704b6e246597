"""The waiting task: what it does with each end, and what it hands to the triggerer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from local.emulator.admin import Fault, FaultKind, Operation, Step, Trait
from tests.builders import ROW, a_request
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.lifecycle.waiting import JobReading, Verdict
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.context import deployment
from vertex_batch.vertex.resource import JobReference

PROJECT, LOCATION = "demo-project", "us-central1"
ROWS = ROW * 4


def ended(vertex, state: str, **scenario: Any) -> JobReference:
    reference = vertex.submit(end=state, **scenario)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state=state)
    return reference


def a_sensor(reference: JobReference, **changes: Any) -> BatchPredictionJobSensor:
    return BatchPredictionJobSensor(task_id="wait", job=reference.to_dict(), **changes)


HELD = {"timeline": [Step(state="RUNNING", seconds=None)]}


@pytest.mark.parametrize("state", ["SUCCEEDED", "PARTIALLY_SUCCEEDED"])
def test_succeeds_at_once_on_a_job_with_results(vertex, context, state):
    result = a_sensor(ended(vertex, state)).execute(context)
    assert result["state"] == f"{state}"
    assert result["ok_rows"] == 4
    assert result["output_directory"].startswith("gs://demo-bucket/out/")


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize(
    ("state", "code", "expected"),
    [
        ("FAILED", 9, "Fix the cause"),
        ("FAILED", 13, "usually transient"),
        ("EXPIRED", 0, "expired"),
        ("CANCELLED", 0, "was cancelled"),
    ],
)
def test_fails_for_good_on_every_other_end(vertex, context, state, code, expected, deferrable):
    reference = ended(vertex, state, error_code=code, error_message="because")
    with pytest.raises(AirflowFailException, match=expected) as caught:
        a_sensor(reference, deferrable=deferrable).execute(context)
    assert reference.job_id in str(caught.value)
    assert "billed" in str(caught.value)


def test_a_job_that_somebody_deleted_is_lost(vertex, context):
    reference = vertex.submit(**HELD)
    vertex.admin.delete_job(reference.job_id)
    with pytest.raises(AirflowFailException, match="no longer exists"):
        a_sensor(reference).execute(context)


def test_defers_with_a_trigger_that_holds_no_key(vertex, context):
    reference = vertex.submit(**HELD)
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference).execute(context)
    classpath, arguments = deferred.value.trigger.serialize()
    assert classpath == "vertex_batch.triggers.batch_job.BatchPredictionJobTrigger"
    assert vertex.direct.api_key not in json.dumps(arguments)
    assert arguments["job"]["job_id"] == reference.job_id
    assert deferred.value.timeout > timedelta(hours=97)


@pytest.mark.parametrize(
    "bounds", [{"deadline_seconds": 3600}, {"timeout": 3600}, {"timeout": timedelta(hours=1)}], ids=str
)
def test_the_deadline_counts_from_the_creation_of_the_job(vertex, context, bounds):
    reference = vertex.submit(**HELD)
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference, **bounds).execute(context)
    order = deferred.value.trigger.order
    assert datetime.fromisoformat(order.deadline_at) - datetime.fromisoformat(order.created_at) == timedelta(
        hours=1
    )


def test_an_execution_timeout_bounds_the_wait_too(vertex, context):
    reference = vertex.submit(**HELD)
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference, execution_timeout=timedelta(minutes=5)).execute(context)
    assert datetime.fromisoformat(deferred.value.trigger.order.deadline_at) < datetime.now(UTC) + timedelta(
        minutes=6
    )


def test_a_missed_deadline_cancels_and_fails_for_good(vertex, context):
    reference = vertex.submit(**HELD)
    event = JobReading(Verdict.DEADLINE, state="RUNNING").to_dict()
    with pytest.raises(AirflowFailException, match="deadline"):
        a_sensor(reference).execute_complete(context, event)
    assert vertex.admin.job(reference.job_id).cancel_calls


def test_a_job_of_another_run_is_neither_cancelled_nor_submitted_again(vertex, context):
    labels = TaskIdentity(deployment(), "others_dag", context["ti"].run_id, "submit").labels(3, "f")
    job_id = vertex.create(a_request(display_name="of another run", labels=labels))
    sensor = a_sensor(JobReference(PROJECT, LOCATION, job_id, job_key="k"))
    with pytest.raises(AirflowFailException, match="deadline"):
        sensor.execute_complete(context, JobReading(Verdict.DEADLINE, state="RUNNING").to_dict())
    assert not vertex.admin.job(job_id).cancel_calls
    failed = JobReading(Verdict.FAILED, state="FAILED", error_code=8)
    with pytest.raises(AirflowFailException, match="submitted by another run"):
        sensor.execute_complete(context, failed.to_dict())
    assert len(vertex.admin.requests(Operation.CREATE)) == 1


def test_a_wait_that_times_out_and_fails_softly_cancels_its_job(vertex, context):
    reference = vertex.submit(**HELD)
    sensor = a_sensor(reference, deferrable=False, poll_interval_seconds=0, timeout=0, soft_fail=True)
    with pytest.raises(AirflowSkipException):
        sensor.execute(context)
    assert vertex.admin.job(reference.job_id).cancel_calls


def test_a_missed_deadline_leaves_the_job_alone_where_the_spec_says_so(vertex, context):
    reference = vertex.submit(**HELD)
    event = JobReading(Verdict.DEADLINE, state="RUNNING").to_dict()
    with pytest.raises(AirflowFailException):
        a_sensor(reference, cancel_on_deadline=False).execute_complete(context, event)
    assert not vertex.admin.job(reference.job_id).cancel_calls


def test_a_job_that_cannot_be_read_any_more_may_be_waited_for_again(vertex, context):
    reference = vertex.submit(**HELD)
    event = JobReading(Verdict.POLLING_FAILED, message="the proxy is gone").to_dict()
    with pytest.raises(AirflowException, match="may still be running") as caught:
        a_sensor(reference).execute_complete(context, event)
    assert not isinstance(caught.value, AirflowFailException)


def test_too_many_failed_rows_fail_the_task_where_the_spec_says_so(vertex, context):
    reference = ended(vertex, "SUCCEEDED", stats={"successfulCount": 3, "failedCount": 1})
    assert a_sensor(reference, max_failed_ratio=0.25).execute(context)["failed_rows"] == 1
    with pytest.raises(AirflowFailException, match="1 of its 4 rows failed"):
        a_sensor(reference, max_failed_ratio=0.2).execute(context)


def test_a_job_without_an_answer_fails_the_task_and_names_the_money(vertex, context):
    reference = ended(vertex, "SUCCEEDED", mix={Trait.FAILED: 1.0})
    with pytest.raises(AirflowFailException, match=r"no row was answered: 4 of 4 failed\..*not billed"):
        a_sensor(reference).execute(context)


def test_a_shard_without_an_answer_leaves_the_decision_to_the_bill(vertex, context):
    reference = ended(vertex, "SUCCEEDED", mix={Trait.FAILED: 1.0})
    assert a_sensor(reference, fail_without_answers=False).execute(context)["failed_rows"] == 4


def test_the_worker_can_wait_by_itself(vertex, context):
    reference = vertex.submit(
        timeline=[Step(state="PENDING", seconds=200), Step(state="RUNNING", seconds=200)]
    )
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=3))
    result = a_sensor(reference, deferrable=False, poll_interval_seconds=0.05).execute(context)
    assert result["state"] == "SUCCEEDED"


def test_a_missing_reference_is_told(context):
    with pytest.raises(AirflowFailException, match="has no job to wait for"):
        BatchPredictionJobSensor(task_id="wait", job=None).execute(context)


@pytest.mark.parametrize(("tries", "cancelled"), [(1, False), (4, True)])
def test_a_broken_trigger_cancels_the_job_only_when_no_try_is_left(vertex, context, tries, cancelled):
    reference = vertex.submit(**HELD)
    context["ti"].try_number = tries
    with pytest.raises(AirflowException):
        a_sensor(reference).resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    assert bool(vertex.admin.job(reference.job_id).cancel_calls) is cancelled
