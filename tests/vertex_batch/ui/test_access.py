"""Who sees which job, and what they are told of the others."""

from __future__ import annotations

import pytest

from tests.vertex_batch.ui.conftest import item
from vertex_batch.costs import COMMAND_LINE, JobFilter, Owners
from vertex_batch.ui import access
from vertex_batch.ui.access import Hidden, Reader

OF_A_DAG = {"dag_id": "nightly", "spec": "nightly"}
OF_ANOTHER_DAG = {"dag_id": "secret", "spec": "secret"}
SPEC_THAT_IS_A_DAG = {"dag_id": "", "spec": "nightly", "run_id": ""}
SPEC_THAT_IS_ANOTHER_DAG = {"dag_id": "", "spec": "secret", "run_id": ""}
SPEC_THAT_IS_NO_DAG = {"dag_id": "", "spec": "tickets", "run_id": ""}
COMMAND_LINE_RUN = {"dag_id": "tickets", "spec": "tickets", "run_type": COMMAND_LINE}
DELETED_DAG = {"dag_id": "gone", "spec": "gone"}
WITHOUT_NAMES = {"dag_id": "", "spec": "", "run_id": ""}
# What a job has; whether a user with some DAGs sees it; why not.
RULE = [
    (OF_A_DAG, True, Hidden()),
    (OF_ANOTHER_DAG, False, Hidden(of_dags=1)),
    ({"dag_id": "secret", "spec": "nightly"}, False, Hidden(of_dags=1)),
    (SPEC_THAT_IS_A_DAG, True, Hidden()),
    (SPEC_THAT_IS_ANOTHER_DAG, False, Hidden(of_dags=1)),
    (SPEC_THAT_IS_NO_DAG, False, Hidden(of_no_dag=1)),
    (COMMAND_LINE_RUN, False, Hidden(of_no_dag=1)),
    (DELETED_DAG, False, Hidden(of_no_dag=1)),
    (WITHOUT_NAMES, False, Hidden(of_no_dag=1)),
]


def address(bill) -> dict[str, str]:
    return {"project": bill.job.project, "location": bill.job.location, "job": bill.job.job_id}


@pytest.mark.parametrize(("facts", "is_seen", "hidden"), RULE)
def test_a_job_follows_its_dag_else_the_dag_of_its_spec(pages, facts, is_seen, hidden):
    bill = pages.record(item("7.25"), **facts)
    for path in ("/", "/jobs", "/costs.csv", "/focus.csv", "/?by=kind"):
        assert ("7.25" in pages.client.get(path).text) is is_seen, path
    assert pages.get("/bill", **address(bill)).status_code == (200 if is_seen else 404)
    assert pages.get("/cancel", **address(bill)).status_code == (200 if is_seen else 404)
    reader = Reader(frozenset(pages.may_see), None)
    assert reader.hidden(pages.table, pages.table.owners()) == hidden


@pytest.mark.parametrize(("facts", "is_seen", "hidden"), RULE)
def test_who_may_see_all_dags_sees_every_job_and_is_told_of_none(pages, facts, is_seen, hidden):
    pages.may_see, pages.may_see_any = set(pages.dags), True
    bill = pages.record(item("7.25"), **facts)
    for path in ("/", "/jobs", "/costs.csv"):
        assert "7.25" in pages.client.get(path).text
        assert "not included here" not in pages.client.get(path).text
    assert pages.get("/bill", **address(bill)).status_code == 200


@pytest.mark.parametrize(
    ("may_see", "may_see_any", "teams", "sees_all"),
    [
        ({"nightly", "hourly", "secret"}, True, "False", True),
        ({"nightly", "hourly", "secret"}, False, "False", False),
        ({"nightly", "hourly"}, True, "False", False),
        ({"nightly", "hourly", "secret"}, True, "True", False),
    ],
)
def test_seeing_all_dags_takes_the_right_to_any_dag_and_to_each_that_there_is(
    pages, monkeypatch, may_see, may_see_any, teams, sees_all
):
    monkeypatch.setenv("AIRFLOW__CORE__MULTI_TEAM", teams)
    pages.may_see, pages.may_see_any = may_see, may_see_any
    assert pages.get("/").status_code == 200  # the manager is in place
    assert access._sees_all(None, frozenset(may_see)) is sees_all


def test_the_tab_of_a_dag_has_the_jobs_of_its_spec_that_have_no_dag(pages):
    pages.record(item("1"))
    pages.record(item("2"), **SPEC_THAT_IS_A_DAG)
    pages.record(item("4"), dag_id="hourly", spec="nightly")
    assert pages.get("/jobs", dag_id="nightly").text.count('aria-label="Bill of') == 2
    assert pages.get("/jobs", dag_id="secret").status_code == 404


def test_the_notice_counts_each_reason_apart_whatever_was_searched_for(pages):
    for facts in (OF_ANOTHER_DAG, OF_ANOTHER_DAG, COMMAND_LINE_RUN):
        pages.record(**facts)
    for query in ({}, {"q": "secret"}, {"q": "nothing"}):
        text = pages.get("/jobs", **query).text
        assert "2 jobs of DAGs that you may not see are not included here." in text
        assert "1 job of the command line, or of DAGs that were deleted from Airflow, is not" in text


def test_a_job_of_the_command_line_says_so_and_has_no_link_to_a_run(pages):
    pages.may_see, pages.may_see_any = set(pages.dags), True
    pages.record(**COMMAND_LINE_RUN)
    text = pages.get("/jobs").text
    assert "command line" in text
    assert "/dags/tickets" not in text


def test_a_filter_without_restriction_stays_as_it_is():
    where = JobFilter(spec="nightly")
    assert Reader(frozenset(), None, sees_all=True).narrowed(Owners(frozenset("a")), where) == where
    assert Reader(frozenset(), None).narrowed(Owners(frozenset("a")), where).dag_ids == frozenset()
