"""The jobs under way and their cancel: the emulated Vertex, Airflow's own tables, a real cost table."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from airflow import settings
from airflow.jobs.job import Job
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.models.xcom import XComModel
from sqlalchemy import delete, insert, select, update

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.builders import INPUT, MORNING, a_delivery, a_request
from tests.vertex_batch.ui.conftest import Pages, airflows_database
from tests.vertex_batch.ui.test_pages import words
from vertex_batch.budgets import BudgetRequest, Decision, Estimate, Ledger, Ruling
from vertex_batch.costs import RowCounts, Total
from vertex_batch.lifecycle.identity import Intent, deployment_label
from vertex_batch.tasks.context import INTENT_XCOM, deployment
from vertex_batch.ui.consent import sign
from vertex_batch.ui.running import under_way
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import (
    DAG_LABEL,
    DEPLOYMENT_LABEL,
    GROUP_KEY_LABEL,
    RETRY_OF_LABEL,
    RUN_LABEL,
)

PLACE = {"project": "demo-project", "location": "us-central1"}
FROM_HERE = {"sec-fetch-site": "same-origin"}


@dataclass
class Running:
    """Jobs that the emulated Vertex runs for runs of this Airflow."""

    pages: Pages
    start: Callable[..., str]
    admin: object
    direct: object
    runs: dict[str, str]

    def key(self, job_id: str) -> dict[str, str]:
        return {**PLACE, "job": job_id}

    def state(self, job_id: str) -> str:
        with BatchClient(self.direct) as client:
            return client.get(PLACE["project"], PLACE["location"], job_id).state

    def token(self, job_id: str) -> str:
        form = self.pages.get("/cancel", **self.key(job_id)).text
        return re.search(r'name="token" value="([^"]+)"', form)[1]

    def post(self, job_id: str, token: str | None = None, headers=FROM_HERE):
        form = {**self.key(job_id), "token": self.token(job_id) if token is None else token}
        return self.pages.client.post("/cancel", data=form, headers=headers, follow_redirects=False)


@pytest.fixture
def running(pages, connections, monkeypatch) -> Running:
    connections.admin.set_settings(speed=1000)
    connections.gcs.put("gs://demo-bucket/in.jsonl", _rows(20))
    under_way.active_jobs.forget()
    # One process of all tests has one such store; no other test looks for what these put there.
    with airflows_database() as connection:
        for model in (XComModel, TaskInstance, Trigger, Job, DagRun, Log):
            connection.execute(delete(model.__table__))

    def start(dag_id: str = "nightly", run_state: str = "running", timeline=None, **labels) -> str:
        steps = timeline or [Step(state="PENDING", seconds=None)]
        connections.admin.add_scenario(Scenario(times=1, timeline=steps))
        run_id = f"run-{len(runs)}"
        mark = {
            DEPLOYMENT_LABEL: deployment_label(deployment()),
            DAG_LABEL: dag_id,
            RUN_LABEL: run_id,
            **labels,
        }
        job_id = connections.create(a_request(display_name="under way", labels=mark))
        runs[job_id] = run_id
        _tell_airflow(dag_id, run_state, run_id, job_id)
        return job_id

    runs: dict[str, str] = {}
    return Running(pages, start, connections.admin, connections.direct, runs)


@pytest.mark.parametrize(
    ("dag_id", "heartbeat_seconds_ago", "created_minutes_ago", "told"),
    [
        ("nightly", None, 10, True),  # no triggerer has room for it
        ("nightly", 300, 10, True),  # its triggerer is dead
        ("nightly", 5, 10, False),
        ("nightly", None, 1, False),  # it will be taken in a moment
        ("secret", None, 10, False),
    ],
)
def test_tasks_that_no_triggerer_watches_are_counted(
    running, dag_id, heartbeat_seconds_ago, created_minutes_ago, told
):
    running.start(dag_id)
    now = datetime.now(UTC)
    triggerer = None
    with airflows_database() as connection:
        if heartbeat_seconds_ago is not None:
            beat = now - timedelta(seconds=heartbeat_seconds_ago)
            row = {"job_type": "TriggererJob", "state": "running", "latest_heartbeat": beat}
            triggerer = connection.execute(insert(Job.__table__).values(**row)).inserted_primary_key[0]
        trigger = insert(Trigger.__table__).values(
            classpath="vertex_batch.triggers.batch_job.BatchPredictionJobTrigger",
            kwargs="",
            created_date=now - timedelta(minutes=created_minutes_ago),
            triggerer_id=triggerer,
        )
        trigger_id = connection.execute(trigger).inserted_primary_key[0]
        waiting = {"task_id": "wait", "map_index": -1, "state": "deferred", "trigger_id": trigger_id}
        run = connection.execute(select(DagRun.run_id).where(DagRun.dag_id == dag_id)).scalar_one()
        connection.execute(
            insert(TaskInstance.__table__).values(
                **waiting, dag_id=dag_id, run_id=run, pool="default_pool", pool_slots=1
            )
        )
    assert ("1 job is watched by no triggerer" in running.pages.get("/running").text) is told


def test_a_running_job_is_listed_with_its_state_and_a_guess_at_its_cost(running):
    running.pages.record(model="publishers/google/models/gemini-3.8-flash")
    job_id = running.start(team="search")
    text = running.pages.get("/running", part=1).text
    assert "pending" in text
    assert "≈ 1.50" in text
    assert "from 1 earlier bill" in text
    assert f"job={job_id}" in text
    assert "<html" not in text
    assert "<html" in running.pages.get("/running").text


def test_the_card_of_the_overview_counts_what_runs_and_what_it_will_cost(running):
    card = {"part": "card"}
    assert "USD" not in running.pages.get("/running", **card).text
    running.start()
    assert "no estimate yet" in running.pages.get("/running", **card).text
    running.pages.record(model="publishers/google/models/gemini-3.8-flash")
    text = running.pages.get("/running", **card).text
    assert "1 <small>job</small>" in text
    assert "about 1.50 USD when done" in text
    assert "/running?part=card" in running.pages.get("/").text


def test_only_jobs_of_dags_that_one_may_see_are_listed_and_can_be_asked_for(running):
    job_id = running.start("secret")
    assert job_id not in running.pages.get("/running").text
    assert running.pages.get("/cancel", **running.key(job_id)).status_code == 404
    assert running.post(job_id, "x").status_code == 404
    assert running.state(job_id) == "PENDING"


def test_a_job_that_an_xcom_of_another_dag_names_is_of_its_own_dag_alone(running):
    job_id = running.start("secret")
    _tell_airflow("nightly", "running", "forged", job_id)
    assert job_id not in running.pages.get("/running", part=1).text
    assert running.pages.client.get("/cancel", params=running.key(job_id)).status_code == 404
    answer = running.post(job_id, sign("somebody", f"cancel/demo-project/us-central1/{job_id}"))
    assert (answer.status_code, running.state(job_id)) == (404, "PENDING")
    running.pages.may_see.add("secret")
    running.pages.may_end.add("secret")
    assert running.post(job_id).status_code == 303
    assert running.state(job_id) != "PENDING"


def test_a_job_whose_run_has_ended_is_listed_while_vertex_runs_it(running):
    running.start(run_state="failed")
    assert "its run has ended" in running.pages.get("/running").text


def test_a_search_narrows_what_is_under_way(running):
    running.start(airflow_spec="summaries")
    assert "summaries" in running.pages.get("/running", q="SUMM").text
    assert "No running jobs match" in running.pages.get("/running", q="other").text


def test_vertex_is_asked_once_for_several_readers(running):
    running.start()
    before = len(running.admin.requests(Operation.LIST))
    for _ in range(3):
        running.pages.get("/running")
    assert len(running.admin.requests(Operation.LIST)) == before + 1


def test_without_the_proxy_the_page_says_so_and_shows_what_airflow_knows(running, monkeypatch):
    running.start()
    dead = {"conn_type": "litellm", "host": "http://127.0.0.1:9", "password": "sk-0123456789", "extra": {}}
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", json.dumps(dead))
    text = running.pages.get("/running").text
    assert "the proxy cannot be reached" in text
    assert "unknown" in text
    assert "127.0.0.1" not in text
    monkeypatch.delenv("AIRFLOW_CONN_LITELLM_DEFAULT")
    under_way.active_jobs.forget()
    assert "the connection to the proxy is not usable" in running.pages.get("/running").text


def test_what_was_read_before_stays_with_its_time_when_the_proxy_goes_away(running, monkeypatch):
    running.start()
    assert "pending" in running.pages.get("/running").text
    monkeypatch.setattr("vertex_batch.ui.running.active_jobs.FRESH_SECONDS", 0.0)
    running.admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=503, times=1))
    text = running.pages.get("/running").text
    assert "is not reachable" in text
    assert "Last updated" in text
    assert "pending" in text


def test_cancel_asks_first_then_cancels_and_shows_how_the_job_is(running):
    job_id = running.start()
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert "Cancel this job?" in text
    assert "Clearing submit sends all rows again" in text
    assert running.state(job_id) == "PENDING"
    answer = running.post(job_id)
    assert answer.status_code == 303
    shown = running.pages.client.get(answer.headers["location"].replace("/vertex-batch", "")).text
    assert "cancelled" in shown
    assert "nothing left to cancel" in shown
    assert running.state(job_id) == "CANCELLED"


def test_a_cancel_is_in_airflows_audit_log_and_in_the_servers(running, caplog):
    job_id = running.start()
    with caplog.at_level("INFO", logger="vertex_batch.ui.job_routes"):
        running.post(job_id)
    with settings.engine.connect() as connection:
        (row,) = connection.execute(select(Log.__table__).where(Log.event == "vertex_batch.cancel")).all()
    assert (row.owner, row.dag_id, row.run_id) == ("somebody", "nightly", running.runs[job_id])
    assert job_id in row.extra
    assert any("somebody cancels job" in each.getMessage() for each in caplog.records)


def test_who_may_not_end_runs_of_the_dag_sees_the_job_and_cannot_cancel_it(running):
    job_id = running.start("hourly")
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert "may not end runs" in text
    assert "<form" not in text
    assert "/cancel?" not in running.pages.get("/running").text
    running.pages.may_end.add("hourly")
    token = running.token(job_id)
    running.pages.may_end.remove("hourly")
    assert running.post(job_id, token).status_code == 403
    assert running.state(job_id) == "PENDING"


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", FROM_HERE),
        ("0" * 64, FROM_HERE),
        (None, {"sec-fetch-site": "cross-site"}),
        (None, {"origin": "https://evil.example"}),
        (None, {}),
    ],
)
def test_a_form_from_elsewhere_cancels_nothing(running, token, headers):
    job_id = running.start()
    answer = running.post(job_id, token, headers)
    assert answer.status_code == 403
    assert "Nothing was cancelled" in answer.text
    assert running.state(job_id) == "PENDING"
    with settings.engine.connect() as connection:
        assert not connection.execute(select(Log.__table__)).all()


def test_a_token_is_good_for_one_job_alone(running):
    one, other = running.start(), running.start()
    assert running.post(other, running.token(one)).status_code == 403
    assert running.state(other) == "PENDING"


def test_cancelling_twice_is_cancelling_once(running):
    job_id = running.start()
    token = running.token(job_id)
    assert [running.post(job_id, token).status_code for _ in range(2)] == [303, 303]


def test_a_cancel_that_vertex_refuses_says_that_the_job_may_run(running):
    job_id = running.start()
    token = running.token(job_id)
    running.admin.add_fault(Fault(op=Operation.CANCEL, kind=FaultKind.STATUS, status=403, times=9))
    answer = running.post(job_id, token)
    assert answer.status_code == 502
    assert "may still run" in answer.text


def test_a_job_that_cannot_be_read_has_no_form(running):
    job_id = running.start()
    running.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=1))
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert "Vertex AI is not reachable" in html.unescape(text)
    assert "<form" not in text


def test_a_form_that_is_too_long_is_not_read(running):
    answer = running.pages.client.post("/cancel", content=b"a" * 20_000, headers=FROM_HERE)
    assert answer.status_code == 413


def _rows(count: int) -> bytes:
    row = {"request": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]}}
    return (json.dumps(row) + "\n").encode() * count


def _tell_airflow(dag_id: str, run_state: str, run_id: str, job_id: str) -> None:
    """Write what a run of the DAG leaves in Airflow's database."""
    now = datetime.now(UTC)
    intent = Intent(0, "key", "print", *PLACE.values(), declared_at=now.isoformat()).with_job(job_id)
    with airflows_database() as connection:
        made = connection.execute(
            insert(DagRun.__table__).values(
                dag_id=dag_id,
                run_id=run_id,
                state=run_state,
                run_type="manual",
                run_after=now,
                log_template_id=1,
            )
        )
        connection.execute(
            insert(XComModel.__table__).values(
                dag_run_id=made.inserted_primary_key[0],
                task_id="submit",
                map_index=-1,
                key=INTENT_XCOM,
                dag_id=dag_id,
                run_id=run_id,
                value=asdict(intent),
                timestamp=now,
            )
        )


