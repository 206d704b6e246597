"""Every row of the table of user actions in ``docs/lifecycle.md``, with the real processes."""

from __future__ import annotations

import pytest

from local.emulator.admin import Fault, FaultKind, Match, Operation, Scenario
from local.stack.airflow import TRIGGERER
from local.stack.airflow_api import wait_until
from tests.system.conftest import DEPLOYMENT, FOR_EVER
from tools.chaos import talking_to_proxy
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.vertex.client import BatchClient, ProxyConfig
from vertex_batch.vertex.resource import CreateJobRequest

SPEC = "system_manual"


def is_watched(stack, dag_id: str, run_id: str) -> bool:
    """Whether the trigger has looked; Airflow tells none that was skipped before it began."""
    folder = stack.options.home / "airflow" / "logs" / f"dag_id={dag_id}" / f"run_id={run_id}"
    return any("is RUNNING" in log.read_text() for log in folder.glob("task_id=wait/*.trigger.*.log"))


def the_only_job(nights, dag_id: str, run_id: str):
    (job,) = nights.jobs(dag_id, run_id)
    return job


def test_a_run_that_a_person_marks_as_success_cancels_its_job(stack, nights, waiting):
    waiting(SPEC, "run_success")
    stack.airflow.set_run_state(SPEC, "run_success", "success")
    nights.wait_for_job(SPEC, "run_success", "CANCELLED")


def test_a_task_that_is_marked_while_the_triggerer_is_down_cancels_its_job_all_the_same(
    stack, nights, waiting
):
    waiting(SPEC, "triggerer_down")
    with stack.without(TRIGGERER):
        stack.airflow.set_task_state(SPEC, "triggerer_down", "wait", "failed")
        nights.wait_for_job(SPEC, "triggerer_down", "CANCELLED")
    assert stack.airflow.wait_for_run(SPEC, "triggerer_down")["state"] == "failed"


def test_a_run_that_takes_too_long_cancels_its_job(stack, nights, waiting):
    waiting("system_run_timeout", "late")
    wait_until(lambda: is_watched(stack, "system_run_timeout", "late"), "the trigger that looks", 90)
    nights.sql(
        "UPDATE dag_run SET start_date = start_date - interval '1 day' WHERE dag_id = :name",
        name="system_run_timeout",
    )
    nights.wait_for_job("system_run_timeout", "late", "CANCELLED")
    assert stack.airflow.wait_for_run("system_run_timeout", "late")["state"] == "failed"
    # Airflow skips the teardown, too.
    assert nights.tasks("system_run_timeout", "late")["record_cost"] == "skipped"
    assert nights.bills("system_run_timeout", "late") == []
    reap(stack, action="report")
    (bill,) = nights.bills("system_run_timeout", "late")
    job = the_only_job(nights, "system_run_timeout", "late")
    assert (bill.job.job_id, bill.job.state, bill.job.run_type) == (job.id, "CANCELLED", "manual")
    assert bill.total.amount == nights.sum_by_hand(job) > 0


def reap(stack, **conf) -> None:
    stack.airflow.unpause("vertex_batch_reap")
    run = stack.airflow.trigger("vertex_batch_reap", conf=conf)
    assert stack.airflow.wait_for_run("vertex_batch_reap", run["dag_run_id"])["state"] == "success"


@pytest.mark.parametrize("state", ["failed", "success", "skipped"])
def test_a_task_that_waits_in_the_worker_and_is_marked_cancels_its_job(stack, nights, waiting, state):
    run_id = f"marked_{state}"
    waiting("system_in_worker", run_id, "running")
    stack.airflow.set_task_state("system_in_worker", run_id, "wait", state)
    nights.wait_for_job("system_in_worker", run_id, "CANCELLED")


