"""What an asset event says of a job's results, and what is checked after all tasks of a job."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, Asset
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from tests.builders import MORNING, a_delivery
from vertex_batch.costs import Bill, JobFacts, JobFilter, RowCounts
from vertex_batch.operators import AnnounceResultsOperator, CheckTasksOperator
from vertex_batch.vertex.labels import RETRY_LABEL

OUTPUT = Asset("vertex_batch/nightly")


def a_job(job_id: str, state: str = "SUCCEEDED") -> dict[str, Any]:
    return {
        "job_id": job_id,
        "state": state,
        "output_directory": f"gs://demo-bucket/out/{job_id}",
        "ok_rows": 9,
        "failed_rows": 1,
        "unreadable_rows": 0,
        "unrecognized_rows": 2,
        "tokens": 1500,
        "amount_usd": "0.000775",
        "complete": True,
        "flags": ["something is odd"],
    }


def announce(context: dict[str, Any], *jobs: dict[str, Any]) -> dict[str, Any]:
    bill = {"amount_usd": "0.00155", "complete": False, "jobs": list(jobs)} if jobs else None
    context["ti"].xcoms["record_cost", "return_value"] = bill
    context["outlet_events"] = OutletEventAccessors()
    with DAG("nightly", schedule=None):
        task = AnnounceResultsOperator(task_id="results", record_task_id="record_cost", outlets=[OUTPUT])
    task.execute(context)
    return context["outlet_events"][OUTPUT].extra


def test_nothing_is_announced_where_no_row_was_answered(context):
    with pytest.raises(AirflowSkipException, match="No row of this run was answered"):
        announce(context, {**a_job("2"), "ok_rows": 0})


def test_a_shard_without_an_answer_is_listed_beside_one_with_answers(context):
    jobs = announce(context, {**a_job("2"), "ok_rows": 0}, a_job("3"))["jobs"]
    assert [job["ok_rows"] for job in jobs] == [0, 9]


def test_the_event_says_which_job_where_and_what_it_cost(context):
    assert announce(context, a_job("2")) == {
        "amount_usd": "0.00155",
        "complete": False,
        "jobs": [
            {
                "job_id": "2",
                "state": "SUCCEEDED",
                "output_directory": "gs://demo-bucket/out/2",
                "ok_rows": 9,
                "failed_rows": 1,
                "unreadable_rows": 0,
                "unrecognized_rows": 2,
                "tokens": 1500,
                "amount_usd": "0.000775",
                "complete": True,
            }
        ],
    }


def test_a_job_that_failed_first_has_no_results_but_its_cost_counts(context):
    told = announce(context, a_job("1", "FAILED"), a_job("2", "PARTIALLY_SUCCEEDED"))
    assert [job["job_id"] for job in told["jobs"]] == ["2"]
    assert told["amount_usd"] == "0.00155"


@pytest.mark.parametrize("jobs", [(), (a_job("1", "CANCELLED"),)])
def test_without_results_nothing_is_announced(context, jobs):
    with pytest.raises(AirflowSkipException):
        announce(context, *jobs)


@pytest.mark.parametrize(("minutes", "is_missing"), [(-1, False), (1, True)])
def test_a_run_fails_that_paid_for_rows_after_its_delivery(context, table, minutes, is_missing):
    """The delivery did not wait for the round, which the scheduler got to know too late."""
    ti = context["ti"]
    run = {"dag_id": ti.dag_id, "run_id": ti.run_id}
    ended = MORNING + timedelta(minutes=minutes)
    job = JobFacts(
        "p", "us-central1", "1", task_id="retry_1.submit", labels={RETRY_LABEL: "1"}, end_time=ended, **run
    )
    table.record(Bill(job, RowCounts(ok=1200), []))
    table.record_delivery(a_delivery(**run, delivered_at=MORNING), files_changed=True)
    ti.states = {"deliver": "success", "retry_1.submit": "success"}
    check = CheckTasksOperator(task_id="check_tasks", task_ids=list(ti.states), deliver_task_id="deliver")
    failure = pytest.raises(
        AirflowFailException, match=r"1,200 answers were paid for .* after the delivery.*Clear `deliver`"
    )
    with failure if is_missing else nullcontext():
        check.execute(context)
    # It was cleared, and has the rows now.
    table.record_delivery(
        a_delivery(**run, delivered=18, exceptions=2, delivered_at=MORNING + timedelta(hours=1)),
        files_changed=True,
    )
    check.execute(context)
    assert len(table.jobs(JobFilter(**run))) == 1
