from __future__ import annotations

import pytest


@pytest.fixture
def dag(bag):
    return bag("vertex_batch_reap.py").dags["vertex_batch_reap"]


def render(dag, **params):
    task = dag.get_task("reap")
    task.render_template_fields({"params": {**dag.params.dump(), **params}})
    return task


def test_it_runs_by_itself_and_then_only_reports(dag):
    assert dag.timetable.can_be_scheduled
    assert not dag.catchup
    task = render(dag)
    assert (task.action, task.litellm_conn_id) == ("report", "litellm_default")
    assert not task.project
    assert not task.location


def test_a_person_may_have_it_cancel(dag):
    assert render(dag, action="cancel", project="other").action == "cancel"
