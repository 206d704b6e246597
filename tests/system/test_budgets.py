"""Budgets in the real Airflow: what warns, what is refused, and what waits for a person without a worker."""

from __future__ import annotations

from contextlib import suppress

from local.stack.airflow_api import FINISHED, AirflowApiError, wait_until
from vertex_batch.budgets import Ledger
from vertex_batch.costs import CostTable


def _question(spec: str, run_id: str) -> str:
    return f"/dags/{spec}/dagRuns/{run_id}/taskInstances/submit/-1/hitlDetails"


def _wait_for_question(stack, spec: str, run_id: str):
    """Wait until the task asks a person; where it does something else, its log says why."""
    states = ["awaiting_input", "success", "failed"]
    task = stack.airflow.wait_for_task(spec, run_id, "submit", states, 90)
    assert task["state"] == "awaiting_input", stack.airflow.logs(spec, run_id, "submit", task["try_number"])
    return task


def _answer(stack, spec: str, run_id: str, option: str) -> str:
    """Answer as often as the task asks until the run has ended; return how it ended.

    An answer that comes within a second may cross the scheduler's note of the process that asked: then
    Airflow takes the resumed task for lost, tries it again, and it asks again. No person is that fast.
    """
    body = {"chosen_options": [option], "params_input": {}}

    def ended() -> str | None:
        if stack.airflow.task_instance(spec, run_id, "submit")["state"] == "awaiting_input":
            with suppress(AirflowApiError):  # it was answered a moment ago
                stack.airflow.call("PATCH", _question(spec, run_id), json=body)
        state = stack.airflow.run(spec, run_id)["state"]
        return state if state in FINISHED else None

    return wait_until(ended, f"end of {spec} {run_id}", 150)


def test_a_held_job_waits_for_approval_and_runs_once_it_is_there(stack, nights):
    spec = "system_hold"
    nights.start(spec, "approved")
    waiting = _wait_for_question(stack, spec, "approved")
    assert waiting["trigger"] is None
    assert nights.jobs(spec, "approved") == []
    asked = stack.airflow.call("GET", _question(spec, "approved"))
    assert "over its limit of 0.0001 USD (hold)" in asked["body"]
    assert asked["options"] == ["Approve", "Reject"]
    assert _answer(stack, spec, "approved", "Approve") == "success"
    (job,) = nights.jobs(spec, "approved")
    kept = Ledger(CostTable(stack.cost_table_url)).of_job("demo-project", "us-central1", job.id)
    assert kept.approved_by == "admin"
    (told,) = stack.airflow.xcom(spec, "approved", "record_cost")["jobs"]
    assert told["expected_usd"] == kept.estimate.expected.text
    assert kept.estimate.rows == told["ok_rows"] + told["failed_rows"]


def test_a_refused_job_fails_at_once_and_costs_nothing(stack, nights):
    spec = "system_refuse"
    nights.start(spec, "too_much")
    assert stack.airflow.wait_for_run(spec, "too_much")["state"] == "failed"
    assert nights.tasks(spec, "too_much")["record_cost"] == "skipped"
    assert nights.jobs(spec, "too_much") == []
    log = stack.airflow.logs(spec, "too_much", "submit")
    assert "over its limit of 0.0001 USD (refuse). Nothing was submitted" in log


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
