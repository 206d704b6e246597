"""The task groups of the retries in a spec's DAG."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.serialization.serialized_objects import DagSerialization

from vertex_batch.dag_factory import build_dag
from vertex_batch.inputs import group_of
from vertex_batch.specs import spec_of


def a_dag(**fields: Any) -> Any:
    given = {
        "name": "nightly",
        "model": "gemini-2.5-flash",
        "inputs": "gs://bucket/in/{{ run_date }}.jsonl",
        "output": "gs://bucket/out/{{ run_date }}/",
        "split": "off",
        "retry_rows": {"rounds": 2},
        "results": {"to": "gs://bucket/answers/{{ run_date }}.parquet", "key": "id"},
    }
    return build_dag(spec_of({**given, **fields}))


def test_without_rounds_there_is_no_further_task():
    assert not [task for task in a_dag(retry_rows=None).task_ids if "retry" in task]


def test_each_round_has_four_tasks_and_follows_the_bill_of_the_one_before():
    dag = a_dag()
    upstream = {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks}
    assert {name: upstream[name] for name in upstream if name.startswith("retry")} == {
        "retry_1.prepare": ["record_cost", "wait"],
        "retry_1.submit": ["retry_1.prepare"],
        "retry_1.wait": ["retry_1.submit"],
        "retry_1.record_cost": ["retry_1.wait"],
        "retry_2.prepare": ["retry_1.record_cost", "retry_1.wait"],
        "retry_2.submit": ["retry_2.prepare"],
        "retry_2.wait": ["retry_2.submit"],
        "retry_2.record_cost": ["retry_2.wait"],
    }


@pytest.mark.parametrize("split", ["off", "auto"])
def test_the_first_submission_knows_the_rounds_whose_jobs_it_makes_needless(split):
    submits = [task for task in a_dag(split=split).tasks if task.task_type.startswith("SubmitBatch")]
    assert {task.task_id: tuple(task.round_task_ids) for task in submits} == {
        "submit": ("retry_1.submit", "retry_2.submit"),
        "retry_1.submit": ("retry_2.submit",),
        "retry_2.submit": (),
    }


def test_a_round_does_not_start_after_a_failure_or_in_a_run_without_jobs():
    # A person who marks a waiting task as failed does not get a new job for it.
    rules = [a_dag().get_task(f"retry_{number}.prepare").trigger_rule for number in (1, 2)]
    assert rules == ["none_failed", "none_failed_min_one_success"]


def test_the_form_asks_for_an_earlier_run_only_where_rows_are_sent_again():
    assert "retry_of" in a_dag().params
    assert "retry_of" not in a_dag(retry_rows=None).params


def test_the_form_says_at_the_date_that_a_day_is_paid_for_again():
    assert "pays for them, again" in a_dag().params.get_param("run_date").schema["description_md"]


def test_the_bill_of_a_round_is_its_own_and_is_made_in_any_case():
    task = a_dag().get_task("retry_1.record_cost")
    assert task.is_teardown
    assert not task.on_failure_fail_dagrun  # the delivery does not run without it
    assert task.submit_task_id == "retry_1.submit"
    assert task.resubmit_task_ids == ("retry_1.wait",)
    assert not task.fail_without_answers


def test_the_delivery_follows_all_bills_whether_or_not_a_round_has_one():
    task = a_dag().get_task("deliver")
    bills = ["record_cost", "retry_1.record_cost", "retry_2.record_cost"]
    assert sorted(task.upstream_task_ids) == bills
    assert [task.record_task_id, *task.retry_record_task_ids] == bills
    assert task.is_teardown
    assert task.trigger_rule == "all_done_setup_success"


def test_a_run_is_as_its_last_round_and_its_check_are():
    """Airflow's own choice of the tasks that decide a run, on the serialized DAG."""
    dag = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(a_dag()))
    tasks = [_TaskInstance(name) for name in dag.task_ids]
    deciding = DagRun._tis_for_dagrun_state(SimpleNamespace(), dag=dag, tis=tasks)
    assert {task.task_id for task in deciding} == {"retry_2.wait", "check_tasks"}


def test_a_run_that_is_marked_in_any_task_of_a_round_is_checked():
    dag = a_dag()
    check = dag.get_task("check_tasks")
    assert set(check.task_ids) == set(dag.task_ids) - {"check_tasks"}


class _TaskInstance:
    state = "success"

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id


def test_the_first_wait_leaves_what_failed_to_the_rounds():
    plain, with_rounds = (a_dag(retry_rows=rows).get_task("wait") for rows in (None, dict[str, Any]()))
    assert (plain.rest_is_sent_again, plain.fail_without_answers) == (False, True)
    assert (with_rounds.rest_is_sent_again, with_rounds.fail_without_answers) == (True, False)


def test_the_shards_of_a_split_input_are_among_the_rows_of_the_first_round():
    dag = a_dag(split="auto")
    prepare = dag.get_task("retry_1.prepare")
    assert prepare.rounds.first == "submit"
    assert prepare.rounds.retries == ("retry_1.submit", "retry_2.submit")
    assert prepare.upstream_task_ids == {"record_cost", "wait"}


def test_each_job_of_a_spec_has_its_own_rounds():
    jobs = {
        "a": {"inputs": "gs://bucket/a.jsonl"},
        "b": {"inputs": "gs://bucket/b.jsonl", "retry_rows": None},
    }
    dag = build_dag(_of_jobs(jobs))
    assert dag.get_task("a.retry_1.prepare").rounds.first == "a.submit"
    assert not [task for task in dag.task_ids if task.startswith("b.retry")]
    assert {group_of(task) for task in dag.task_ids} == {"a", "b"}


def _of_jobs(jobs: dict[str, Any]) -> Any:
    return spec_of(
        {
            "name": "nightly",
            "model": "gemini-2.5-flash",
            "output": "gs://bucket/out/",
            "split": "off",
            "retry_rows": {"rounds": 1},
            "results": {"to": "gs://bucket/answers/{{ job_name }}.parquet"},
            "jobs": jobs,
        }
    )


@pytest.mark.parametrize("split", ["auto", "off"])
def test_the_dag_survives_serialization(split):
    dag = a_dag(split=split, pool="vertex_batch")
    again = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    assert set(again.task_ids) == set(dag.task_ids)
    assert {again.get_task(f"retry_1.{task}").pool for task in ("submit", "wait")} == {"vertex_batch"}
