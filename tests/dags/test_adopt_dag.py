from __future__ import annotations

import pytest
from airflow.sdk.exceptions import ParamValidationError


@pytest.fixture
def dag(bag):
    return bag("vertex_batch_adopt.py").dags["vertex_batch_adopt"]


def render(dag, task_id, **params):
    task = dag.get_task(task_id)
    given = {name: param.value for name, param in dag.params.items() if name != "job"} | params
    task.render_template_fields({"params": given, "ti": None})
    return task


def test_it_runs_by_hand_only_and_wants_a_job(dag):
    assert not dag.timetable.can_be_scheduled
    with pytest.raises(ParamValidationError):
        dag.params.validate()


def test_what_is_left_empty_is_the_connections_and_the_job_is_left_running(dag):
    task = render(dag, "adopt", job="123")
    assert (task.job, task.project, task.location, task.model) == ("123", "", "", "")
    assert task.litellm_conn_id == "litellm_default"
    assert task.cancel_with_run == "False"


def test_what_the_form_says_reaches_the_tasks(dag):
    assert render(dag, "adopt", job="123", cancel_with_run=True).cancel_with_run == "True"
    task = render(dag, "record_cost", job="123", team="search", spec="by_hand", connection="staging")
    assert (task.team, task.spec, task.litellm_conn_id) == ("search", "by_hand", "staging")
    assert render(dag, "record_cost", job="123", connection="staging").litellm_conn_id == "staging"


def test_what_a_person_types_is_never_rendered(dag):
    assert render(dag, "adopt", job="{{ var.value.secret }}").job == "{{ var.value.secret }}"


def test_a_run_whose_job_failed_fails_and_bills_all_the_same(dag):
    assert dag.get_task("record_cost").is_teardown
    assert dag.get_task("ended").is_teardown
    assert dag.get_task("record_cost").upstream_task_ids == {"ended"}
