"""A person or a crash ends a task: no job runs on, and none is paid for twice."""

from __future__ import annotations

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tools.chaos import kill, talking_to_proxy

SPEC = "system_manual"
FOR_EVER = Scenario(timeline=[Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=None)], mix={})


def wait_until_deferred(stack, run_id: str) -> None:
    stack.airflow.wait_for_task(SPEC, run_id, "wait", ["deferred"], timeout_seconds=180)


@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
def test_a_waiting_task_that_a_person_marks_cancels_its_job(stack, nights, state):
    run_id = f"marked_{state}"
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(SPEC, run_id)
    nights.wait_for_job(SPEC, run_id, "RUNNING")
    wait_until_deferred(stack, run_id)
    stack.airflow.set_task_state(SPEC, run_id, "wait", state)
    nights.wait_for_job(SPEC, run_id, "CANCELLED")
    stack.airflow.wait_for_run(SPEC, run_id)
    (job,) = nights.jobs(SPEC, run_id)
    (bill,) = nights.bills(SPEC, run_id)
    assert bill.job.state == "CANCELLED"
    assert bill.total.amount == nights.sum_by_hand(job) > 0
    assert stack.airflow.run(SPEC, run_id)["state"] == ("failed" if state == "failed" else "success")


def test_a_run_that_a_person_fails_cancels_its_job_and_still_records_it(stack, nights):
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(SPEC, "run_failed")
    nights.wait_for_job(SPEC, "run_failed", "RUNNING")
    wait_until_deferred(stack, "run_failed")
    stack.airflow.set_run_state(SPEC, "run_failed", "failed")
    nights.wait_for_job(SPEC, "run_failed", "CANCELLED")
    stack.airflow.wait_for_task(SPEC, "run_failed", "record_cost", ["success"], timeout_seconds=180)
    (bill,) = nights.bills(SPEC, "run_failed")
    assert bill.job.state == "CANCELLED"


def test_a_task_that_is_killed_right_after_its_post_leads_to_one_job(stack, nights):
    stack.emulator.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    nights.start(SPEC, "killed")
    (held,) = stack.emulator.wait_for_held(Operation.CREATE, timeout_seconds=180)
    assert held.stored
    kill(talking_to_proxy(stack))
    stack.emulator.release_held()
    assert stack.airflow.wait_for_run(SPEC, "killed")["state"] == "success"
    (job,) = nights.jobs(SPEC, "killed")
    assert job.id == held.job
    assert stack.airflow.task_instance(SPEC, "killed", "submit")["try_number"] == 2
    assert [bill.job.job_id for bill in nights.bills(SPEC, "killed")] == [job.id]


def test_a_triggerer_that_crashes_goes_on_with_the_job_and_cancels_nothing(stack, nights):
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(SPEC, "triggerer_crash")
    job = nights.wait_for_job(SPEC, "triggerer_crash", "RUNNING")
    wait_until_deferred(stack, "triggerer_crash")
    with stack.without("triggerer"):
        stack.emulator.release_job(job.id)
    assert stack.airflow.wait_for_run(SPEC, "triggerer_crash")["state"] == "success"
    (only,) = nights.jobs(SPEC, "triggerer_crash")
    assert only.cancel_calls == []
    assert [bill.job.job_id for bill in nights.bills(SPEC, "triggerer_crash")] == [job.id]


def test_the_cancel_dag_cancels_by_id(stack, nights):
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(SPEC, "by_dag")
    job = nights.wait_for_job(SPEC, "by_dag", "RUNNING")
    stack.airflow.unpause("vertex_batch_cancel")
    run = stack.airflow.trigger("vertex_batch_cancel", conf={"job_ids": [job.id]})
    assert stack.airflow.wait_for_run("vertex_batch_cancel", run["dag_run_id"])["state"] == "success"
    assert nights.jobs(SPEC, "by_dag")[0].state == "CANCELLED"
    assert stack.airflow.wait_for_run(SPEC, "by_dag")["state"] == "failed"
    (bill,) = nights.bills(SPEC, "by_dag")
    assert bill.job.state == "CANCELLED"
