"""A person clears tasks: their jobs go on or are cancelled, whether or not Airflow keeps a task's state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from local.stack.airflow_api import wait_until
from tools.chaos.scene import discarding_state

MANUAL, SPLIT, IN_WORKER = "system_manual", "system_split", "system_in_worker"


@pytest.fixture(params=["kept", "discarded"])
def world(request, stack) -> Iterator[str]:
    """Whether Airflow keeps a task's state when it is cleared."""
    with discarding_state(stack) if request.param == "discarded" else nullcontext():
        yield request.param


def cleared(stack, dag_id: str, run_id: str, task_id: str, state: str) -> None:
    """Wait until the next try of a cleared task is where the first one was."""
    instance = lambda: stack.airflow.task_instance(dag_id, run_id, task_id)  # noqa: E731
    wait_until(lambda: instance()["try_number"] > 1, f"the second try of {task_id}", 240)
    stack.airflow.wait_for_task(dag_id, run_id, task_id, [state], timeout_seconds=180)


@pytest.mark.parametrize(
    ("dag_id", "state", "tasks"),
    [
        (MANUAL, "deferred", None),
        (MANUAL, "deferred", ["submit", "wait"]),
        (IN_WORKER, "running", ["submit", "wait"]),
    ],
)
def test_a_run_or_a_waiting_task_that_is_cleared_goes_on_with_its_job(
    stack, nights, waiting, world, dag_id, state, tasks
):
    run_id = f"cleared_{world}_{'tasks' if tasks else 'run'}"
    job = waiting(dag_id, run_id, state)
    if tasks:
        stack.airflow.clear_tasks(dag_id, run_id, tasks)
    else:
        stack.airflow.clear_run(dag_id, run_id)
    cleared(stack, dag_id, run_id, "wait", state)
    stack.emulator.release_job(job.id)
    assert stack.airflow.wait_for_run(dag_id, run_id)["state"] == "success"
    (only,) = nights.jobs(dag_id, run_id)
    assert (only.id, only.state, only.cancel_calls) == (job.id, "SUCCEEDED", [])


def test_jobs_that_a_new_plan_does_not_use_are_cancelled_and_no_other(stack, nights, waiting, world):
    run_id = f"smaller_{world}"
    waiting(SPLIT, run_id, jobs=3)
    before = {job.labels["airflow_shard"]: job.id for job in nights.jobs(SPLIT, run_id)}
    assert sorted(before) == ["1-of-3", "2-of-3", "3-of-3"]
    nights.put_input(SPLIT, stack.airflow.run(SPLIT, run_id)["run_after"][:10], rows=5)  # for one job
    stack.emulator.clear_scenarios()
    stack.airflow.clear_tasks(SPLIT, run_id, ["plan_inputs"], include_downstream=True)
    assert stack.airflow.wait_for_run(SPLIT, run_id)["state"] == "success"
    states = {job.id: job.state for job in nights.jobs(SPLIT, run_id)}
    assert {states.pop(job_id) for job_id in before.values()} == {"CANCELLED"}
    assert list(states.values()) == ["SUCCEEDED"]
    assert {bill.job.job_id for bill in nights.bills(SPLIT, run_id)} == {*before.values(), *states}