def test_a_cancelled_job_says_so_at_once_with_what_it_costs(running):
    running.pages.record(model="publishers/google/models/gemini-3.8-flash")
    job_id = running.start()
    running.post(job_id)
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert "<h1>Cancelled. 0 rows had finished: nothing to pay.</h1>" in text
    assert "it never started" in text
    text = running.pages.get("/running", part=1).text
    assert ">cancelled</span><small>bill pending</small>" in text
    assert "no row had finished" in text
    assert "≈" not in text
    assert "/cancel?" not in text


def test_a_cancel_says_what_becomes_of_an_earlier_delivery_and_leads_to_the_costs_of_the_run(running):
    job_id = running.start()
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert f'href="/vertex-batch/run?dag_id=nightly&amp;run_id={running.runs[job_id]}"' in text
    assert "does not change this delivery" not in text
    delivered = {"delivered": 1000, "input_rows": 1003, "answers_uri": "gs://demo-bucket/a.csv"}
    running.pages.table.migrate()
    running.pages.table.record_delivery(
        a_delivery(run_id=running.runs[job_id], **delivered), files_changed=True
    )
    for cancels in (False, True):
        if cancels:
            running.post(job_id)
        text = running.pages.get("/cancel", **running.key(job_id)).text
        assert "1,000 answers at " in text
        assert "<code>gs://demo-bucket/a.csv</code>" in text
        assert "does not change this delivery" in text


