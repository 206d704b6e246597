"""The three ways that a run comes to be, each to its bill."""

from __future__ import annotations

import pytest

from local.emulator.admin import Scenario, Trait
from local.stack.airflow_api import wait_until
from tests.builders import ROW


def test_a_scheduled_run_bills_the_day_that_it_stands_for(stack, nights):
    spec, date = "system_scheduled", "2026-11-20"
    nights.put_input(spec, date)
    stack.airflow.wait_for_dag(spec)
    stack.airflow.unpause(spec)
    run_id = f"scheduled__{date}T02:30:00+00:00"
    wait_until(lambda: stack.airflow.runs(spec), "the scheduled run", 150)
    assert stack.airflow.wait_for_run(spec, run_id)["state"] == "success"
    (bill,) = nights.bills(spec)
    (job,) = nights.jobs(spec, run_id)
    assert bill.job.job_id == job.id
    assert bill.job.run_type == "scheduled"
    assert str(bill.day) == date
    assert job.request["inputConfig"]["gcsSource"]["uris"] == [f"gs://demo-bucket/{spec}/{date}.jsonl"]
    assert bill.total.amount == nights.sum_by_hand(job) > 0


@pytest.mark.parametrize("spec", ["nightly_summaries", "nightly_embeddings", "nightly_text_embeddings"])
def test_a_run_by_hand_without_a_logical_date_bills_each_example(stack, nights, spec):
    stack.emulator.add_scenario(Scenario(mix={Trait.FAILED: 0.1, Trait.THOUGHTS: 0.3, Trait.CACHED: 0.3}))
    nights.start(spec, "by_hand", rows=200, conf={"note": "a look at it"})
    assert stack.airflow.wait_for_run(spec, "by_hand")["state"] == "success"
    (bill,) = nights.bills(spec, "by_hand")
    (job,) = nights.jobs(spec, "by_hand")
    assert bill.rows.ok + bill.rows.failed == 200
    assert bill.total.amount == nights.sum_by_hand(job) > 0
    assert bill.total.complete
    assert bill.job.note == "a look at it"
    assert bill.job.logical_date is None
    assert not [flag for flag in bill.flags if "proxy" in flag]


def test_the_trigger_form_replaces_model_input_and_labels(stack, nights):
    spec = "system_manual"
    stack.gcs.put(
        "gs://demo-bucket/elsewhere.jsonl",
        ROW,
    )
    conf = {
        "input": ["gs://demo-bucket/elsewhere.jsonl"],
        "model": "gemini-3.5-flash",
        "labels": {"why": "trial"},
    }
    nights.start(spec, "form", conf=conf)
    assert stack.airflow.wait_for_run(spec, "form")["state"] == "success"
    (job,) = nights.jobs(spec, "form")
    assert job.request["inputConfig"]["gcsSource"]["uris"] == ["gs://demo-bucket/elsewhere.jsonl"]
    assert job.model.endswith("gemini-3.5-flash")
    assert job.labels["why"] == "trial"


def test_a_backfill_of_three_days_makes_three_jobs_and_three_bills(stack, nights):
    spec, dates = "system_backfill", ["2026-11-10", "2026-11-11", "2026-11-12"]
    for date in dates:
        nights.put_input(spec, date)
    stack.airflow.wait_for_dag(spec)
    stack.airflow.unpause(spec)
    stack.airflow.backfill(
        spec, start=f"{dates[0]}T00:00:00Z", end=f"{dates[-1]}T23:00:00Z", max_active_runs=3
    )
    runs = stack.airflow.wait_for_backfill(spec, expected=3)
    assert {run["state"] for run in runs} == {"success"}
    bills = [bill for bill in nights.bills(spec) if bill.job.run_type == "backfill"]
    assert sorted(str(bill.day) for bill in bills) == dates
    for run in runs:
        (job,) = nights.jobs(spec, run["dag_run_id"])
        (bill,) = nights.bills(spec, run["dag_run_id"])
        assert bill.total.amount == nights.sum_by_hand(job) > 0
