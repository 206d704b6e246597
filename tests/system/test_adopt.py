"""A job that somebody else made, from Airflow's form to its bill."""

from __future__ import annotations

from local.emulator.admin import Scenario, Step
from tests.builders import ROW, a_request
from tests.system.conftest import DEPLOYMENT
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.vertex.client import BatchClient, ProxyConfig

DAG = "vertex_batch_adopt"
PLACE = ("demo-project", "us-central1")
RUNS = Scenario(times=1, timeline=[Step(state="RUNNING", seconds=None)], mix={})


def create(stack, labels: dict[str, str] | None = None) -> str:
    """Make a job through the proxy, as a script that knows nothing of this package."""
    stack.gcs.put("gs://demo-bucket/by_hand.jsonl", ROW * 12)
    stack.emulator.add_scenario(RUNS)
    request = a_request(
        "gs://demo-bucket/by_hand.jsonl",
        "gs://demo-bucket/by_hand_out/",
        display_name="by hand",
        labels=labels or {},
    )
    with BatchClient(ProxyConfig(stack.proxy_url, stack.master_key)) as client:
        job_id = client.create(*PLACE, request).job_id
    stack.emulator.wait_for_jobs(job_id=job_id, state="RUNNING")
    return job_id


def adopt(stack, run_id: str, job: str, **conf) -> None:
    stack.airflow.wait_for_dag(DAG)
    stack.airflow.unpause(DAG)
    stack.airflow.trigger(DAG, dag_run_id=run_id, conf={"job": job, **conf})


def test_a_job_of_another_tool_is_waited_for_and_billed_once(stack, nights):
    job_id = create(stack)
    address = (
        "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/"
        f"{job_id}?project=demo-project"
    )
    adopt(stack, "by_hand", address, team="search", spec="by_hand", note="from the console")
    stack.airflow.wait_for_task(DAG, "by_hand", "wait", ["deferred"], timeout_seconds=180)
    stack.emulator.release_job(job_id)
    assert stack.airflow.wait_for_run(DAG, "by_hand")["state"] == "success"
    (bill,) = nights.bills(DAG, "by_hand")
    assert (bill.job.job_id, bill.job.team, bill.job.spec, bill.job.note) == (
        job_id,
        "search",
        "by_hand",
        "from the console",
    )
    assert bill.total.amount == nights.sum_by_hand(stack.emulator.job(job_id)) > 0
    adopt(stack, "again", job_id)
    assert stack.airflow.wait_for_run(DAG, "again")["state"] == "success"
    assert [bill.job.job_id for bill in nights.bills(DAG)] == [job_id]


def test_a_job_of_a_run_of_ours_is_refused(stack, nights):
    job_id = create(stack, TaskIdentity(DEPLOYMENT, "system_manual", "r", "submit").labels(0, "f"))
    adopt(stack, "refused", job_id)
    assert stack.airflow.wait_for_run(DAG, "refused")["state"] == "failed"
    assert "this Airflow submitted it" in stack.airflow.logs(DAG, "refused", "adopt")
    assert nights.bills(DAG, "refused") == []
    stack.emulator.release_job(job_id)


def test_a_wait_that_a_person_fails_leaves_the_job_of_another_tool_running(stack, nights):
    job_id = create(stack)
    adopt(stack, "left", job_id)
    stack.airflow.wait_for_task(DAG, "left", "wait", ["deferred"], timeout_seconds=180)
    stack.airflow.set_task_state(DAG, "left", "wait", "failed")
    stack.airflow.wait_for_task(DAG, "left", "record_cost", ["up_for_retry"], timeout_seconds=180)
    assert stack.emulator.job(job_id).cancel_calls == []
    stack.emulator.release_job(job_id)
    stack.emulator.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    stack.airflow.clear_tasks(DAG, "left", ["record_cost"])
    stack.airflow.wait_for_task(DAG, "left", "record_cost", ["success"], timeout_seconds=180)
    (bill,) = nights.bills(DAG, "left")
    assert (bill.job.job_id, bill.job.state) == (job_id, "SUCCEEDED")
