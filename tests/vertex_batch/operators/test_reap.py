"""The reaper: of the active jobs of this Airflow, those whose run is over."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest
from airflow.sdk.exceptions import AirflowFailException

from local.emulator.admin import Cancel, Fault, FaultKind, Match, Operation, Scenario, Step
from tests.builders import a_request
from vertex_batch.billing.spec_settings import BillSettings
from vertex_batch.costs import CostTable
from vertex_batch.errors import CancelNotConfirmedError
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.operators import ReapBatchPredictionJobsOperator
from vertex_batch.tasks.context import deployment
from vertex_batch.vertex.names import JobId

pytestmark = [
    pytest.mark.vertex(scenario=Scenario(timeline=[Step(state="RUNNING", seconds=None)])),
    pytest.mark.usefixtures("table"),
]


def job_of(
    vertex, run_id: str, airflow: str | None = None, location: str = "us-central1", spec: str | None = None
) -> str:
    labels = TaskIdentity(airflow or deployment(), "nightly", run_id, "submit").labels(3, "f")
    labels = {**labels, "airflow_spec": spec} if spec else labels
    return vertex.create(a_request(display_name="a job", labels=labels), location)


@pytest.fixture(autouse=True)
def _own_name(monkeypatch) -> None:
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__DEPLOYMENT", "production")


@pytest.fixture
def jobs(vertex, context, monkeypatch) -> dict[str, str]:
    states = {
        "over": {"submit": "success", "wait": "failed"},
        "waiting": {"submit": "success", "wait": "deferred"},
    }
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: {"nightly": states}.get(dag_id, {}))
    return {run_id: job_of(vertex, run_id) for run_id in ("over", "waiting", "deleted")} | {
        "foreign": job_of(vertex, "over", "https://another.example")
    }


def reap(context, **fields) -> dict[str, str]:
    found = ReapBatchPredictionJobsOperator(task_id="reap", **fields).execute(context)
    return {entry["job_id"]: entry["owner"] for entry in found}


def cancelled(vertex) -> list[str]:
    return [job.id for job in vertex.admin.jobs() if job.cancel_calls]


@pytest.mark.parametrize("address", ["", "http://localhost:8080", "https://127.0.0.1", "http://[::1]:8080"])
def test_an_airflow_whose_name_another_may_have_cancels_nothing(vertex, context, monkeypatch, address):
    monkeypatch.delenv("AIRFLOW__VERTEX_BATCH__DEPLOYMENT")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", address)
    states = {"over": {"submit": "success", "wait": "failed"}}
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: states)
    job = job_of(vertex, "over")
    with pytest.raises(
        AirflowFailException, match=r"Nothing was cancelled\. Set \[vertex_batch\] deployment"
    ):
        reap(context, action="cancel")
    assert cancelled(vertex) == []
    assert reap(context, action="report") == {job: "orphan"}
    monkeypatch.setenv("AIRFLOW__VERTEX_BATCH__DEPLOYMENT", "here")
    own = job_of(vertex, "over")
    assert reap(context, action="cancel") == {own: "orphan"}
    assert cancelled(vertex) == [own]


def test_reports_and_cancels_nothing_by_default(vertex, context, jobs):
    assert reap(context) == {jobs["over"]: "orphan", jobs["deleted"]: "unknown"}
    assert cancelled(vertex) == []


def test_cancels_only_what_it_knows_to_be_over(vertex, context, jobs):
    assert set(reap(context, action="cancel")) == {jobs["over"], jobs["deleted"]}
    assert cancelled(vertex) == [jobs["over"]]
    assert vertex.admin.job(jobs["over"]).state == "CANCELLED"
    assert set(reap(context, action="cancel")) == {jobs["deleted"]}


def test_a_run_that_is_cleared_while_another_job_is_cancelled_keeps_its_job(vertex, context, monkeypatch):
    over = {"submit": "success", "wait": "failed"}
    runs = {"one": over, "two": over}

    def states(dag_id):
        """A person clears the other run as soon as the first job is being cancelled."""
        waits = {"submit": "scheduled", "wait": None} if cancelled(vertex) else over
        first = cancelled(vertex)[:1]
        return {name: over if made.get(name) in first else waits for name in runs}

    monkeypatch.setattr(context["ti"], "get_task_states", states)
    made = {name: job_of(vertex, name) for name in runs}
    reap(context, action="cancel")
    assert len(cancelled(vertex)) == 1


def test_a_job_that_does_not_end_keeps_no_other_running(vertex, context, monkeypatch):
    over = {"submit": "success", "wait": "failed"}
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: {"one": over, "two": over})
    ends = {"two": Cancel(seconds=0), "one": Cancel(seconds=None)}  # the newest is listed first
    vertex.admin.clear_scenarios()
    for run_id, cancel in ends.items():
        vertex.admin.add_scenario(
            Scenario(
                timeline=[Step(state="RUNNING", seconds=None)],
                cancel=cancel,
                match=Match(labels={"airflow_run": run_id}),
            )
        )
        job_of(vertex, run_id)
    with pytest.raises(CancelNotConfirmedError, match=r"Job demo-project/us-central1/\d+ ended as CANCELLED"):
        reap(context, action="cancel", confirm_seconds=5)  # in which the other one has ended
    assert {job.labels["airflow_run"]: job.state for job in vertex.admin.jobs()} == {
        "one": "CANCELLING",
        "two": "CANCELLED",
    }


def test_an_action_that_does_not_exist_is_refused(vertex, context, jobs):
    with pytest.raises(AirflowFailException, match="Nothing was cancelled"):
        reap(context, action="delete")


def end_all(vertex, jobs: dict[str, str]) -> None:
    for job_id in jobs.values():
        vertex.admin.wait_for_jobs(job_id=job_id, state="RUNNING")
        vertex.admin.release_job(job_id)
        vertex.admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")


def test_records_what_nobody_recorded(vertex, context, jobs, table):
    end_all(vertex, jobs)
    found = ReapBatchPredictionJobsOperator(task_id="reap").execute(context)
    assert [entry["job_id"] for entry in found] == [jobs["over"]]
    (cost,) = table.jobs()
    assert (cost.job.dag_id, cost.job.run_id, cost.job.task_id) == ("nightly", "over", "submit")
    assert (cost.job.state, cost.rows.ok) == ("SUCCEEDED", 4)
    assert Decimal(found[0]["amount_usd"]) == cost.total.amount > 0
    assert found[0]["complete"] is cost.total.complete
    assert cancelled(vertex) == []


def test_names_how_many_jobs_no_triggerer_watches(vertex, context, jobs, monkeypatch, caplog):
    end_all(vertex, jobs)
    monkeypatch.setattr("vertex_batch.lifecycle.ownership.TIME_TO_NOTICE", timedelta())
    task = ReapBatchPredictionJobsOperator(task_id="reap")
    told: list[str] = []
    monkeypatch.setattr(task.log, "warning", lambda text, *values: told.append(text % values))
    task.execute(context)
    assert any("1 jobs in demo-project/us-central1 are watched by no triggerer" in line for line in told)


def test_a_job_whose_run_does_not_go_on_is_recorded_after_hours(vertex, context, jobs, table, monkeypatch):
    """Airflow starts no task of a DAG that is paused, or whose spec was renamed or removed."""
    end_all(vertex, jobs)
    monkeypatch.setattr("vertex_batch.lifecycle.ownership.TIME_TO_RECORD", timedelta())
    assert reap(context)[jobs["waiting"]] == "waited_for"
    bill = table.bill(JobId("demo-project", "us-central1", jobs["waiting"]))
    assert (bill.job.run_id, bill.total.amount > 0) == ("waiting", True)


def test_a_job_that_it_cancels_is_recorded_as_well(vertex, context, jobs, table):
    reap(context, action="cancel")
    (cost,) = table.jobs()
    assert (cost.job.job_id, cost.job.state) == (jobs["over"], "CANCELLED")


def test_records_no_job_twice(vertex, context, jobs, table):
    end_all(vertex, jobs)
    assert reap(context) == {jobs["over"]: "orphan"}
    before = table.bill(JobId("demo-project", "us-central1", jobs["over"]))
    assert reap(context) == {}
    assert table.bill(JobId("demo-project", "us-central1", jobs["over"])) == before


@pytest.mark.parametrize("days", ["0", 0])
def test_records_nothing_where_it_is_told_not_to(vertex, context, jobs, table, days):
    end_all(vertex, jobs)
    assert reap(context, record_days=days) == {}
    assert table.jobs() == []


def test_a_job_is_billed_as_its_spec_says(vertex, context, jobs, table):
    end_all(vertex, jobs)
    asked = []

    def settings_of(spec, task_id):
        asked.append((spec, task_id))
        return BillSettings({"gemini-3.8-flash": {"input": "7"}})

    reap(context, settings_of=settings_of)
    assert asked == [("", ""), ("", "submit")]
    items = table.bill(JobId("demo-project", "us-central1", jobs["over"])).line_items
    assert [item.unit_price_usd for item in items if item.kind == "input"] == [Decimal("7e-06")]


def test_a_job_that_cannot_be_recorded_keeps_no_other_from_its_bill(vertex, context, jobs, table):
    again = job_of(vertex, "over")
    end_all(vertex, {**jobs, "again": again})
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=403, times=1))
    with pytest.raises(AirflowFailException, match="was denied"):
        reap(context)
    assert len(table.jobs()) == 1
    reap(context)
    assert {cost.job.job_id for cost in table.jobs()} == {jobs["over"], again}


def test_looks_in_every_place_that_it_is_told_of(vertex, context, jobs):
    elsewhere = job_of(vertex, "over", location="europe-west4")
    places = [(None, "europe-west4"), (None, None), ("demo-project", "us-central1")]
    found = reap(context, action="cancel", more_places=lambda connection: places)
    assert found.keys() >= {jobs["over"], elsewhere}
    assert set(cancelled(vertex)) == {jobs["over"], elsewhere}


def test_looks_only_where_the_form_says(vertex, context, jobs):
    elsewhere = job_of(vertex, "over", location="europe-west4")
    found = reap(context, location="europe-west4", more_places=lambda connection: [(None, None)])
    assert set(found) == {elsewhere}


def test_a_place_that_cannot_be_looked_at_keeps_no_other_from_it(vertex, context, jobs):
    vertex.admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=403, times=1))
    places = [("demo-project", "africa-south1"), (None, None)]
    with pytest.raises(AirflowFailException, match="was denied"):
        reap(context, action="cancel", more_places=lambda connection: places)
    assert cancelled(vertex) == [jobs["over"]]


def test_airflow_is_asked_only_for_runs_of_jobs_without_a_bill(vertex, context, jobs, monkeypatch):
    end_all(vertex, {name: job for name, job in jobs.items() if name == "over"})
    vertex.admin.delete_job(jobs["waiting"])
    vertex.admin.delete_job(jobs["deleted"])
    assert reap(context) == {jobs["over"]: "orphan"}
    asked = []
    monkeypatch.setattr(context["ti"], "get_task_states", lambda dag_id: asked.append(dag_id) or {})
    assert reap(context) == {}
    assert asked == []


def test_a_spec_with_bills_elsewhere_is_looked_up_there(vertex, context, jobs, monkeypatch, tmp_path):
    elsewhere = {"conn_type": "sqlite", "host": str(tmp_path / "other.db")}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER_COSTS", json.dumps(elsewhere))
    end_all(vertex, jobs)

    def settings_of(spec, task_id):
        # Of several jobs of a spec, only the one that submitted keeps its bills elsewhere.
        return BillSettings(batch_costs_conn_id="other_costs" if task_id else "batch_costs")

    assert reap(context, settings_of=settings_of) == {jobs["over"]: "orphan"}
    assert reap(context, settings_of=settings_of) == {}
    assert len(CostTable(f"sqlite:///{tmp_path / 'other.db'}").jobs()) == 1


def test_a_spec_whose_bills_cannot_be_read_keeps_no_other_from_its_bill(vertex, context, jobs, table):
    again = job_of(vertex, "over", spec="broken")
    end_all(vertex, {**jobs, "again": again})

    def settings_of(spec, task_id):
        return BillSettings(batch_costs_conn_id="not_defined" if spec == "broken" else "batch_costs")

    with pytest.raises(AirflowFailException, match="'not_defined' for the cost table is not defined"):
        reap(context, settings_of=settings_of)
    assert [cost.job.job_id for cost in table.jobs()] == [jobs["over"]]
