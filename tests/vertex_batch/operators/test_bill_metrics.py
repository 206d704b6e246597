"""Each writer of bills, and what reaches the metrics: a job counts once, with its first bill."""

from __future__ import annotations

from collections import Counter

import pytest

from local.emulator.admin import Scenario
from tests.builders import LOCATION, PROJECT, a_request, input_rows
from tests.statsd import Listener, listening
from tests.vertex_batch.operators.conftest import MODEL
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    ReapBatchPredictionJobsOperator,
    RecountJobsOperator,
    RepriceJobsOperator,
)
from vertex_batch.tasks.context import deployment
from vertex_batch.vertex.resource import JobReference

ROWS = 6

pytestmark = [
    pytest.mark.vertex(rows=input_rows(*(f"n {i}" for i in range(ROWS)))),
    pytest.mark.usefixtures("table", "prices"),
]


@pytest.fixture
def listener(monkeypatch):
    with listening(monkeypatch, tagged=False) as server:
        yield server


def counters(listener: Listener) -> Counter[str]:
    """The counters of jobs and rows that were sent since the last call."""
    counts: Counter[str] = Counter()
    for line in listener.received():
        name, _, value = line.removeprefix("airflow.vertex_batch.").partition(":")
        if name.startswith(("job.ended", "job.rebilled", "rows")):
            counts[name] += int(value.partition("|")[0])
    return counts


FIRST = {"job.ended.succeeded": 1, "rows.ok": ROWS}


def ended(vertex, context, monkeypatch) -> str:
    """The id of a job that has ended, whose run is over without a bill."""
    states = {"over": {"submit": "success", "wait": "failed"}}
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: states)
    monkeypatch.setattr(context["ti"], "run_id", "over")
    vertex.admin.add_scenario(Scenario(times=1, mix={}))
    labels = TaskIdentity(deployment(), "nightly", "over", "submit").labels(3, "f")
    model = f"publishers/google/models/{MODEL}"
    job_id = vertex.create(a_request(display_name="to be billed", labels=labels, model=model))
    vertex.admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    return str(job_id)


def record(job_id: str, context) -> None:
    job = JobReference(PROJECT, LOCATION, job_id, model=MODEL).to_dict()
    AggregateTokenUsageOperator(task_id="record_cost", job=job, spec="nightly").execute(context)


def reap(context) -> None:
    ReapBatchPredictionJobsOperator(task_id="reap").execute(context)


def test_the_task_of_a_run_counts_a_job_once_however_often_it_records(vertex, context, monkeypatch, listener):
    job_id = ended(vertex, context, monkeypatch)
    record(job_id, context)
    assert counters(listener) == FIRST
    record(job_id, context)
    reap(context)
    assert counters(listener) == {}


def test_a_job_that_only_the_reaper_bills_is_counted_once(vertex, context, monkeypatch, listener):
    job_id = ended(vertex, context, monkeypatch)
    reap(context)
    assert counters(listener) == FIRST
    reap(context)
    record(job_id, context)
    assert counters(listener) == {}


def test_a_job_that_was_deleted_before_its_bill_is_counted_once(vertex, context, monkeypatch, listener):
    job_id = ended(vertex, context, monkeypatch)
    vertex.admin.delete_job(job_id)
    record(job_id, context)
    assert counters(listener) == {"job.ended.deleted": 1}
    record(job_id, context)
    assert counters(listener) == {}


def test_counting_rows_again_reports_another_sum_and_counts_no_row(vertex, context, monkeypatch, listener):
    job_id = ended(vertex, context, monkeypatch)
    record(job_id, context)
    counters(listener)
    path = f"{vertex.admin.job(job_id).output_directory}/predictions.jsonl"
    vertex.gcs.put(path, vertex.gcs.get(path).splitlines(keepends=True)[0])
    for only_compare, expected in ((True, {}), (False, {"job.rebilled": 1}), (False, {})):
        RecountJobsOperator(task_id="recount", job_ids=job_id, only_compare=only_compare).execute({})
        assert counters(listener) == expected


def test_pricing_again_reports_another_sum_and_counts_no_row(vertex, context, monkeypatch, listener, prices):
    job_id = ended(vertex, context, monkeypatch)
    record(job_id, context)
    counters(listener)
    prices["input_cost_per_token_batches"] = 2e-06
    for only_compare, expected in ((True, {}), (False, {"job.rebilled": 1}), (False, {})):
        RepriceJobsOperator(task_id="reprice", job_ids=job_id, only_compare=only_compare).execute({})
        assert counters(listener) == expected
