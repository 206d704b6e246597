"""The forms of the DAGs that price and count recorded jobs again."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.exceptions import AirflowFailException


@pytest.fixture(params=["reprice", "recount"])
def task_of(request, bag):
    dag = bag(f"vertex_batch_{request.param}.py").dags[f"vertex_batch_{request.param}"]

    def render(**params):
        task = dag.get_task(request.param)
        task.render_template_fields({"params": {**dag.params.dump(), **params}})
        return task

    render.dag = dag
    return render


def test_it_runs_by_hand_only_and_only_compares_unless_told(task_of):
    assert not task_of.dag.timetable.can_be_scheduled
    task = task_of()
    assert task.only_compare == "True"
    assert (task.since, task.until, task.spec, task.team, task.job_ids) == ("", "", "", "", "")
    assert (task.litellm_conn_id, task.batch_costs_conn_id) == ("litellm_default", "batch_costs")


def test_what_a_person_fills_in_arrives(task_of):
    task = task_of(since="2026-11-01", job_ids=["1", "2"], only_compare=False, spec="nightly", costs="other")
    assert (task.since, task.job_ids, task.only_compare) == ("2026-11-01", "1 2", "False")
    assert (task.spec, task.batch_costs_conn_id) == ("nightly", "other")


def test_prices_come_from_the_folders_beside_the_dags(task_of):
    task = task_of()
    assert task.specs_folder.endswith("include/jobs")
    assert task.price_folder.endswith("include/pricing")


@pytest.mark.parametrize("name", ["adopt", "cancel", "digest", "reap", "recount", "reprice"])
def test_every_operations_dag_refuses_keys_that_its_form_does_not_have(bag, name):
    dag = bag(f"vertex_batch_{name}.py").dags[f"vertex_batch_{name}"]
    (first,) = dag.roots
    context = {"dag": dag, "task": first, "dag_run": SimpleNamespace(conf={"conection": "other"})}
    with pytest.raises(AirflowFailException, match="`conection`"):
        first._pre_execute_hook(context)
    first._pre_execute_hook({**context, "dag_run": SimpleNamespace(conf=dag.params.dump())})
