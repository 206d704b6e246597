"""A job that failed for a passing reason is submitted again: once for each attempt, whoever dies when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from msgspec import structs

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.builders import LOCATION, PROJECT, ROW, a_request
from vertex_batch.lifecycle.identity import TaskIdentity, attempt_key
from vertex_batch.lifecycle.waiting import JobReading, Verdict
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.resource import JobReference

TASK = TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit")
KEY = TASK.idempotency_key(3)
FAILS = Scenario(times=1, timeline=[], end="FAILED", error_code=13, error_message="System error.", finished=0)
DIES = Scenario(times=1, timeline=[], end="FAILED", error_code=13, finished=0.5, mix={})
SUCCEEDS = Scenario(times=1, timeline=[])
HELD = Scenario(times=1, timeline=[Step(state="RUNNING", seconds=None)])


@pytest.fixture
def vertex(connections, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__LOOK_SECONDS", "0.2")
    connections.admin.set_settings(speed=1000)
    connections.gcs.put("gs://demo-bucket/in.jsonl", ROW)
    return connections


def submitted(vertex, *scenarios: Scenario) -> JobReference:
    """The job of a submit task, which ends as the first scenario says; its attempts as the next ones."""
    for scenario in scenarios:
        vertex.admin.add_scenario(scenario)
    request = a_request(display_name="waited for", model_parameters={"temperature": 0.5})
    request = request.model_copy(update={"labels": TASK.labels(3, request.fingerprint())})
    job_id = vertex.create(request)
    if scenarios[0].end == "FAILED":
        vertex.admin.wait_for_jobs(job_id=job_id, state="FAILED")
    return JobReference(PROJECT, LOCATION, job_id, KEY)


def a_sensor(reference: JobReference, **changes: Any) -> BatchPredictionJobSensor:
    fields = {"deferrable": False, "poll_interval_seconds": 0.05, **changes}
    return BatchPredictionJobSensor(task_id="wait", job=reference.to_dict(), **fields)


def keys(vertex) -> list[str]:
    return [job.labels[IDEMPOTENCY_KEY_LABEL] for job in vertex.admin.jobs()]


def test_a_job_that_failed_for_a_passing_reason_is_submitted_again_as_it_was(vertex, context):
    result = a_sensor(submitted(vertex, FAILS, SUCCEEDS)).execute(context)
    first, second = vertex.admin.jobs()
    assert result["state"] == "SUCCEEDED"
    assert result["job_id"] == second.id
    assert keys(vertex) == [KEY, attempt_key(KEY, 1)]
    assert {**second.request, "labels": {}} == {**first.request, "labels": {}}
    changed = {name for name in second.labels if second.labels[name] != first.labels.get(name)}
    assert changed == {IDEMPOTENCY_KEY_LABEL, "airflow_attempt"}


@pytest.mark.parametrize("resubmits", [0, 1, 3])
def test_it_is_submitted_again_so_many_times_and_no_more(vertex, context, resubmits):
    reference = submitted(vertex, *[FAILS] * 6)
    for _ in range(2):  # the second time is a person who clears only the waiting task
        with pytest.raises(AirflowFailException, match=r"code 13"):
            a_sensor(reference, resubmits=resubmits).execute(context)
        assert keys(vertex) == [attempt_key(KEY, attempt) for attempt in range(resubmits + 1)]


def test_nothing_is_submitted_again_after_the_delivery_of_the_run(vertex, context, delivering_dag):
    """A person has cleared the waiting task alone."""
    reference = submitted(vertex, FAILS, SUCCEEDS)
    context["dag"] = delivering_dag
    context["ti"].states = {"deliver": "success"}
    with pytest.raises(AirflowFailException, match="would not be delivered"):
        a_sensor(reference).execute(context)
    assert keys(vertex) == [KEY]
    assert context["task_state_store"].values == {}
    context["ti"].states = {"deliver": None}
    a_sensor(reference).execute(context)
    assert keys(vertex) == [KEY, attempt_key(KEY, 1)]


def test_the_task_defers_for_the_new_job_and_resumes_with_it(vertex, context):
    reference = submitted(vertex, FAILS, HELD)
    failed = JobReading(Verdict.FAILED, state="FAILED", error_code=13).to_dict()
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference, deferrable=True).execute_complete(context, failed)
    first, second = vertex.admin.jobs()
    assert deferred.value.trigger.job.job_id == second.id
    succeeded = JobReading(Verdict.SUCCEEDED, state="SUCCEEDED").to_dict()
    result = a_sensor(reference, deferrable=True).execute_complete(context, succeeded)
    assert result["job_id"] == second.id != first.id


@pytest.mark.parametrize("lost", ["answer", "store"])
def test_a_process_that_died_around_the_second_post_is_followed_by_an_adoption(vertex, context, lost):
    reference = submitted(vertex, FAILS, HELD)
    with pytest.raises(TaskDeferred):
        a_sensor(reference, deferrable=True).execute(context)
    store = context["task_state_store"].values
    if lost == "store":
        store.clear()
    else:
        store["batch_prediction_job"]["job_id"] = None
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference, deferrable=True).execute(context)
    assert len(vertex.admin.jobs()) == 2
    assert deferred.value.trigger.job.job_id == vertex.admin.jobs()[1].id


@pytest.mark.parametrize("kind", [FaultKind.RESET_AFTER, FaultKind.RESET_BEFORE, FaultKind.HTML])
def test_a_second_post_whose_answer_is_lost_leads_to_one_more_job(vertex, context, kind):
    reference = submitted(vertex, FAILS, SUCCEEDS)
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=kind, status=502))
    a_sensor(reference).execute(context)
    assert keys(vertex) == [KEY, attempt_key(KEY, 1)]


def test_a_broken_trigger_on_the_last_try_cancels_the_job_of_the_attempt(vertex, context):
    reference = submitted(vertex, FAILS, HELD)
    with pytest.raises(TaskDeferred):
        a_sensor(reference, deferrable=True).execute(context)
    context["ti"].try_number = 4
    with pytest.raises(AirflowException):
        a_sensor(reference).resume_execution("__fail__", {"error": "Trigger timeout"}, context)
    first, second = vertex.admin.jobs()
    assert second.cancel_calls
    assert not first.cancel_calls


def test_a_job_that_died_with_answers_is_resumed_and_nothing_is_paid_for_twice(vertex, context):
    put_rows(vertex, 10)
    result = a_sensor(submitted(vertex, DIES, DIES, SUCCEEDS), resubmits=2).execute(context)
    jobs = vertex.admin.jobs()
    assert keys(vertex) == [attempt_key(KEY, attempt) for attempt in range(3)]
    assert result["ok_rows"] == 10
    assert [job.request["inputConfig"]["gcsSource"]["uris"] for job in jobs[1:]] == [
        [f"{job.output_directory}/*.jsonl"] for job in jobs[:-1]
    ]
    written = [answers(vertex, job) for job in jobs]
    assert [len(each) for each in written] == [5, 5, 10]
    assert set(written[0]) < set(written[2])  # copied, and not run again


@pytest.mark.parametrize("lost", ["answer", "store"])
def test_a_process_that_died_around_a_resume_is_followed_by_an_adoption(vertex, context, lost):
    put_rows(vertex, 10)
    reference = submitted(vertex, DIES, DIES, HELD)
    for _ in range(2):
        with pytest.raises(TaskDeferred) as deferred:
            a_sensor(reference, deferrable=True, resubmits=2).execute(context)
        ended = "RUNNING" if len(vertex.admin.jobs()) == 3 else "FAILED"
        vertex.admin.wait_for_jobs(job_id=deferred.value.trigger.job.job_id, state=ended)
    store = context["task_state_store"].values
    if lost == "store":
        store.clear()
    else:
        store["batch_prediction_job"]["job_id"] = None
    with pytest.raises(TaskDeferred) as deferred:
        a_sensor(reference, deferrable=True, resubmits=2).execute(context)
    jobs = vertex.admin.jobs()
    assert deferred.value.trigger.job.job_id == jobs[2].id
    assert len(jobs) == 3
    assert jobs[2].request["inputConfig"]["gcsSource"]["uris"] == [f"{jobs[1].output_directory}/*.jsonl"]


def test_a_resume_that_did_not_run_all_rows_fails_and_says_so(vertex, context):
    put_rows(vertex, 10)
    vertex.admin.set_settings(resume_incomplete=False)
    reference = submitted(vertex, DIES, SUCCEEDS)
    with pytest.raises(AirflowFailException, match="which read 10 rows, but its output has only 5: 5 rows"):
        a_sensor(reference).execute(context)


@pytest.mark.parametrize(
    ("scenario", "ends_well"),
    [
        (DIES, True),
        (FAILS, True),
        (structs.replace(DIES, error_code=3), False),
        (structs.replace(DIES, end="EXPIRED"), True),
        (structs.replace(DIES, end="CANCELLED"), False),  # by a person
    ],
)
def test_a_job_whose_rest_is_sent_again_does_not_fail_its_task(vertex, context, scenario, ends_well):
    put_rows(vertex, 10)
    sensor = a_sensor(submitted(vertex, scenario), resubmits=0, rest_is_sent_again=True)
    if ends_well:
        assert sensor.execute(context)["state"] == f"{scenario.end}"
    else:
        with pytest.raises(AirflowFailException):
            sensor.execute(context)
    assert len(vertex.admin.jobs()) == 1


def test_a_job_that_misses_its_deadline_is_cancelled_and_its_rest_is_sent_again(vertex, context):
    reference = submitted(vertex, HELD)
    sensor = a_sensor(reference, rest_is_sent_again=True, deadline_seconds=0.01)
    assert sensor.execute(context)["verdict"] == Verdict.DEADLINE
    (job,) = vertex.admin.jobs()
    assert job.cancel_calls


def put_rows(vertex, count: int) -> None:
    rows = [{"request": {"contents": [{"role": "user", "parts": [{"text": str(n)}]}]}} for n in range(count)]
    vertex.gcs.put("gs://demo-bucket/in.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))


def answers(vertex, job) -> list[bytes]:
    return vertex.gcs.get(f"{job.output_directory}/predictions.jsonl").splitlines()
