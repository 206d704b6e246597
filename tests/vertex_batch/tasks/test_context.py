"""What operators read from Airflow's context."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.sdk import DAG

from vertex_batch.operators import AggregateTokenUsageOperator, SubmitBatchPredictionJobOperator
from vertex_batch.tasks.context import cost_name, overridden, with_run_dates

if TYPE_CHECKING:
    from airflow.sdk import Context


def test_a_form_replaces_the_fields_that_were_filled_in_without_the_blanks_around_them():
    params = {"input": [" gs://b/in.jsonl "], "model": "gemini-2.5-pro\n", "output": "  ", "labels": {}}
    overrides = {"inputs": "input", "model": "model", "output_uri": "output", "labels": "labels"}
    assert overridden(params, overrides) == {"inputs": ["gs://b/in.jsonl"], "model": "gemini-2.5-pro"}


@pytest.mark.parametrize(
    ("params", "day"),
    [
        ({}, "2026-11-27"),
        ({"retry_of": "scheduled__2026-11-22T02:30:00+00:00"}, "2026-11-22"),
        ({"retry_of": "scheduled__2026-11-22T23:30:00+00:00"}, "2026-11-23"),  # in Berlin
        ({"retry_of": "scheduled__2026-11-22T02:30:00+00:00", "run_date": "2026-11-20"}, "2026-11-20"),
        ({"retry_of": "manual__2026-11-22T02:30:00+00:00"}, "2026-11-27"),  # it may have had another date
    ],
)
def test_a_run_that_sends_rows_again_has_the_day_of_the_earlier_run(params, day):
    run = SimpleNamespace(partition_date=None, logical_date=datetime(2026, 11, 27, 12, tzinfo=UTC))
    dates: Any = with_run_dates(cast("Context", {"dag_run": run, "params": params}), "Europe/Berlin")
    assert dates["run_date"] == day


@pytest.mark.parametrize(
    ("spec", "submits", "name"),
    [
        ("nightly", 2, "nightly"),
        ("", 1, "my_dag"),
        ("", 2, "my_dag.submit_0"),
    ],
)
def test_costs_are_shown_under_the_spec_else_the_dag_else_the_task_of_several(spec, submits, name):
    with DAG("my_dag", schedule=None) as dag:
        for number in range(submits):
            SubmitBatchPredictionJobOperator.partial(
                task_id=f"submit_{number}", model="m", output_uri="gs://b/out"
            ).expand(inputs=["gs://b/in"])
        AggregateTokenUsageOperator(task_id="record_cost", submit_task_id="submit_0")
    context = {"task": dag.get_task("record_cost"), "ti": SimpleNamespace(dag_id="my_dag")}
    assert cost_name(cast("Context", context), spec, "submit_0") == name
