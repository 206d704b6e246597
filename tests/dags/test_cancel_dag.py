from __future__ import annotations

import pytest
from airflow.sdk.exceptions import AirflowFailException, ParamValidationError


@pytest.fixture
def dag(bag):
    return bag("vertex_batch_cancel.py").dags["vertex_batch_cancel"]


def render(dag, **params):
    task = dag.get_task("cancel")
    given = dict.fromkeys(dag.params) | params
    task.render_template_fields({"params": given})
    return task


def test_it_runs_by_hand_only_and_its_form_has_no_required_field(dag):
    assert not dag.timetable.can_be_scheduled
    assert set(dag.params.validate().values()) == {None}


@pytest.mark.parametrize(
    "ids",
    [
        ["123", "projects/1/locations/l/batchPredictionJobs/456"],
        "123 projects/1/locations/l/batchPredictionJobs/456",
    ],
)
def test_jobs_are_given_as_a_list_or_as_text(dag, ids):
    assert render(dag, job_ids=ids).job_ids.split() == [
        "123",
        "projects/1/locations/l/batchPredictionJobs/456",
    ]


def test_what_is_left_empty_is_the_connections(dag):
    task = render(dag, label_filter='labels.team="search"')

    assert task.label_filter == 'labels.team="search"'
    assert not task.job_ids
    assert not task.project
    assert not task.location
    assert task.litellm_conn_id == "litellm_default"


def test_project_location_and_connection_can_be_chosen(dag):
    task = render(dag, job_ids=["1"], project="other", location="us-east1", connection="staging")

    assert (task.project, task.location, task.litellm_conn_id) == ("other", "us-east1", "staging")


def test_what_a_person_types_is_never_rendered(dag):
    assert render(dag, label_filter="{{ var.value.secret }}").label_filter == "{{ var.value.secret }}"


def test_an_empty_form_cancels_nothing_and_says_so(dag):
    with pytest.raises(AirflowFailException, match=r"No jobs were selected\. Fill in Jobs or Label filter"):
        render(dag).execute({})


@pytest.mark.parametrize(("name", "value"), [("job_ids", 5), ("job_ids", [5]), ("project", ["a"])])
def test_the_form_refuses_what_is_no_text(dag, name, value):
    with pytest.raises(ParamValidationError):
        dag.params.get_param(name).resolve(value)
