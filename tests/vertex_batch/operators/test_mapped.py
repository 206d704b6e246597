"""Mapped tasks: each map index has a job of its own, and the clean-up finds all of them or its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.builders import ROW
from vertex_batch.costs import CostTable
from vertex_batch.lifecycle.identity import attempt_key
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.context import INTENT_XCOM
from vertex_batch.tasks.delivery_order import VersionNotReadError
from vertex_batch.vertex.labels import ATTEMPT_LABEL, IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.resource import JobReference

PRICES = {"gemini-3.8-flash": {"input": "0.15", "output": "1.25"}}


pytestmark = [
    pytest.mark.vertex(rows=ROW * 3, inputs=("a.jsonl", "b.jsonl", "c.jsonl")),
    pytest.mark.usefixtures("table"),
]


@pytest.fixture
def at(context):
    """The context of a task at a map index: its XComs are the run's, its state store is its own."""
    stores: dict[tuple[str, int], Any] = {}

    def of(task_id: str, map_index: int = -1) -> dict[str, Any]:
        ti = replace(context["ti"], task_id=task_id, map_index=map_index)
        store = stores.setdefault((task_id, map_index), type(context["task_state_store"])())
        return {**context, "ti": ti, "task_state_store": store}

    return of


def submit(context: dict[str, Any], part: str, **fields: Any) -> JobReference:
    with DAG("nightly", schedule=None):
        task = SubmitBatchPredictionJobOperator(
            task_id="submit",
            model="gemini-3.8-flash",
            inputs=f"gs://demo-bucket/{part}.jsonl",
            output_uri="gs://demo-bucket/out",
            **fields,
        )
    task.render_template_fields(context)
    told = task.execute(context)
    context["ti"].xcom_push("return_value", told)
    return JobReference.from_dict(told)


@pytest.fixture
def three(vertex, at) -> list[JobReference]:
    """Three jobs that run until somebody ends them, one for each map index."""
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)], mix={}))
    return [submit(at("submit", index), part) for index, part in enumerate("abc")]


def test_a_mapped_task_of_a_dag_without_yaml_may_name_a_spec_for_its_costs(vertex, at):
    submitted = [submit(at("submit", index), part, spec="mine") for index, part in enumerate("ab")]
    assert [job.id for job in vertex.admin.jobs()] == [each.job_id for each in submitted]


def test_a_spec_that_is_not_split_any_more_does_not_submit_its_input_once_for_each_earlier_shard(
    vertex, at, delivering_dag
):
    task = delivering_dag.get_task("submit")
    for index in (0, 1):
        with pytest.raises(VersionNotReadError, match="submit without shards"):
            task.execute(at("submit", index))
    assert vertex.admin.jobs() == []


def cancel(context: dict[str, Any], **arguments: Any) -> set[str]:
    fields = {"submit_task_id": "submit", "resubmit_task_ids": ["wait"], **arguments}
    task = CancelBatchPredictionJobOperator(task_id="cancel", **fields)
    return {entry["job_id"] for entry in task.execute(context)}


def record(context: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    fields = {"submit_task_id": "submit", "resubmit_task_ids": ["wait"], "prices": PRICES, **arguments}
    return AggregateTokenUsageOperator(task_id="record_cost", **fields).execute(context)


def forget(context: dict[str, Any], map_index: int) -> None:
    """Airflow deletes what a task has told before it tries again."""
    for name in [name for name in context["ti"].xcoms if name[2:] == (map_index,)]:
        del context["ti"].xcoms[name]


def test_each_map_index_submits_one_job_however_often_it_is_tried(vertex, at, three):
    again = [submit(at("submit", index), part) for index, part in enumerate("abc")]
    assert again == three
    assert sorted(job.labels["airflow_map_index"] for job in vertex.admin.jobs()) == ["0", "1", "2"]
    assert len({job.labels[IDEMPOTENCY_KEY_LABEL] for job in vertex.admin.jobs()}) == 3


def test_a_mapped_task_knows_the_dates_of_its_run_and_what_the_form_has_set(vertex, at):
    with DAG("nightly", schedule=None, params={"model": "{{ run_date }}"}) as dag:
        mapped = SubmitBatchPredictionJobOperator.partial(
            task_id="submit",
            model="gemini-3.8-flash",
            output_uri="gs://demo-bucket/out/{{ run_date }}",
            overrides={"model": "model"},
        ).expand(inputs=["gs://demo-bucket/a.jsonl", "gs://demo-bucket/{{ run_date }}.jsonl"])
    context = {**at("submit", 1), "dag": dag}
    mapped.render_template_fields(context)
    task = context["task"]
    assert task.inputs == "gs://demo-bucket/2026-11-22.jsonl"
    assert task.output_uri == "gs://demo-bucket/out/2026-11-22"
    assert task.model == "{{ run_date }}"


def test_a_task_that_is_not_mapped_carries_no_map_index(vertex, at):
    assert submit(at("submit"), "a").map_index == -1
    assert "airflow_map_index" not in vertex.admin.jobs()[0].labels


def test_an_unmapped_cancel_ends_the_jobs_of_all_map_indices(at, three):
    assert cancel(at("cancel")) == {job.job_id for job in three}


def test_an_unmapped_cancel_finds_the_map_index_that_died_without_a_word(at, three):
    forget(at("cancel"), 1)
    assert cancel(at("cancel")) == {job.job_id for job in three}


def test_a_mapped_cancel_ends_its_own_job_and_no_other(vertex, at, three):
    forget(at("cancel"), 1)
    assert cancel(at("cancel", 1)) == {three[1].job_id}
    assert [vertex.admin.job(job.job_id).cancel_calls == [] for job in three] == [True, False, True]


def test_a_mapped_cancel_of_a_submit_that_is_not_mapped_ends_its_job(vertex, at):
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)]))
    only = submit(at("submit"), "a")
    assert cancel(at("cancel", 2)) == {only.job_id}


