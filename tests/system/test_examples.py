"""Each example of `include/jobs/examples/`, run to its bill."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.examples import example_input
from local.stack.airflow_api import wait_until
from vertex_batch.specs import Spec, load_specs
from vertex_batch.specs.rendering import render_job

FOLDER = Path(__file__).resolve().parents[2] / "include" / "jobs" / "examples"
EXAMPLES = load_specs(FOLDER).specs
MOMENT = datetime(2026, 11, 20, 12, tzinfo=UTC)
ROWS = {"large_input": 120}
JOBS = {"several_jobs": 2, "matrix": 4, "large_input": 3}
SENDS_AGAIN = {"retry_rows"}
WOKEN = "results_of_others"


def rows_of(spec: Spec) -> int:
    return ROWS.get(spec.name, 12)


def drop(specs: Path) -> None:
    """Copy the examples into the folder of the specs, as a person does, and have them poll often."""
    for path in FOLDER.rglob("*.yaml"):
        copy = specs / "shown" / path.relative_to(FOLDER)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(f"{path.read_text()}poll_interval: 1s\n")


def put_inputs(stack, spec: Spec, moment: datetime) -> int:
    """Put a file wherever the spec looks for one; return how many rows there are."""
    files = 0
    for job in spec.jobs:
        for uri in render_job(spec, job, moment).uris:
            stack.gcs.put(uri.replace("*", "a"), example_input(job.model, uri, rows_of(spec)))
            files += 1
    return files * rows_of(spec)


@pytest.fixture(scope="module")
def started(stack) -> dict[str, tuple[str, int]]:
    """Start all of them, so that they run side by side: name -> run and rows."""
    pool = {"name": "vertex_batch", "slots": 20, "include_deferred": True}
    stack.airflow.call("POST", "/pools", json=pool)
    drop(stack.options.specs)
    for day in (-1, 0, 1):
        put_inputs(stack, EXAMPLES[WOKEN], datetime.now(UTC) + timedelta(days=day))
    stack.airflow.wait_for_new_dag(WOKEN, "nightly_summaries")
    stack.airflow.unpause(WOKEN)
    runs = {}
    for name, spec in EXAMPLES.items():
        if name != WOKEN:
            rows = put_inputs(stack, spec, MOMENT)
            stack.airflow.wait_for_dag(name)
            stack.airflow.unpause(name)
            run = stack.airflow.trigger(name, dag_run_id="shown", logical_date=MOMENT)
            runs[name] = run["dag_run_id"], rows
    return runs


@pytest.mark.parametrize("name", sorted(EXAMPLES.keys() - {WOKEN}))
def test_it_runs_to_its_bill(stack, nights, started, name):
    run_id, rows = started[name]

    assert stack.airflow.wait_for_run(name, run_id, 200)["state"] == "success"

    bills = nights.bills(name, run_id)
    if name in SENDS_AGAIN:
        assert max(bill.rows.total for bill in bills) == rows
        assert stack.airflow.xcom(name, run_id, "deliver")["input_rows"] == rows
    else:
        assert len(bills) == JOBS.get(name, 1)
        assert sum(bill.rows.ok + bill.rows.failed for bill in bills) == rows
    assert all(bill.total.complete and bill.total.amount > 0 for bill in bills)


def test_the_results_of_one_wake_another(stack, nights, started):
    stack.airflow.wait_for_run("several_jobs", started["several_jobs"][0], 200)

    (run,) = wait_until(lambda: stack.airflow.runs(WOKEN), "the run that an asset starts", 60)

    assert run["run_type"] == "asset_triggered"
    assert stack.airflow.wait_for_run(WOKEN, run["dag_run_id"], 120)["state"] == "success"
    (bill,) = nights.bills(WOKEN, run["dag_run_id"])
    assert bill.total.complete
    assert bill.rows.ok == 12
