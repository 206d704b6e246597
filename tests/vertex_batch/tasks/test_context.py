"""What operators read from Airflow's context."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowRuntimeError

from vertex_batch.errors import ConfigurationError
from vertex_batch.operators import AggregateTokenUsageOperator, SubmitBatchPredictionJobOperator
from vertex_batch.tasks.context import check_retried_day, cost_name, overridden, with_run_dates

if TYPE_CHECKING:
    from airflow.sdk import Context


def test_a_form_replaces_the_fields_that_were_filled_in_without_the_blanks_around_them():
    params = {"input": [" gs://b/in.jsonl "], "model": "gemini-2.5-pro\n", "output": "  ", "labels": {}}
    overrides = {"inputs": "input", "model": "model", "output_uri": "output", "labels": "labels"}
    assert overridden(params, overrides) == {"inputs": ["gs://b/in.jsonl"], "model": "gemini-2.5-pro"}


@pytest.mark.parametrize(
    ("entered", "inputs"),
    [
        (" gs://b/in.jsonl\n", "gs://b/in.jsonl"),
        ("gs://b/1.jsonl\r\n\n gs://b/2.jsonl ", ["gs://b/1.jsonl", "gs://b/2.jsonl"]),
    ],
)
def test_several_inputs_are_entered_one_per_line_and_arrive_as_one_text(entered, inputs):
    assert overridden({"input": entered}, {"inputs": "input"}) == {"inputs": inputs}


def retry_of(run_id: str, **params: Any) -> Context:
    run = SimpleNamespace(partition_date=None, logical_date=datetime(2026, 11, 27, 12, tzinfo=UTC))
    ti = SimpleNamespace(dag_id="nightly")
    return cast("Context", {"dag_run": run, "ti": ti, "params": {"retry_of": run_id, **params}})


@pytest.fixture
def runs(airflow_runs):
    """Some runs, the last of which were retries themselves."""
    airflow_runs.add("scheduled", datetime(2026, 11, 22, 2, 30, tzinfo=UTC))
    airflow_runs.add("late", datetime(2026, 11, 22, 23, 30, tzinfo=UTC))  # the next day in Berlin
    airflow_runs.add("entered", datetime(2026, 11, 26, 9, 30, tzinfo=UTC), run_date="2026-12-02")
    today = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
    airflow_runs.add("retry", today, retry_of="entered")
    airflow_runs.add("dated", today, retry_of="gone", run_date="2026-12-03")
    airflow_runs.add("lost", today, retry_of="gone")
    airflow_runs.add("itself", today, retry_of="itself")
    return airflow_runs


@pytest.mark.parametrize(
    ("run_id", "entered", "stamp", "problem"),
    [
        ("", None, "20261127T130000", None),
        ("", "2026-11-20", "20261120T130000", None),
        ("scheduled", None, "20261122T033000", None),
        ("late", None, "20261123T003000", None),
        ("entered", None, "20261202T103000", None),
        (" entered ", "2026-12-02", "20261202T103000", None),
        ("retry", None, "20261202T103000", None),
        ("dated", None, "20261203T100000", None),
        ("itself", None, "20261127T100000", None),
        # Refused. It would have had the dates of the earlier run all the same, if that is known.
        ("entered", "2026-11-27", "20261202T103000", "is of 2026-12-02, but the run date 2026-11-27"),
        ("entered", "tomorrow", "20261202T103000", "not a valid day"),
        ("gone", None, "20261127T130000", "Airflow does not know run gone"),
        ("lost", None, "20261127T130000", "Airflow does not know run lost"),
        ("entered#x", None, "20261127T130000", "Airflow does not know run entered#x"),
        # It was deleted, and a person knows its day.
        ("gone", "2026-12-02", "20261202T130000", None),
    ],
)
def test_a_run_that_sends_rows_again_has_the_dates_of_the_earlier_run(runs, run_id, entered, stamp, problem):
    context = retry_of(run_id, run_date=entered)
    assert dict(with_run_dates(context, "Europe/Berlin"))["run_timestamp"] == stamp
    if problem is None:
        check_retried_day(context, "Europe/Berlin", "Nothing was submitted")
        return
    with pytest.raises(ConfigurationError, match=problem) as caught:
        check_retried_day(context, "Europe/Berlin", "Nothing was submitted")
    assert "Nothing was submitted" in str(caught.value)


def test_a_retry_has_no_dates_while_airflow_does_not_answer(runs):
    runs.status = 503
    with pytest.raises(AirflowRuntimeError):
        with_run_dates(retry_of("gone"), "UTC")


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
