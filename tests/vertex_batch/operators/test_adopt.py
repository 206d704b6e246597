"""A job that somebody else created, brought under a run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from local.emulator.admin import Scenario, Step
from tests.builders import a_request
from vertex_batch.errors import StillRunningError
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.operators import (
    AdoptBatchPredictionJobOperator,
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.context import deployment

PLACE = ("demo-project", "us-central1")
RUNNING = Scenario(timeline=[Step(state="RUNNING", seconds=None)], mix={})
PRICES = {"gemini-3.8-flash": {"input": "0.15", "output": "1.25"}}


pytestmark = pytest.mark.usefixtures("table")


def create(vertex, labels: dict[str, str] | None = None) -> str:
    """Create a job as somebody does who knows nothing of us."""
    return vertex.create(a_request(display_name="by hand", labels=labels or {}))


def adopt(context, job: str, **fields):
    context["ti"].task_id = "adopt"
    reference = AdoptBatchPredictionJobOperator(task_id="adopt", job=job, **fields).execute(context)
    context["ti"].xcom_push("return_value", reference)
    return reference


def record(context, **fields):
    task = AggregateTokenUsageOperator(task_id="record_cost", submit_task_id="adopt", prices=PRICES, **fields)
    return task.execute(context)


def a_wait(reference, **fields) -> BatchPredictionJobSensor:
    arguments = {"deferrable": False, "poll_interval_seconds": 0.2, **fields}
    return BatchPredictionJobSensor(task_id="wait", job=reference, **arguments)


def test_the_way_of_an_adopted_job_ends_with_its_bill(vertex, context, table):
    job_id = create(vertex)
    name = f"projects/100000000001/locations/us-central1/batchPredictionJobs/{job_id}"
    reference = adopt(context, name)
    a_wait(reference).execute(context)
    result = record(context, team="search", spec="by_hand")
    (cost,) = table.jobs()
    assert [job["job_id"] for job in result["jobs"]] == [cost.job.job_id] == [job_id]
    assert (cost.job.team, cost.job.spec, cost.job.task_id) == ("search", "by_hand", "adopt")
    assert (cost.rows.ok, cost.total.complete) == (4, True)
    assert cost.total.amount > 0
    assert len(vertex.admin.jobs()) == 1


def test_adopting_and_recording_it_twice_leaves_one_bill(vertex, context, table):
    job_id = create(vertex, {"team": "ads"})
    vertex.admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    for run_id in ("first", "second"):
        context["ti"].run_id = run_id
        adopt(context, job_id)
        record(context)
    (cost,) = table.jobs()
    assert (cost.job.team, cost.job.run_id) == ("ads", "second")


def test_a_job_that_a_run_of_ours_submitted_is_refused(vertex, context):
    ours = TaskIdentity(deployment(), "nightly", "monday", "submit").labels(0, "f")
    with pytest.raises(AirflowFailException, match=r"this Airflow submitted it \(nightly monday\)"):
        adopt(context, create(vertex, ours))


def test_a_job_of_another_airflow_is_refused(vertex, context):
    theirs = TaskIdentity("https://another.example", "nightly", "monday", "submit").labels(0, "f")
    with pytest.raises(AirflowFailException, match="another Airflow deployment submitted it"):
        adopt(context, create(vertex, theirs))


@pytest.mark.parametrize(
    ("job", "fields", "expected"),
    [
        ("123456", {}, "not found in Vertex AI"),
        ("not a job", {}, "is not the name of a batch prediction job"),
        ("123", {"project": "42"}, "is a project number"),
        ("projects/a-b/locations/us-central1/batchPredictionJobs/1", {"project": "c-d"}, "leave one of them"),
        ("projects/a-b/locations/us-central1/batchPredictionJobs/1", {"location": "global"}, "leave one"),
        ("123", {"location": "mars-north1"}, "mars-north1"),
    ],
)
def test_what_cannot_be_reached_is_refused(vertex, context, job, fields, expected):
    with pytest.raises(AirflowFailException, match=expected):
        adopt(context, job, **fields)


def test_an_adopted_job_is_not_submitted_again_when_it_fails(vertex, context):
    vertex.admin.add_scenario(Scenario(times=1, end="FAILED", error_code=13))
    reference = adopt(context, create(vertex))
    with pytest.raises(AirflowFailException, match="code 13"):
        a_wait(reference, resubmits=3).execute(context)
    assert len(vertex.admin.jobs()) == 1


class TestWithoutLeaveToCancel:
    @pytest.fixture
    def reference(self, vertex, context):
        vertex.admin.add_scenario(RUNNING)
        return adopt(context, create(vertex))

    def test_a_killed_wait_leaves_it_running(self, vertex, context, reference):
        with pytest.raises(TaskDeferred) as deferred:
            a_wait(reference, deferrable=True).execute(context)
        assert deferred.value.trigger.order.cancel_on_kill is False

    def test_a_deadline_leaves_it_running(self, vertex, context, reference):
        with pytest.raises(AirflowFailException, match="did not end before its deadline"):
            a_wait(reference, deadline_seconds=0).execute(context)
        assert vertex.admin.jobs()[0].cancel_calls == []

    def test_the_cancel_task_leaves_it_running(self, vertex, context, reference):
        for fields in ({"submit_task_id": "adopt"}, {"job": reference}):
            with pytest.raises(AirflowSkipException):
                CancelBatchPredictionJobOperator(task_id="cancel", **fields).execute(context)
        assert vertex.admin.jobs()[0].cancel_calls == []

    def test_it_is_recorded_only_when_it_has_ended(self, vertex, context, reference, table):
        vertex.admin.wait_for_jobs(job_id=reference["job_id"], state="RUNNING")
        with pytest.raises(StillRunningError, match=r"is RUNNING.*Nothing was recorded"):
            record(context)
        assert table.jobs() == []
        vertex.admin.release_job(reference["job_id"])
        vertex.admin.wait_for_jobs(job_id=reference["job_id"], state="SUCCEEDED")
        record(context)
        assert [cost.job.state for cost in table.jobs()] == ["SUCCEEDED"]
        assert vertex.admin.jobs()[0].cancel_calls == []


@pytest.mark.parametrize("leave", [True, "True"])
class TestWithLeaveToCancel:
    @pytest.fixture
    def reference(self, vertex, context, leave):
        vertex.admin.add_scenario(RUNNING)
        return adopt(context, create(vertex), cancel_with_run=leave)

    def test_a_deadline_cancels_it(self, vertex, context, reference, leave):
        with pytest.raises(AirflowFailException):
            a_wait(reference, deadline_seconds=0).execute(context)
        assert len(vertex.admin.jobs()[0].cancel_calls) == 1

    def test_recording_it_while_it_runs_cancels_it(self, vertex, context, reference, table, leave):
        record(context)
        assert [cost.job.state for cost in table.jobs()] == ["CANCELLED"]


def test_the_deadline_counts_from_the_creation_of_the_job_and_not_from_its_adoption(vertex, context):
    vertex.admin.add_scenario(RUNNING)
    reference = adopt(context, create(vertex))
    with pytest.raises(TaskDeferred) as deferred:
        a_wait(reference, deferrable=True, deadline_seconds=3600).execute(context)
    deadline = datetime.fromisoformat(deferred.value.trigger.order.deadline_at)
    assert deadline <= datetime.now(UTC) + timedelta(hours=1)
