"""Lineage as Airflow's own OpenLineage provider takes it from the tasks and writes it into a file."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from tests.builders import ROW
from tests.vertex_batch.costs.conftest import make_bill
from vertex_batch.observability.lineage import Data, Lineage, ReportsLineage, of_bills, of_reference
from vertex_batch.operators import AggregateTokenUsageOperator, SubmitBatchPredictionJobOperator
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.vertex.resource import JobReference


@pytest.mark.parametrize(
    ("uri", "dataset"),
    [
        ("gs://bucket/in/a.jsonl", ("gs://bucket", "in/a.jsonl")),
        ("gs://bucket/in/2026-*/part-?.jsonl", ("gs://bucket", "in")),
        ("gs://bucket/in/part-*.jsonl", ("gs://bucket", "in")),
        ("gs://bucket/*.jsonl", ("gs://bucket", "/")),
        ("gs://bucket/out/", ("gs://bucket", "out")),
        ("gs://bucket", ("gs://bucket", "/")),
        ("bq://p.d.t", ("bigquery", "p.d.t")),
    ],
)
def test_datasets_have_the_names_that_openlineage_gives_them(uri, dataset):
    assert Data(uri).dataset == dataset


def test_a_reference_is_what_was_asked_for_and_what_was_written():
    job = JobReference("p", "l", "1", output_prefix="gs://b/out/", input_uris=("gs://b/in.jsonl",))
    name = "projects/p/locations/l/batchPredictionJobs/1"
    assert of_reference(job) == Lineage((Data("gs://b/in.jsonl"),), (Data("gs://b/out/"),), (name,))
    assert of_reference(job, "gs://b/out/x", 7).outputs == (Data("gs://b/out/x", 7),)


def test_bills_know_their_rows_and_share_an_input():
    bills = [
        make_bill(number, input_uris=("gs://in/a.jsonl",), output_directory=f"gs://out/{number}")
        for number in ("1", "2")
    ]
    found = of_bills(bills)
    assert found.inputs == (Data("gs://in/a.jsonl", 11),)
    assert found.outputs == (Data("gs://out/1", 9), Data("gs://out/2", 9))
    assert len(found.job_names) == 2
    assert of_bills([make_bill()]).inputs == (Data("gs://in/a.jsonl"), Data("gs://in/b.jsonl"))


def test_nobody_needs_openlineage():
    code = "import sys, vertex_batch.operators, vertex_batch.sensors; print('openlineage' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False"


@pytest.fixture
def told(tmp_path):
    """Give a task that has ended to the provider, as its listener does; return the event in the file."""
    pytest.importorskip("airflow.providers.openlineage")
    from airflow.providers.openlineage.extractors.manager import ExtractorManager
    from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter
    from airflow.sdk import TaskInstanceState
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    path = tmp_path / "events.jsonl"
    transport = FileTransport(FileConfig(log_file_path=str(path), append=True))
    adapter = OpenLineageAdapter(client=OpenLineageClient(transport=transport))

    def emit(task, state: str = "success") -> dict:
        ended = TaskInstanceState(state)
        metadata = ExtractorManager().extract_metadata(
            SimpleNamespace(run_id="run"), task, ended, SimpleNamespace()
        )
        send = adapter.fail_task if state == "failed" else adapter.complete_task
        send(
            run_id=str(uuid.uuid4()),
            job_name=f"nightly.{task.task_id}",
            end_time=datetime.now(UTC).isoformat(),
            task=metadata,
            nominal_start_time=None,
            nominal_end_time=None,
            owners=None,
            tags=None,
            job_description=None,
            **({"error": "it failed"} if state == "failed" else {}),
        )
        return json.loads(path.read_text().splitlines()[-1])

    return emit


def datasets(event: dict, side: str) -> list[tuple[str, str]]:
    return [(data["namespace"], data["name"]) for data in event[side]]


def test_submit_wait_and_record_tell_what_was_read_and_written(
    connections, context, told, tmp_path, monkeypatch
):
    monkeypatch.setenv("AIRFLOW_CONN_BATCH_COSTS", f"sqlite:///{tmp_path}/costs.db")
    connections.admin.set_settings(speed=1000)
    connections.gcs.put("gs://demo-bucket/in.jsonl", ROW * 4)
    with DAG("nightly", schedule=None):
        submit = SubmitBatchPredictionJobOperator(
            task_id="submit",
            model="gemini-2.5-flash",
            inputs="gs://demo-bucket/in.jsonl",
            output_uri="gs://demo-bucket/out",
        )
        record = AggregateTokenUsageOperator(task_id="record_cost", submit_task_id="submit")
    submit.render_template_fields(context)
    job = submit.execute(context)
    connections.admin.wait_for_jobs(job_id=job["job_id"], state="SUCCEEDED")
    context["ti"].xcoms["submit", "return_value"] = job
    wait = BatchPredictionJobSensor(task_id="wait", job=job)
    ended = wait.execute(context)
    record.execute(context)
    directory = ended["output_directory"].removeprefix("gs://demo-bucket/")
    query = f"projects/demo-project/locations/us-central1/batchPredictionJobs/{job['job_id']}"

    events = {task.task_id: told(task) for task in (submit, wait, record)}
    for event in events.values():
        assert event["run"]["facets"]["externalQuery"]["externalQueryId"] == query
        assert event["run"]["facets"]["externalQuery"]["source"] == "vertex_ai"
        assert datasets(event, "inputs") == [("gs://demo-bucket", "in.jsonl")]
    assert datasets(events["submit"], "outputs") == [("gs://demo-bucket", "out")]
    for task_id in ("wait", "record_cost"):
        assert datasets(events[task_id], "outputs") == [("gs://demo-bucket", directory)]
        (output,) = events[task_id]["outputs"]
        assert output["outputFacets"]["outputStatistics"]["rowCount"] == 4
    (read,) = events["record_cost"]["inputs"]
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 4


def test_a_job_that_failed_is_told_with_its_id(connections, context, told):
    connections.admin.set_settings(speed=1000)
    connections.gcs.put("gs://demo-bucket/in.jsonl", ROW)
    reference = connections.submit(end="FAILED", error_code=3)
    connections.admin.wait_for_jobs(job_id=reference.job_id, state="FAILED")
    wait = BatchPredictionJobSensor(task_id="wait", job=reference.to_dict(), resubmits=0)
    with pytest.raises(AirflowFailException):
        wait.execute(context)
    event = told(wait, "failed")
    assert event["eventType"] == "FAIL"
    assert event["run"]["facets"]["externalQuery"]["externalQueryId"].endswith(reference.job_id)


def test_a_task_that_knows_nothing_yet_tells_nothing(told):
    with DAG("nightly", schedule=None):
        task = SubmitBatchPredictionJobOperator(task_id="submit", model="m", inputs="i", output_uri="o")
    assert isinstance(task, ReportsLineage)
    event = told(task)
    assert (event["inputs"], event["outputs"]) == ([], [])
    assert "externalQuery" not in event["run"]["facets"]