def test_a_job_that_the_list_does_not_show_yet_is_looked_for_at_its_own_map_index(vertex, at, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__LOOK_SECONDS", "20")
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)]))
    vertex.admin.set_settings(list_lag_seconds=1)
    lost = submit(at("submit", 1), "b")
    intent = {**at("submit", 1)["task_state_store"].get("batch_prediction_job"), "job_id": None}
    forget(at("cancel"), 1)
    at("submit", 1)["ti"].xcom_push(INTENT_XCOM, intent)
    with pytest.raises(AirflowSkipException):
        cancel(at("cancel", 0))
    assert cancel(at("cancel", 1)) == {lost.job_id}


def test_cancels_what_the_output_of_a_mapped_task_names(at, three):
    told = [job.to_dict() for job in three[:2]]
    assert cancel(at("cancel"), submit_task_id=None, job=told) == {job.job_id for job in three[:2]}


@pytest.mark.parametrize("job", ["None", [None], [{"job_id": "7"}], 7])
def test_what_is_no_job_reference_is_told(vertex, at, job):
    with pytest.raises(AirflowFailException, match="must be a job reference or a list of them"):
        cancel(at("cancel"), submit_task_id=None, job=job)
    with pytest.raises(AirflowFailException, match="must be a job reference or a list of them"):
        record(at("record_cost"), submit_task_id=None, job=job)


def bills(tmp_path) -> dict[str, tuple[str, int]]:
    table = CostTable(f"sqlite:///{tmp_path / 'costs.db'}")
    return {cost.job.job_id: (cost.job.task_id, cost.job.map_index) for cost in table.jobs()}


def test_an_unmapped_record_bills_all_map_indices_each_with_its_own(at, three, tmp_path):
    forget(at("record_cost"), 2)
    result = record(at("record_cost"))
    assert {job["job_id"] for job in result["jobs"]} == {job.job_id for job in three}
    assert bills(tmp_path) == {job.job_id: ("submit", index) for index, job in enumerate(three)}


def test_a_mapped_record_bills_its_own_map_index(at, three, tmp_path):
    record(at("record_cost", 1))
    assert bills(tmp_path) == {three[1].job_id: ("submit", 1)}
    record(at("record_cost", 0))
    record(at("record_cost", 2))
    assert bills(tmp_path) == {job.job_id: ("submit", index) for index, job in enumerate(three)}


def test_records_what_the_output_of_a_mapped_task_names(at, three, tmp_path):
    record(at("record_cost"), submit_task_id=None, resubmit_task_ids=(), job=[job.to_dict() for job in three])
    assert {index for _, index in bills(tmp_path).values()} == {0, 1, 2}


def test_one_job_that_cannot_be_recorded_keeps_no_other_from_its_bill(vertex, at, three, tmp_path):
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=403, times=1))
    with pytest.raises(AirflowFailException, match="was denied"):
        record(at("record_cost"))
    assert len(bills(tmp_path)) == 2
    record(at("record_cost"))
    assert len(bills(tmp_path)) == 3


def test_what_may_pass_is_tried_again_whatever_else_is_wrong(vertex, at, three):
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=403, times=1))
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=None))
    with pytest.raises(Exception, match="503") as raised:
        record(at("record_cost"))
    assert not isinstance(raised.value, AirflowException)


def test_a_job_that_a_mapped_wait_submits_again_belongs_to_the_map_index_of_its_submit(vertex, at, tmp_path):
    fails = Scenario(times=1, end="FAILED", error_code=13, timeline=[Step(state="RUNNING", seconds=1)])
    vertex.admin.add_scenario(fails)
    first = submit(at("submit", 1), "b")
    vertex.admin.wait_for_jobs(job_id=first.job_id, state="FAILED")
    # Where an index of submit failed, the index of the task that waits may be another one.
    wait = BatchPredictionJobSensor(
        task_id="wait", job=first.to_dict(), deferrable=False, poll_interval_seconds=0.2
    )
    ended = wait.execute(at("wait", 0))
    again = vertex.admin.job(ended["job_id"] if isinstance(ended, dict) else ended.xcom_value["job_id"])
    assert (again.labels[ATTEMPT_LABEL], again.labels["airflow_map_index"]) == ("1", "1")
    assert again.labels[IDEMPOTENCY_KEY_LABEL] == attempt_key(first.job_key, 1)
    with pytest.raises(AirflowSkipException):
        record(at("record_cost", 0))
    record(at("record_cost", 1))
    assert bills(tmp_path) == {first.job_id: ("submit", 1), again.id: ("submit", 1)}


def test_a_wait_that_is_not_mapped_says_what_to_do_with_the_jobs_of_a_mapped_submit(at, three):
    task = BatchPredictionJobSensor(task_id="wait", job=[job.to_dict() for job in three])
    with pytest.raises(AirflowFailException, match=r"map this one too: `BatchPredictionJobSensor.partial"):
        task.execute(at("wait"))
