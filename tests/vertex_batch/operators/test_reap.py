"""The reaper: of the active jobs of this Airflow, those whose run is over."""

from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException

from local.emulator.admin import Scenario, Step
from vertex_batch.client import BatchClient
from vertex_batch.lifecycle import TaskIdentity
from vertex_batch.operators import ReapBatchPredictionJobsOperator
from vertex_batch.operators.task_context import deployment
from vertex_batch.resource import CreateJobRequest, GcsDestination, GcsSource, InputConfig, OutputConfig


@pytest.fixture
def vertex(connections):
    connections.admin.set_settings(speed=1000)
    connections.gcs.put("gs://demo-bucket/in.jsonl", b'{"request": {"contents": []}}\n')
    connections.admin.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)]))
    return connections


def job_of(vertex, run_id: str, airflow: str | None = None) -> str:
    request = CreateJobRequest(
        display_name="a job",
        model="publishers/google/models/gemini-2.5-flash",
        input_config=InputConfig(gcs_source=GcsSource(uris=["gs://demo-bucket/in.jsonl"])),
        output_config=OutputConfig(gcs_destination=GcsDestination(output_uri_prefix="gs://demo-bucket/out/")),
        labels=TaskIdentity(airflow or deployment(), "nightly", run_id, "submit").labels(3, "f"),
    )
    with BatchClient(vertex.direct) as client:
        return client.create("demo-project", "us-central1", request).job_id


@pytest.fixture
def jobs(vertex, context, monkeypatch) -> dict[str, str]:
    states = {
        "over": {"submit": "success", "wait": "failed"},
        "waiting": {"submit": "success", "wait": "deferred"},
    }
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: {"nightly": states}.get(dag_id, {}))
    return {run_id: job_of(vertex, run_id) for run_id in ("over", "waiting", "deleted")} | {
        "foreign": job_of(vertex, "over", "https://another.example")
    }


def reap(context, **fields) -> dict[str, str]:
    found = ReapBatchPredictionJobsOperator(task_id="reap", **fields).execute(context)
    return {entry["job_id"]: entry["owner"] for entry in found}


def cancelled(vertex) -> list[str]:
    return [job.id for job in vertex.admin.jobs() if job.cancel_calls]


def test_reports_and_cancels_nothing_by_default(vertex, context, jobs):
    assert reap(context) == {jobs["over"]: "orphan", jobs["deleted"]: "unknown"}
    assert cancelled(vertex) == []


def test_cancels_only_what_it_knows_to_be_over(vertex, context, jobs):
    assert set(reap(context, action="cancel")) == {jobs["over"], jobs["deleted"]}
    assert cancelled(vertex) == [jobs["over"]]
    assert vertex.admin.job(jobs["over"]).state == "CANCELLED"
    assert set(reap(context, action="cancel")) == {jobs["deleted"]}


def test_an_action_that_does_not_exist_is_refused(vertex, context, jobs):
    with pytest.raises(AirflowFailException, match="Nothing was cancelled"):
        reap(context, action="delete")
