"""Runs that end badly: what they cost is recorded all the same, and they stay red."""

from __future__ import annotations

import re

from local.emulator.admin import Scenario, Step

SPEC = "system_manual"
DELIVERED = "system_delivery"


def test_a_failed_job_fails_the_run_and_its_finished_rows_are_billed(stack, nights):
    timeline = [Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=50)]
    stack.emulator.add_scenario(
        Scenario(
            timeline=timeline, end="FAILED", error_code=9, error_message="no such thing", finished=0.5, mix={}
        )
    )
    nights.start(SPEC, "job_fails")
    assert stack.airflow.wait_for_run(SPEC, "job_fails")["state"] == "failed"
    assert nights.tasks(SPEC, "job_fails")["wait"] == "failed"
    assert nights.tasks(SPEC, "job_fails")["record_cost"] == "success"
    (bill,) = nights.bills(SPEC, "job_fails")
    (job,) = nights.jobs(SPEC, "job_fails")
    assert (bill.rows.ok, bill.job.state) == (6, "FAILED")
    assert bill.total.amount == nights.sum_by_hand(job) > 0
    log = stack.airflow.logs(SPEC, "job_fails", "wait")
    assert re.search(rf"{job.id} failed \(code 9\): no such thing.*Fix the cause", log)


def test_a_run_that_a_person_marks_after_its_job_has_ended_delivers_what_was_paid_for(stack, nights):
    date = nights.start(DELIVERED, "marked")
    to = f"gs://demo-bucket/system_delivery_answers/{date}.jsonl"
    stack.airflow.wait_for_task(DELIVERED, "marked", "wait", ["success"])
    stack.airflow.set_run_state(DELIVERED, "marked", "failed")
    stack.airflow.wait_for_run(DELIVERED, "marked")
    tasks = nights.tasks(DELIVERED, "marked")
    assert (tasks["record_cost"], tasks["deliver"]) == ("success", "success")
    answers = stack.gcs.get(to)
    assert len(answers.splitlines()) == 12

    # The next run of the day is cancelled: the answers stay, and only one failure has another cause.
    timeline = [Step(state="PENDING", seconds=1), Step(state="RUNNING", seconds=100_000)]
    stack.emulator.add_scenario(Scenario(timeline=timeline, finished=0.0, mix={}))
    nights.start(DELIVERED, "cancelled")
    nights.wait_for_job(DELIVERED, "cancelled", "RUNNING")
    stack.airflow.wait_for_task(DELIVERED, "cancelled", "wait", ["deferred"])
    stack.airflow.set_run_state(DELIVERED, "cancelled", "failed")
    assert stack.airflow.wait_for_run(DELIVERED, "cancelled")["state"] == "failed"
    tasks = nights.tasks(DELIVERED, "cancelled")
    assert (tasks["deliver"], tasks["results"], tasks["check_tasks"]) == ("failed", "skipped", "failed")
    assert "only follows from the cancellation" in stack.airflow.logs(DELIVERED, "cancelled", "deliver")
    assert stack.gcs.get(to) == answers


def test_no_log_of_any_task_holds_the_key(stack, nights):
    nights.start(SPEC, "secrets")
    stack.airflow.wait_for_run(SPEC, "secrets")
    for task in ("plan_inputs", "submit", "wait", "record_cost"):
        assert stack.master_key not in stack.airflow.logs(SPEC, "secrets", task)
    assert all(
        stack.master_key.encode() not in path.read_bytes()
        for path in stack.options.home.glob("airflow/*.db*")
    )


def test_a_night_that_ends_well_skips_no_task(stack, nights):
    nights.start(SPEC, "green")
    assert stack.airflow.wait_for_run(SPEC, "green")["state"] == "success"
    tasks = nights.tasks(SPEC, "green")
    assert tasks == dict.fromkeys(("plan_inputs", "submit", "wait", "ended", "record_cost"), "success")


def test_a_missing_input_fails_the_run_before_any_job_and_no_task_searches_for_one(stack, nights):
    nights.start(SPEC, "no_input", conf={"input": ["gs://demo-bucket/absent/*.jsonl"]})
    assert stack.airflow.wait_for_run(SPEC, "no_input")["state"] == "failed"
    assert nights.jobs(SPEC, "no_input") == []
    log = stack.airflow.logs(SPEC, "no_input", "plan_inputs")
    assert "gs://demo-bucket/absent/*.jsonl" in log
    assert "Nothing was submitted" in log
    assert nights.tasks(SPEC, "no_input") == {
        "plan_inputs": "failed",
        "submit": "upstream_failed",
        "wait": "upstream_failed",
        "ended": "success",
        "record_cost": "skipped",
    }
    assert "before it could have submitted a job" in stack.airflow.logs(SPEC, "no_input", "record_cost")