def test_a_cancel_names_the_delivery_of_an_earlier_run_of_the_same_input(running):
    job_id = running.start(spec="nightly", timeline=[Step(state="RUNNING", seconds=None)])
    running.pages.record(run_id="first", input_uris=(INPUT,))
    to = "gs://demo-bucket/a.csv"
    running.pages.table.record_delivery(a_delivery(run_id="first", answers_uri=to), files_changed=True)
    shown = words(running.pages.get("/cancel", **running.key(job_id)).text)
    assert "By run first, of the same input: 17 answers at" in shown
    assert f"in {to}" in shown
    assert "send and pay only" not in shown


def test_the_page_of_a_cancelled_job_advises_what_the_page_of_its_run_does(running):
    pages, to = running.pages, "gs://demo-bucket/a.csv"
    job_id = running.start(timeline=[Step(state="RUNNING", seconds=None)])
    run_id = running.runs[job_id]
    running.post(job_id)
    offer = "To send and pay only the rows without an answer"

    def shown() -> str:
        return words(pages.get("/cancel", **running.key(job_id)).text)

    pages.table.migrate()
    assert offer not in shown()
    assert "Open this page again when the run has ended." in shown()
    with airflows_database() as connection:
        connection.execute(update(DagRun.__table__).values(state="failed"))
    assert offer in shown()
    key = {**PLACE, "job_id": job_id, "run_id": run_id, "labels": {GROUP_KEY_LABEL: "abc"}}
    pages.record(**key, state="CANCELLED", bill={"rows": RowCounts(ok=10, input_rows=20)})
    assert offer in shown()
    cut = {"run_id": run_id, "delivered": 10, "exceptions": 10, "answers_uri": "gs://demo-bucket/b.csv"}
    pages.table.record_delivery(a_delivery(run_id="first", answers_uri=to), files_changed=True)
    kept = {"kept_at": to, "kept_answers": 17, "delivered_at": MORNING + timedelta(hours=1)}
    pages.table.record_delivery(a_delivery(**cut, **kept), files_changed=True)
    stays = f"The 17 answers that were delivered before stay at {to}; 3 of its rows have no answer."
    for text in (shown(), words(pages.get("/run", dag_id="nightly", run_id=run_id).text)):
        assert stays in text
        assert offer not in text
    pages.table.record_delivery(a_delivery(**cut), files_changed=True)
    assert offer in shown()
    rest = {"task_id": "retry_1.submit", "labels": {RETRY_OF_LABEL: "abc"}, "run_id": "the rest"}
    pages.record(**rest, bill={"rows": RowCounts(ok=9, input_rows=10)})
    text = shown()
    assert "Run the rest has sent the rows without an answer again and answered 9 of them." in text
    assert offer not in text


