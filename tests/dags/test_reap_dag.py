from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.billing.spec_settings import BillSettings
from vertex_batch.dags import reap_dag


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


def test_a_dag_file_decides_what_the_hourly_runs_do(specs, dag):
    assert render(reap_dag(dag.fileloc, action="cancel")).action == "cancel"
    with pytest.raises(ValueError, match="default values are not valid"):
        reap_dag(dag.fileloc, action="delete")


def test_a_job_is_billed_by_its_spec_and_else_as_all_are(specs, dag, good):
    folder = specs(nightly=good + "prices: {gemini-2.5-flash: {input: 7}}\ncost_connection: other_costs\n")
    settings_of = dag.get_task("reap").settings_of
    settings = settings_of("nightly", "submit")
    assert settings.prices == {"gemini-2.5-flash": {"input": Decimal(7)}}
    assert settings.batch_costs_conn_id == "other_costs"
    assert settings_of("gone", "submit") == BillSettings(price_folder=folder.parent / "pricing")
    assert settings_of("", "") == BillSettings(price_folder=folder.parent / "pricing")


def test_of_several_jobs_the_one_is_asked_that_submitted(specs, dag):
    specs(
        nightly="""
        model: gemini-2.5-flash
        output: gs://bucket/out/
        jobs:
          first: {inputs: gs://bucket/a.jsonl}
          second: {inputs: gs://bucket/b.jsonl, cost_connection: other_costs}
        """
    )
    settings_of = dag.get_task("reap").settings_of
    assert settings_of("nightly", "first.submit").batch_costs_conn_id == "batch_costs"
    assert settings_of("nightly", "second.submit").batch_costs_conn_id == "other_costs"
    assert settings_of("nightly", "").batch_costs_conn_id == "batch_costs"


@pytest.mark.parametrize(("params", "days"), [({}, 7), ({"record_days": 0}, 0)])
def test_how_far_it_looks_back_may_be_said(dag, params, days):
    assert float(render(dag, **params).record_days) == days


def test_it_looks_wherever_a_spec_has_its_jobs(specs, dag, good):
    specs(
        one=good,
        two=good + "location: europe-west4\n",
        three=good + "project: another-project\nlocation: global\nconnection: staging\n",
        broken="model: [",
    )
    more_places = dag.get_task("reap").more_places
    assert more_places("litellm_default") == {(None, None), (None, "europe-west4")}
    assert more_places("staging") == {("another-project", "global")}
