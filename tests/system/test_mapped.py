"""A mapped submit and wait, with one task that cancels and one that bills: what Airflow makes of it."""

from __future__ import annotations

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.stack.airflow_api import wait_until
from tools.chaos import kill, talking_to_proxy

DAG = "system_mapped"
FOR_EVER = Scenario(timeline=[Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=None)], mix={})


def waiting(stack, nights, run_id: str):
    """Start a run and bring it to three tasks that wait, each for a running job."""
    stack.emulator.add_scenario(FOR_EVER)
    nights.start(DAG, run_id)
    nights.wait_for_job(DAG, run_id, "RUNNING", count=3)
    wait_until(lambda: states(stack, run_id, "wait") == ["deferred"] * 3, "three waiting tasks", 90)
    return {job.labels["airflow_map_index"]: job for job in nights.jobs(DAG, run_id)}


def states(stack, run_id: str, task_id: str) -> list[str]:
    found = stack.airflow.task_instances(DAG, run_id)
    return [task["state"] for task in found if task["task_id"] == task_id]


def is_watched(stack, run_id: str, map_index: int) -> bool:
    """Whether a trigger has looked; Airflow tells none that was marked before it began."""
    folder = stack.options.home / "airflow" / "logs" / f"dag_id={DAG}" / f"run_id={run_id}"
    logs = folder.glob(f"task_id=wait/map_index={map_index}/*.trigger.*.log")
    return any("is RUNNING" in log.read_text() for log in logs)


def billed(nights, run_id: str) -> dict[int, str]:
    return {bill.job.map_index: bill.job.job_id for bill in nights.bills(DAG, run_id)}


def test_a_submit_that_is_killed_at_every_map_index_leads_to_one_job_and_one_bill_each(stack, nights):
    stack.emulator.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True, times=3))
    nights.start(DAG, "killed")
    stack.emulator.wait_for_held(Operation.CREATE, count=3, timeout_seconds=180)
    kill(talking_to_proxy(stack))
    stack.emulator.release_held()
    assert stack.airflow.wait_for_run(DAG, "killed")["state"] == "success"
    jobs = {int(job.labels["airflow_map_index"]): job.id for job in nights.jobs(DAG, "killed")}
    assert sorted(jobs) == [0, 1, 2]
    assert billed(nights, "killed") == jobs


def test_a_run_that_a_person_fails_cancels_and_bills_the_jobs_of_all_map_indices(stack, nights):
    jobs = waiting(stack, nights, "run_failed")
    stack.airflow.set_run_state(DAG, "run_failed", "failed")
    nights.wait_for_job(DAG, "run_failed", "CANCELLED", count=3)
    stack.airflow.wait_for_task(DAG, "run_failed", "record_cost", ["success"], timeout_seconds=180)
    assert billed(nights, "run_failed") == {int(index): job.id for index, job in jobs.items()}


def test_a_map_index_that_a_person_marks_cancels_its_own_job_and_no_other(stack, nights):
    jobs = waiting(stack, nights, "one_marked")
    wait_until(lambda: is_watched(stack, "one_marked", 1), "the trigger of map index 1", 60)
    stack.airflow.call(
        "PATCH", f"/dags/{DAG}/dagRuns/one_marked/taskInstances/wait/1", json={"new_state": "success"}
    )
    nights.wait_for_job(DAG, "one_marked", "CANCELLED")
    for index in ("0", "2"):
        stack.emulator.release_job(jobs[index].id)
    stack.airflow.wait_for_run(DAG, "one_marked")
    ended = {job.labels["airflow_map_index"]: job.state for job in nights.jobs(DAG, "one_marked")}
    assert ended == {"0": "SUCCEEDED", "1": "CANCELLED", "2": "SUCCEEDED"}
    assert billed(nights, "one_marked") == {int(index): job.id for index, job in jobs.items()}
