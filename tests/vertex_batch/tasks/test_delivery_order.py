"""Whether the delivery of a run still follows what a task of the run would pay for."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vertex_batch.dag_factory import build_dag
from vertex_batch.errors import PermanentError, TransientError
from vertex_batch.operators import SubmitBatchPredictionJobOperator
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs import spec_of
from vertex_batch.tasks.delivery_order import (
    DeliveryStartedError,
    NotWaitedForError,
    VersionNotReadError,
    check_delivery,
    check_states,
)

ROUNDS = ["retry_1.record_cost", "retry_2.record_cost"]
EARLIER = "scheduled__2026-11-21"


def a_dag(**fields: Any) -> Any:
    given = {
        "name": "nightly",
        "model": "gemini-2.5-flash",
        "inputs": "gs://demo-bucket/in.jsonl",
        "output": "gs://demo-bucket/out/",
        "retry_rows": {"rounds": 2},
        "results": {"to": "gs://demo-bucket/answers.parquet", "key": "id"},
    }
    return build_dag(spec_of({**given, **fields}))


@pytest.mark.parametrize(
    ("states", "before", "refusal"),
    [
        ({"deliver": None}, [], None),
        ({"deliver": "up_for_retry"}, [], None),  # Airflow looks at its upstream tasks again
        ({"deliver": None, ROUNDS[0]: None, ROUNDS[1]: None}, ROUNDS, None),
        ({}, [], VersionNotReadError),
        ({"deliver": "removed"}, [], VersionNotReadError),
        ({"deliver": None}, ROUNDS, VersionNotReadError),
        ({"deliver": None, ROUNDS[0]: None}, ROUNDS, VersionNotReadError),
        *(
            ({"deliver": state}, [], DeliveryStartedError)
            for state in ("scheduled", "queued", "running", "success", "failed", "skipped", "upstream_failed")
        ),
    ],
)
def test_only_a_delivery_that_the_run_has_and_that_waits_lets_a_task_pay(states, before, refusal):
    with pytest.raises(refusal) if refusal else nullcontext():
        check_states(states, "deliver", before)


def test_a_retry_can_help_only_where_the_scheduler_has_to_read_the_change():
    assert issubclass(VersionNotReadError, TransientError)
    assert issubclass(DeliveryStartedError, PermanentError)
    said = str(VersionNotReadError(ROUNDS))
    assert "does not have retry_1.record_cost and retry_2.record_cost yet" in said
    assert "Nothing was submitted" in said
    assert "within 30 s" in said


@pytest.mark.parametrize("split", ["auto", "off"])
@pytest.mark.parametrize(
    "task_id", ["submit", "wait", "retry_1.submit", "retry_1.wait", "retry_2.submit", "retry_2.wait"]
)
def test_each_task_of_a_spec_that_pays_finds_its_delivery(context, split, task_id):
    context["dag"] = a_dag(split=split)
    context["ti"].states = {"deliver": "success"}
    with pytest.raises(DeliveryStartedError, match="deliver is already in the state success"):
        check_delivery(context, task_id)


def test_a_job_follows_only_its_own_delivery(context):
    """A person may clear one job of a spec with several."""
    jobs = {"one": {}, "two": {"after": ["one"]}}
    context["dag"] = a_dag(jobs=jobs, results={"to": "gs://demo-bucket/{{ job_name }}.parquet"})
    context["ti"].states = {"one.deliver": None, "two.deliver": "success"}
    check_delivery(context, "one.submit")
    with pytest.raises(DeliveryStartedError):
        check_delivery(context, "two.submit")


def test_a_job_without_a_delivery_needs_none(context):
    context["dag"] = a_dag(results=None, retry_rows=None)
    check_delivery(context, "submit")


def test_a_dag_without_yaml_and_without_a_record_is_looked_at_as_well(context):
    with DAG("nightly", schedule=None) as context["dag"]:
        submit = SubmitBatchPredictionJobOperator(
            task_id="submit", model="gemini-2.5-flash", inputs="gs://b/in.jsonl", output_uri="gs://b/out"
        )
        BatchPredictionJobSensor(task_id="until_it_ends", job=submit.output)
    context["ti"].states = {"until_it_ends": None}
    check_delivery(context, "submit")
    context["ti"].states = {"until_it_ends": "success"}
    with pytest.raises(NotWaitedForError, match="until_it_ends is already in the state success"):
        check_delivery(context, "submit")


@pytest.mark.parametrize("index", [-1, 1])
@pytest.mark.parametrize(
    ("state", "is_waited_for"),
    [
        *((state, True) for state in (None, "up_for_retry", "restarting", "removed")),
        *((state, False) for state in ("upstream_failed", "failed", "success", "skipped", "deferred")),
    ],
)
def test_a_task_that_a_person_cleared_without_the_one_that_waits_submits_nothing(
    context, index, state, is_waited_for
):
    """Its job would run without anyone who cancels it, or records its cost."""
    context["dag"] = a_dag(results=None, retry_rows=None, split="off" if index < 0 else "auto")
    context["ti"].map_index = index
    others = {"wait_0": "success"} if index >= 0 else {}
    context["ti"].states = {**others, "wait" if index < 0 else f"wait_{index}": state}
    with nullcontext() if is_waited_for else pytest.raises(NotWaitedForError, match=f"the state {state}"):
        check_delivery(context, "submit")
    context["ti"].task_id = "wait"  # which may submit again
    check_delivery(context, "wait")


@pytest.mark.parametrize(("split", "first"), [("auto", "plan_inputs"), ("off", "submit")])
def test_a_run_for_the_rest_of_another_one_waits_until_it_has_the_rounds(context, split, first):
    """The scheduler began the run with the DAG before `retry_rows` was added; the worker has the new file."""
    task = (dag := a_dag(split=split)).get_task(first)
    context |= {"dag": dag, "task": task, "params": {"retry_of": EARLIER}}
    old = dict.fromkeys(["plan_inputs", "submit", "wait", "record_cost", "deliver"])
    context["ti"].states = {**old, first: "running"}
    with pytest.raises(VersionNotReadError, match="does not have retry_1"):
        task.execute(context)
    context["ti"].states = {**dict.fromkeys(dag.task_ids), first: "running"}
    with pytest.raises(AirflowSkipException, match="only sends rows of run"):
        task.execute(context)


def test_a_round_that_joins_a_run_after_its_delivery_prepares_nothing(context):
    task = (dag := a_dag()).get_task("retry_1.prepare")
    context |= {"dag": dag, "task": task}
    context["ti"].states = {**dict.fromkeys(dag.task_ids), "deliver": "success"}
    with pytest.raises(AirflowFailException, match="would not be delivered"):
        task.execute(context)


def test_no_shard_submits_the_whole_input_after_the_plan_was_taken_out_of_the_file(context):
    """The scheduler still maps the task over three shards; the file has one task for the whole input."""
    task = (dag := a_dag(split="off")).get_task("submit")
    context |= {"dag": dag, "task": task}
    context["ti"].map_index = 2
    with pytest.raises(VersionNotReadError, match="submit without shards"):
        task.execute(context)