def test_a_job_that_was_cancelled_while_it_ran_costs_its_finished_rows(running):
    running.pages.record(model="publishers/google/models/gemini-3.8-flash")
    job_id = running.start(timeline=[Step(state="RUNNING", seconds=None)])
    assert (
        "10 of 20"
        in running.pages.get("/running", part=1, dag_id="nightly", run_id=running.runs[job_id]).text
    )
    running.post(job_id)
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert re.search(
        r"<h1>Cancelled. \d+ rows had finished: about [\d.]+ USD, estimated until its bill is recorded",
        text,
    )


def test_a_job_without_earlier_bills_is_expected_to_cost_what_its_estimate_said(running):
    job_id = running.start(timeline=[Step(state="RUNNING", seconds=None)])
    ledger = Ledger(running.pages.table)
    project, location = PLACE.values()
    asks = BudgetRequest("key", project, location, "m", "nightly", running.runs[job_id], "submit")
    expected = Estimate(Total(Decimal(2), complete=True), Decimal(1), Decimal(3), rows=20)
    ledger.claim(asks, expected, [], lambda _: Decision(Ruling.GO, ()))
    ledger.submitted("key", job_id)
    text = running.pages.get("/running", part=1).text
    assert "≈ 1.00" in text
    assert "≈ 2.00" in text
    assert "expected when it was submitted" in text
    running.post(job_id)
    text = running.pages.get("/running", part=1).text
    assert "the bill says what it cost" in text
    assert "≈" not in text  # a first guess is not what it has cost
    text = running.pages.get("/cancel", **running.key(job_id)).text
    assert "<h1>Cancelled. 10 rows had finished; the bill says what it cost.</h1>" in text


def test_a_bill_that_is_not_recorded_yet_leads_to_its_run(running):
    job_id = running.start()
    answer = running.pages.client.get("/bill", params=running.key(job_id), follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/vertex-batch/run?dag_id=nightly&run_id={running.runs[job_id]}"
    secret = running.start("secret")
    assert running.pages.get("/bill", **running.key(secret)).status_code == 404
