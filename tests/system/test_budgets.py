"""Budgets in the real Airflow: what warns, what is refused, and what waits for a person without a worker."""

from __future__ import annotations

from local.stack.airflow_api import wait_until
from vertex_batch.budgets import Ledger
from vertex_batch.costs import CostTable
from vertex_batch.vertex.names import JobId


def _question(stack, spec: str, run_id: str) -> str:
    return f"{stack.airflow.instance_path(spec, run_id, 'submit')}/hitlDetails"


def _wait_for_question(stack, spec: str, run_id: str):
    """Wait until the task asks a person; where it does something else, its log says why.

    Airflow parks the task first, and notes a moment later that its process has ended. After an answer within
    that moment it takes the resumed task for lost, and tries it again. No person is that fast; a test is.
    """
    states = ["awaiting_input", "success", "failed"]
    task = stack.airflow.wait_for_task(spec, run_id, "submit", states, 90)
    tried = task["try_number"]
    assert task["state"] == "awaiting_input", stack.airflow.logs(spec, run_id, "submit", tried)
    noted = f"dag_id='{spec}', task_id='submit', run_id='{run_id}', try_number={tried}, "
    wait_until(lambda: noted in stack.log("scheduler").read_text(), "the scheduler's note", 60)
    return task


def _answer(stack, spec: str, run_id: str, option: str) -> str:
    """Answer the task's question; return how the run ended."""
    body = {"chosen_options": [option], "params_input": {}}
    stack.airflow.call("PATCH", _question(stack, spec, run_id), json=body)
    return stack.airflow.wait_for_run(spec, run_id)["state"]


def test_a_held_job_waits_for_approval_and_runs_once_it_is_there(stack, nights):
    spec = "system_hold"
    nights.start(spec, "approved")
    waiting = _wait_for_question(stack, spec, "approved")
    assert waiting["trigger"] is None
    assert nights.jobs(spec, "approved") == []
    asked = stack.airflow.call("GET", _question(stack, spec, "approved"))
    assert "over its limit of 0.0001 USD (hold)" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert _answer(stack, spec, "approved", "Approve") == "success"
    (job,) = nights.jobs(spec, "approved")
    kept = Ledger(CostTable(stack.cost_table_url)).of_job(JobId("demo-project", "us-central1", job.id))
    assert kept.approved_by == "admin"
    (told,) = stack.airflow.xcom(spec, "approved", "record_cost")["jobs"]
    assert told["expected_usd"] == kept.estimate.expected.text
    assert kept.estimate.rows == told["ok_rows"] + told["failed_rows"]


def test_a_rejected_job_is_not_submitted_and_a_cleared_task_asks_again(stack, nights):
    spec = "system_hold"
    nights.start(spec, "rejected")
    _wait_for_question(stack, spec, "rejected")
    assert _answer(stack, spec, "rejected", "Reject") == "failed"
    assert nights.tasks(spec, "rejected")["record_cost"] == "skipped"
    assert nights.jobs(spec, "rejected") == []
    stack.airflow.clear_run(spec, "rejected")
    _wait_for_question(stack, spec, "rejected")
    assert _answer(stack, spec, "rejected", "Approve") == "success"
    assert len(nights.jobs(spec, "rejected")) == 1


def test_a_refused_job_fails_at_once_and_costs_nothing(stack, nights):
    spec = "system_refuse"
    nights.start(spec, "too_much")
    assert stack.airflow.wait_for_run(spec, "too_much")["state"] == "failed"
    assert nights.tasks(spec, "too_much")["record_cost"] == "skipped"
    assert nights.jobs(spec, "too_much") == []
    log = stack.airflow.logs(spec, "too_much", "submit")
    assert "over its limit of 0.00001 USD (refuse). Nothing was submitted" in log


def test_a_warning_submits_and_the_next_run_learns_from_the_bill(stack, nights):
    spec = "system_warn"
    nights.start(spec, "first")
    assert stack.airflow.wait_for_run(spec, "first")["state"] == "success"
    first = stack.airflow.xcom(spec, "first", "submit", "estimate")
    assert first["verdict"] == "warn"
    assert "no history" in first["method"]
    nights.start(spec, "second")
    assert stack.airflow.wait_for_run(spec, "second")["state"] == "success"
    second = stack.airflow.xcom(spec, "second", "submit", "estimate")
    (bill,) = nights.bills(spec, "first")
    assert second["method"].endswith("tokens as in the last job")
    assert second["expected_usd"] == bill.total.text
