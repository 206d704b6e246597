"""Runs that end badly: what they cost is recorded all the same, and they stay red."""

from __future__ import annotations

import re

import httpx

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

    # Its page says so in one box, and what that says of clearing the failed tasks is true.
    box = _one_box(stack, "cancelled")
    assert "The run was marked as failed by admin at " in box
    assert "0 of 12 rows were answered" in box
    assert "or the failed tasks of the run: nothing is sent and nothing is paid" in box
    failed = [task for task, state in tasks.items() if state == "failed"]
    assert "wait" in failed
    stack.airflow.clear_tasks(DELIVERED, "cancelled", failed)
    assert stack.airflow.wait_for_run(DELIVERED, "cancelled")["state"] == "failed"
    assert stack.airflow.task_instance(DELIVERED, "cancelled", "wait")["try_number"] > 1
    assert len(nights.jobs(DELIVERED, "cancelled")) == 1
    assert "0 of 12 rows were answered" in _one_box(stack, "cancelled")


def test_the_page_of_a_dry_run_shows_what_its_submit_task_has_found(stack, nights):
    date = nights.start(DELIVERED, "dry", conf={"dry_run": True})
    assert stack.airflow.wait_for_run(DELIVERED, "dry")["state"] == "success"
    assert nights.jobs(DELIVERED, "dry") == []
    text = _page(stack, "dry")
    to = f"gs://demo-bucket/system_delivery_answers/{date}.jsonl"
    assert f"<p>delivered to {to} as text, joined by their requests</p>" in text
    assert "<p>12 rows in 1 object, " in text
    assert re.search(
        r"<p>about [\d.]+ USD .*at the prices of \d{4}-\d\d-\d\d; 12 rows, [\d,]+ tokens in, ", text
    )


def _page(stack, run_id: str) -> str:
    """The page of a run in the API server, as an admin sees it."""
    address = f"{stack.site.url}/vertex-batch/run"
    cookies = {"_token": stack.airflow.token()}
    asked = {"dag_id": DELIVERED, "run_id": run_id}
    return httpx.get(address, params=asked, cookies=cookies, timeout=30, trust_env=False).text


def _one_box(stack, run_id: str) -> str:
    """The only red box of the page of a run, as text."""
    _, *boxes = _page(stack, run_id).split('<div class="alert"')
    (box,) = boxes
    return " ".join(re.sub(r"<[^>]*>", "", box.partition("</div>")[0]).split())


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
    assert "before it could have submitted one" in stack.airflow.logs(SPEC, "no_input", "record_cost")
