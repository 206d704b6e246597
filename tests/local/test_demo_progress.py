import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from local.progress import Run, RunStatus, Watch, follow
from vertex_batch.errors import ProxyUnreachableError
from vertex_batch.vertex.resource import BatchPredictionJob

RUN = Run("nightly", "run-1", rows=40)


class FakeAirflow:
    def __init__(self, *stories):
        self._stories = list(stories)
        self._now = {}

    def task_instances(self, dag_id, run_id):
        self._now = self._stories.pop(0) if len(self._stories) > 1 else self._stories[0]
        return [{"task_id": name, "state": state} for name, state in self._now["tasks"].items()]

    def run(self, dag_id, run_id):
        return {"state": self._now["state"]}


def proxy_with(*jobs):
    return SimpleNamespace(list=lambda project, location: iter(jobs))


def job(number, state, **stats):
    return BatchPredictionJob.model_validate(
        {
            "name": f"projects/1/locations/us-central1/batchPredictionJobs/{number}",
            "state": f"JOB_STATE_{state}",
            "labels": {"airflow_spec": "nightly"},
            "createTime": f"2026-11-22T02:30:0{number}Z",
            "completionStats": {name: str(value) for name, value in stats.items()},
        }
    )


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=110)


def story(state, **tasks):
    return {"state": state, "tasks": tasks}


def test_a_run_shows_its_tasks_in_their_order_and_the_newest_job_of_its_spec():
    airflow = FakeAirflow(story("running", wait="deferred", submit="success", cancel=None))
    jobs = [job(2, "RUNNING", successfulCount=10, failedCount=2), job(1, "CANCELLED")]
    (status,) = Watch(airflow, proxy_with(*jobs), [RUN]).look()
    assert list(status.tasks.items()) == [("submit", "success"), ("wait", "deferred")]
    assert (status.job_state, status.rows) == ("RUNNING", "12/40, 2 failed")


def test_a_proxy_that_does_not_answer_hides_the_job_and_not_the_run():
    def refuse(project, location):
        raise ProxyUnreachableError(operation="list", target="p/l", message="refused")

    airflow = FakeAirflow(story("running", submit="running"))
    (status,) = Watch(airflow, SimpleNamespace(list=refuse), [RUN]).look()
    assert (status.state, status.job_state) == ("running", "-")


def test_a_log_gets_one_line_for_each_new_stage(console, monkeypatch):
    monkeypatch.setattr("local.progress.POLL_SECONDS", 0)
    first, same = story("running", submit="queued"), story("running", submit="running")
    airflow = FakeAirflow(story("queued"), first, same, same, story("success", submit="success"))
    follow(Watch(airflow, proxy_with(), [RUN]), console, timeout_seconds=5)
    lines = [line.partition("  ")[2] for line in console.file.getvalue().splitlines()]
    assert lines == ["nightly: starting", "nightly: submitting", "nightly: done"]


@pytest.mark.parametrize(
    ("state", "tasks", "job_state", "stage"),
    [
        ("running", {}, "-", "starting"),
        ("running", {"plan_inputs": "running"}, "-", "checking the input"),
        ("running", {"plan_inputs": "success", "submit": "up_for_retry"}, "-", "submitting"),
        ("running", {"submit": "success", "wait": "deferred"}, "-", "waiting for the job"),
        ("running", {"submit": "success", "wait": "deferred"}, "RUNNING", "job running"),
        (
            "running",
            {"wait": "success", "record_cost": "running"},
            "x",
            "recording the bill",
        ),
        ("running", {"record_cost": "success", "deliver": "queued"}, "x", "delivering the answers"),
        ("running", {"plan_inputs": "success"}, "-", "submitting"),
        ("running", {"record_cost": "success"}, "SUCCEEDED", "delivering the answers"),
        ("running", {"record_cost": "success", "deliver": "success"}, "SUCCEEDED", "ending"),
        ("success", {"deliver": "success"}, "SUCCEEDED", "done"),
        ("failed", {"plan_inputs": "success", "submit": "failed"}, "-", "failed at submit"),
        ("failed", {}, "-", "failed at its start"),
    ],
)
def test_a_stage_is_what_happens_now(state, tasks, job_state, stage):
    assert RunStatus(RUN, state, tasks, job_state).stage == stage


def test_runs_that_do_not_end_are_named(console, monkeypatch):
    monkeypatch.setattr("local.progress.POLL_SECONDS", 0)
    with pytest.raises(TimeoutError, match="nightly"):
        follow(Watch(FakeAirflow(story("running")), proxy_with(), [RUN]), console, timeout_seconds=0)