def test_a_worker_that_is_asked_to_end_cancels_nothing(stack, nights, waiting):
    job = waiting("system_in_worker", "sigterm", "running")
    its = Match(labels={"airflow_job_key": job.labels["airflow_job_key"]})  # the triggerer reads others
    stack.emulator.add_fault(Fault(op=Operation.GET, kind=FaultKind.HOLD, match=its))
    stack.emulator.wait_for_held(Operation.GET)
    for process in talking_to_proxy(stack):
        process.terminate()
    stack.emulator.release_held()
    stack.emulator.release_job(job.id)
    assert stack.airflow.wait_for_run("system_in_worker", "sigterm")["state"] == "success"
    assert the_only_job(nights, "system_in_worker", "sigterm").cancel_calls == []
    assert "leaving the job for the next try" in stack.airflow.logs("system_in_worker", "sigterm", "wait")


def test_a_task_that_waits_in_the_worker_for_too_long_cancels_its_job(stack, nights):
    stack.emulator.add_scenario(FOR_EVER)
    nights.start("system_in_worker_timeout", "late")
    nights.wait_for_job("system_in_worker_timeout", "late", "CANCELLED")
    stack.airflow.wait_for_run("system_in_worker_timeout", "late")
    assert nights.tasks("system_in_worker_timeout", "late")["wait"] == "failed"
    assert len(nights.jobs("system_in_worker_timeout", "late")) == 1


def test_a_submit_that_is_marked_failed_between_post_and_answer_leaves_no_job_running(stack, nights):
    stack.emulator.add_scenario(FOR_EVER)
    stack.emulator.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    nights.start(SPEC, "submit_failed")
    stack.emulator.wait_for_held(Operation.CREATE, timeout_seconds=180)
    stack.airflow.set_task_state(SPEC, "submit_failed", "submit", "failed")
    nights.wait_for_job(SPEC, "submit_failed", "CANCELLED")
    stack.emulator.release_held()
    assert stack.airflow.wait_for_run(SPEC, "submit_failed")["state"] == "failed"
    job = the_only_job(nights, SPEC, "submit_failed")
    assert [bill.job.job_id for bill in nights.bills(SPEC, "submit_failed")] == [job.id]


def test_a_job_that_failed_for_a_passing_reason_is_submitted_again_and_both_are_billed(stack, nights):
    stack.emulator.add_scenario(Scenario(times=1, end="FAILED", error_code=13, finished=0.5, mix={}))
    nights.start(SPEC, "again")
    assert stack.airflow.wait_for_run(SPEC, "again")["state"] == "success"
    first, second = nights.jobs(SPEC, "again")
    bills = {bill.job.job_id: bill for bill in nights.bills(SPEC, "again")}
    assert (bills[first.id].job.state, bills[first.id].rows.ok) == ("FAILED", 6)
    assert (bills[second.id].job.state, bills[second.id].rows.ok) == ("SUCCEEDED", 12)
    assert bills[first.id].job.job_key != bills[second.id].job.job_key
    # The second job copies what the first has answered, and only the rest is paid.
    assert bills[first.id].total.amount == nights.sum_by_hand(first) > 0
    assert sum(bill.total.amount for bill in bills.values()) == nights.sum_by_hand(second)


def test_the_reaper_cancels_the_job_of_a_run_that_is_over_and_no_other(stack, nights, waiting):
    nights.start(SPEC, "over")
    assert stack.airflow.wait_for_run(SPEC, "over")["state"] == "success"
    job = waiting(SPEC, "not_over")
    orphan = submit_for(stack, "over", job.request)
    reap(stack, action="cancel")
    assert stack.emulator.job(orphan).state == "CANCELLED"
    assert stack.emulator.job(job.id).cancel_calls == []
    stack.emulator.release_job(job.id)
    stack.airflow.wait_for_run(SPEC, "not_over")


def submit_for(stack, run_id: str, request: dict) -> str:
    """Make a job that carries the labels of a run, behind Airflow's back."""
    labels = TaskIdentity(DEPLOYMENT, SPEC, run_id, "submit", 0).labels(0, "f")
    again = CreateJobRequest(
        display_name="orphan",
        model=request["model"],
        input_config=request["inputConfig"],
        output_config=request["outputConfig"],
        labels=labels,
    )
    with BatchClient(ProxyConfig(stack.proxy_url, stack.master_key)) as client:
        return client.create("demo-project", "us-central1", again).job_id
