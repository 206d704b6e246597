"""The delivering task: from the output of a job on the emulated Vertex to the files of a delivery."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from local.emulator.admin import Scenario, Step, Trait
from tests.builders import INPUT, LOCATION, PROJECT, a_request
from vertex_batch.costs import CostTableUnavailableError, JobFilter
from vertex_batch.observability.links import storage_url
from vertex_batch.operators import AggregateTokenUsageOperator, DeliverResultsOperator
from vertex_batch.results import DeliveryBusyError, DeliveryPlace
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.vertex.resource import JobReference

ROWS = 20
FAILED = 11
"""The emulator's share of one half, for these rows."""
TO = "gs://demo-bucket/delivered/answers.parquet"
PATTERN = "gs://demo-bucket/by-wildcard/*.jsonl"
PRICES = {"gemini-2.5-flash": {"input": "0.15", "output": "1.25", "cached_input": "0.03", "thoughts": "1.25"}}


@pytest.fixture
def vertex(connections, table):
    connections.admin.set_settings(speed=1000)
    rows = [
        {
            "ticket_id": f"T{n:03}",
            "request": {"contents": [{"role": "user", "parts": [{"text": f"ticket {n}"}]}]},
        }
        for n in range(ROWS)
    ]
    for uri in connections.gcs.list(TO.rpartition("/")[0]):  # of other tests
        connections.gcs.delete(uri)
    connections.gcs.put(INPUT, "".join(f"{json.dumps(row)}\n" for row in rows).encode())
    return connections


def ended(vertex, context, state: str = "SUCCEEDED", inputs: str = INPUT, **scenario: Any) -> JobReference:
    """A job that has ended and is recorded."""
    vertex.admin.add_scenario(Scenario(times=1, end=state, **scenario))
    request = a_request(inputs, display_name="to be delivered")
    reference = JobReference(PROJECT, LOCATION, vertex.create(request), model=request.model)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state=state)
    context["ti"].xcoms["record_cost", "return_value"] = recorded(context, reference)
    return reference


def recorded(context, reference: JobReference) -> dict[str, Any]:
    how = {"job": reference.to_dict(), "prices": PRICES, "spec": "nightly"}
    return AggregateTokenUsageOperator(task_id="record_cost", **how).execute(context)


def deliver(context, **arguments: Any) -> dict[str, Any]:
    fields = {"task_id": "deliver", "to": TO, "record_task_id": "record_cost", "prices": PRICES}
    return DeliverResultsOperator(**{"key": "ticket_id", **fields, **arguments}).execute(context)


def read(vertex, uri: str) -> pd.DataFrame:
    return pd.read_parquet(io.BytesIO(vertex.gcs.get(uri)))


def test_the_answers_arrive_in_order_and_add_up_to_the_bill(vertex, context, table):
    reference = ended(vertex, context, mix={})
    result = deliver(context)
    assert (result["input_rows"], result["delivered"], result["exceptions"]) == (ROWS, ROWS, 0)
    found = read(vertex, TO)
    assert list(found["key"]) == [f"T{n:03}" for n in range(ROWS)]
    bill = table.bill(reference.id)
    assert sum(found["cost_usd"]) == bill.total.amount > 0
    assert Decimal(result["bill"]["usd"]) == Decimal(result["rows_cost_usd"]) == bill.total.amount
    assert result["jobs"] == [str(bill.job)]
    assert result["manifest"] == f"{TO}._SUCCESS.json"
    assert json.loads(vertex.gcs.get(result["manifest"]))["input_rows"] == ROWS


def test_delivering_twice_changes_nothing(vertex, context):
    ended(vertex, context, mix={})
    first = deliver(context)
    content = vertex.gcs.get(TO)
    assert deliver(context) == first
    assert vertex.gcs.get(TO) == content


def test_a_run_that_replaces_the_delivery_of_another_says_so(vertex, context, capsys):
    ended(vertex, context, mix={})
    manifest = f"{TO}._SUCCESS.json"
    for earlier, is_told in (
        (b"[]", False),
        (b"\xff", False),
        (b'{"run_id": 5}', False),
        (b'{"run_id": "night 1", "delivered": 19}', True),
    ):
        vertex.gcs.put(manifest, earlier)
        deliver(context)
        found = capsys.readouterr().out
        assert ("20 answers and replaces the delivery of the run night 1, which has 19" in found) is is_told
        assert json.loads(vertex.gcs.get(manifest))["run_id"] == context["ti"].run_id


def test_a_cancelled_run_leaves_the_answers_of_an_earlier_run_and_says_where_its_own_are(
    vertex, context, capsys, table
):
    ended(vertex, context, mix={})
    first = deliver(context)
    context["ti"].run_id = "manual__again"
    ended(vertex, context, "CANCELLED", timeline=[Step(state="RUNNING", seconds=1)], finished=0.5, mix={})
    second = deliver(context)
    assert len(read(vertex, TO)) == ROWS
    assert json.loads(vertex.gcs.get(first["manifest"]))["delivered"] == ROWS
    beside = TO.replace(".parquet", ".manual__again.parquet")
    assert (second["to"], second["delivered"]) == (beside, ROWS / 2)
    assert (second["kept_run"], second["kept_answers"]) == ("scheduled__2026-11-22", ROWS)
    assert len(read(vertex, beside)) == ROWS / 2
    assert deliver(context) == second
    told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    stays = f"The 20 answers that were delivered before stay at {TO}, where each row has its answer."
    assert told == f"The 10 of this delivery are in {beside}."
    assert stays in capsys.readouterr().out
    [stored] = table.deliveries(JobFilter(run_id="manual__again"))
    assert (stored.answers_uri, stored.delivered) == (beside, ROWS / 2)
    assert (stored.kept_at, stored.kept_answers) == (TO, ROWS)
    vertex.gcs.delete(first["manifest"])
    assert deliver(context)["to"] == TO
    assert len(read(vertex, TO)) == ROWS / 2
    [stored] = table.deliveries(JobFilter(run_id="manual__again"))
    assert (stored.answers_uri, stored.kept_at) == (TO, "")


def test_a_run_that_was_cleared_and_cancelled_keeps_the_numbers_of_its_better_delivery(
    vertex, context, table
):
    ended(vertex, context, mix={})
    first = deliver(context)
    where = JobFilter(run_id=context["ti"].run_id)
    stored = table.deliveries(where)
    ended(vertex, context, "CANCELLED", timeline=[Step(state="RUNNING", seconds=1)], finished=0.5, mix={})
    second = deliver(context)
    assert (second["to"] != first["to"], second["delivered"]) == (True, ROWS / 2)
    assert table.deliveries(where) == stored
    assert stored[0].answers_uri == TO
    vertex.gcs.delete(first["manifest"])  # a person wants the answers of the cancelled job
    deliver(context)
    assert [each.delivered for each in table.deliveries(where)] == [ROWS / 2]


def test_answers_to_an_input_that_was_overwritten_are_moved_and_found_there(vertex, context, table, capsys):
    ended(vertex, context, mix={})
    first = deliver(context)
    content = vertex.gcs.get(TO)
    few = [
        {
            "ticket_id": "other",
            "request": {"contents": [{"role": "user", "parts": [{"text": "other ticket"}]}]},
        }
    ]
    vertex.gcs.put(INPUT, "".join(f"{json.dumps(row)}\n" for row in few).encode())
    context["ti"].run_id = "manual__again"
    ended(vertex, context, mix={})
    second = deliver(context)
    assert (second["to"], second["delivered"]) == (TO, 1)
    assert list(read(vertex, TO)["key"]) == ["other"]
    moved = TO.replace(".parquet", ".scheduled__2026-11-22.parquet")
    assert vertex.gcs.get(moved) == content
    assert json.loads(vertex.gcs.get(f"{moved}._SUCCESS.json"))["delivered"] == ROWS
    assert second["earlier"] == {
        "answers": moved,
        "dag_id": first["dag_id"],
        "run_id": "scheduled__2026-11-22",
        "delivered": ROWS,
    }
    told = capsys.readouterr().out
    assert "another input than the 20 answers of the run scheduled__2026-11-22" in told
    assert f"now in {moved}" in told
    assert "clear this task of that run" not in told
    for _ in range(2):
        [stored] = table.deliveries(JobFilter(run_id="scheduled__2026-11-22"))
        assert (stored.answers_uri, stored.replaced_by) == (moved, "")
        assert stored.manifest_uri == f"{moved}._SUCCESS.json"
        assert deliver(context) == second


def test_a_cancelled_run_without_answers_says_no_more_than_what_stays(vertex, context, capsys):
    ended(vertex, context, mix={})
    deliver(context)
    context["ti"].run_id = "manual__again"
    ended(vertex, context, "CANCELLED", timeline=[Step(state="RUNNING", seconds=1)], finished=0, mix={})
    with pytest.raises(AirflowFailException) as error:
        deliver(context)
    log = capsys.readouterr().out
    assert f"The 20 answers that were delivered before stay at {TO}, where each row has its answer." in log
    assert "delete" not in log
    assert TO not in str(error.value)


@pytest.mark.parametrize("trait", [Trait.FAILED, Trait.FAILED_DEADLINE])
def test_what_a_better_delivery_lacks_is_counted_with_the_command_that_sends_it(
    vertex, context, capsys, trait
):
    ended(vertex, context, mix={trait: 0.5})
    with contextlib.suppress(AirflowFailException):
        deliver(context)
    first = context["ti"].run_id
    again = f"To send only these again, run `vertex-batch retry-rows nightly {first}`."
    # A run that was cleared has other jobs now, and would send rows again that have an answer.
    for run_id, is_advised in ((first, False), ("manual__again", True)):
        context["ti"].run_id = run_id
        ended(vertex, context, "CANCELLED", timeline=[Step(state="RUNNING", seconds=1)], finished=0.1, mix={})
        kept = deliver(context)
        log = capsys.readouterr().out
        lacking = kept["kept_exceptions"]
        assert f"stay at {TO}; {lacking} of its rows have no answer." in log
        may_pass = trait is Trait.FAILED_DEADLINE
        assert (again in log) is (is_advised and may_pass)
        assert ("Sent again unchanged, they would fail again." in log) is not may_pass
        assert "each row has its answer" not in log
        told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
        assert told.startswith("The 2 of this delivery are in")
        assert kept["kept_run"] == first
        assert lacking > 0


def test_the_failure_of_a_run_that_was_cancelled_before_any_answer_follows_from_that(vertex, context):
    ended(vertex, context, mix={})
    deliver(context)
    context["ti"].run_id = "manual__again"
    ended(vertex, context, "CANCELLED", timeline=[Step(state="RUNNING", seconds=1)], finished=0.0, mix={})
    with pytest.raises(AirflowFailException, match=r"^This failure only follows from the cancel") as error:
        deliver(context)
    assert "A retry" not in str(error.value)
    assert len(read(vertex, TO)) == ROWS


def test_of_two_runs_that_write_at_once_one_waits_for_its_next_try(vertex, context):
    """The object store itself decides which of them may write."""
    ended(vertex, context, mix={})
    claim = DeliveryPlace(TO).claim
    vertex.gcs.put(claim, b'{"dag_id": "nightly", "run_id": "other", "delivered": 1, "jobs": ["1"]}')
    with pytest.raises(DeliveryBusyError, match=r"The run other is writing.*There is nothing to do"):
        deliver(context)
    assert vertex.gcs.list(TO.rpartition("/")[0]) == [claim]
    vertex.gcs.delete(claim)
    assert deliver(context)["delivered"] == ROWS


@pytest.mark.parametrize("state", ["failed", "upstream_failed"])
def test_without_a_bill_the_task_fails_though_it_runs_in_any_case(vertex, context, state):
    ended(vertex, context, mix={})
    context["ti"].states = {"record_cost": state}
    with pytest.raises(AirflowFailException, match=r"because record_cost failed.*Clear record_cost"):
        deliver(context)


@pytest.fixture
def folder(vertex, context, monkeypatch):
    """A recorded job that has read two objects by a wildcard."""
    monkeypatch.setattr("vertex_batch.storage.objects.CLOCK_MARGIN", timedelta(0))
    for name in "ac":
        put(vertex, name, f"{name}1", f"{name}2")
    ended(vertex, context, inputs=PATTERN, mix={})
    yield (folder := PATTERN.removesuffix("*.jsonl"))
    for uri in vertex.gcs.list(folder):
        vertex.gcs.delete(uri)


def put(vertex, name: str, *keys: str, about: str = "ticket") -> None:
    rows = [
        {"ticket_id": key, "request": {"contents": [{"role": "user", "parts": [{"text": f"{about} {key}"}]}]}}
        for key in keys
    ]
    vertex.gcs.put(PATTERN.replace("*", name), "".join(f"{json.dumps(row)}\n" for row in rows).encode())


@pytest.mark.parametrize("key", ["tiket_id", "labels.ticket_id"])
def test_a_delivery_in_which_no_row_has_the_key_fails_and_says_so(vertex, context, table, key):
    ended(vertex, context, mix={})
    with pytest.raises(AirflowFailException, match=f"None of the {ROWS} input rows has the field"):
        deliver(context, key=key)
    assert deliver(context)["delivered"] == ROWS  # the spec was corrected, and the task cleared


def test_a_delivery_in_which_some_rows_have_no_key_says_so_on_the_page_of_its_run(vertex, context, folder):
    put(vertex, "a", "a1", "")
    rows = vertex.gcs.get(f"{folder}a.jsonl").replace(b'"ticket_id": ""', b'"x": ""')
    vertex.gcs.put(f"{folder}a.jsonl", rows)
    assert deliver(context)["rows_without_key"] == 1
    told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    assert "1 of 4 input rows do not have the field that the key names (`results.key`)" in told


@pytest.mark.parametrize("key", ["ticket_id", None])
def test_an_object_that_was_added_after_the_job_is_not_missing_but_named(
    vertex, context, folder, table, key, capsys
):
    put(vertex, "b", "b1", "a1")  # one row is equal to one that has its answer
    result = deliver(context, key=key)
    assert (result["input_rows"], result["delivered"], result["exceptions"]) == (4, 4, 0)
    assert (result["added_objects"], result["added"]) == (1, [f"{folder}b.jsonl"])
    assert json.loads(vertex.gcs.get(result["manifest"]))["added_objects"] == 1
    assert list(read(vertex, TO)["row"]) == [1, 2, 3, 4]
    told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    assert f"1 object was added to the input after the job was created: {folder}b.jsonl" in told
    assert "Send them with a run" in capsys.readouterr().out
    [stored] = table.deliveries(JobFilter(dag_id=context["ti"].dag_id))
    assert (stored.input_rows, stored.exceptions) == (4, 0)
    [job] = table.jobs(JobFilter(dag_id=context["ti"].dag_id))
    reference = JobReference(PROJECT, LOCATION, job.job.job_id)
    assert recorded(context, reference)["jobs"][0]["flags"] == list(job.flags)
    assert table.bill(reference.id).rows.input_rows is None  # they were 4 before


@pytest.mark.parametrize(("counted", "is_added"), [(4, True), (6, False)])
def test_the_counted_rows_decide_about_an_object_that_came_within_the_minute(
    vertex, context, folder, monkeypatch, counted, is_added
):
    monkeypatch.setattr("vertex_batch.storage.objects.CLOCK_MARGIN", timedelta(minutes=1))
    reference = ended(vertex, context, inputs=PATTERN, mix={})
    put(vertex, "b", "b1", "b2")
    counted_before = replace(reference, input_rows=counted)
    context["ti"].xcoms["record_cost", "return_value"] = recorded(context, counted_before)
    result = deliver(context)
    told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    if is_added:
        assert (result["input_rows"], result["exceptions"], result["added_objects"]) == (4, 0, 1)
        assert f"1 object was added to the input after the job was created: {folder}b.jsonl" in told
    else:
        assert (result["input_rows"], result["exceptions_by_reason"]) == (6, {"missing": 2})
        assert json.loads(vertex.gcs.get(result["manifest"]))["perhaps_added"] == {f"{folder}b.jsonl": 2}
        assert f"{folder}b.jsonl may have been added after the start: all of its 2 rows are missing" in told


def test_the_rows_of_an_object_that_was_replaced_stay_counted_and_it_is_named(vertex, context, folder):
    put(vertex, "b", "b1")
    put(vertex, "c", "c1", "c3")
    result = deliver(context)
    assert (result["input_rows"], result["exceptions_by_reason"]) == (5, {"missing": 2})
    assert "added_objects" not in result
    told = context["ti"].xcoms["submit", OUTCOME_XCOM]["message"]
    assert "2 objects were written to the input again after the job was created" in told
    assert f"{folder}c.jsonl" in told


def test_an_object_that_was_replaced_by_other_prompts_fails_the_delivery_by_name(vertex, context, folder):
    for name in "ac":
        put(vertex, name, f"{name}1", f"{name}2", about="holiday")
    with pytest.raises(AirflowFailException, match="answer another prompt") as error:
        deliver(context)
    assert f"written to the input again after the job was created: {folder}a.jsonl" in str(error.value)


def test_the_numbers_are_stored_once_beside_the_bill(vertex, context, table):
    reference = ended(vertex, context, mix={Trait.FAILED: 0.5})
    result = deliver(context)
    [stored] = table.deliveries(JobFilter(dag_id=context["ti"].dag_id, run_id=context["ti"].run_id))
    assert (stored.input_rows, stored.delivered, stored.exceptions) == (ROWS, ROWS - FAILED, FAILED)
    assert (stored.reasons, stored.spec, stored.task_id) == ({"failed": FAILED}, "nightly", "deliver")
    assert (stored.answers_uri, stored.exceptions_uri, stored.manifest_uri) == (
        TO,
        result["exceptions_file"],
        result["manifest"],
    )
    bill = table.bill(reference.id)
    assert (Decimal(stored.usd), stored.is_complete) == (bill.total.amount, bill.total.complete)
    deliver(context)
    assert table.deliveries_of(bill.job) == [stored]


def test_the_task_links_the_delivered_file(vertex, context, monkeypatch):
    ended(vertex, context, mix={})
    task = DeliverResultsOperator(task_id="deliver", to=TO, record_task_id="record_cost", key="ticket_id")
    task.execute(context)
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=None) == ""  # Google has nothing of an emulated store
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    task.delivery_url = storage_url(TO, is_file=True)
    shown = "https://console.cloud.google.com/storage/browser/_details/demo-bucket/delivered/answers.parquet"
    assert link.get_link(task, ti_key=None) == shown


def test_a_delivery_that_fails_the_run_has_its_numbers_stored(vertex, context, table):
    ended(vertex, context, mix={Trait.FAILED: 0.5})
    with pytest.raises(AirflowFailException):
        deliver(context, max_exceptions_ratio=0.1)
    [stored] = table.deliveries(JobFilter(dag_id=context["ti"].dag_id))
    assert stored.exceptions == FAILED


def test_a_database_that_is_busy_after_the_files_are_written_is_worth_a_retry(
    vertex, context, table, tmp_path, monkeypatch
):
    monkeypatch.setattr("vertex_batch.costs.database.BUSY_SECONDS", 0.05)
    ended(vertex, context, mix={})
    with contextlib.closing(sqlite3.connect(tmp_path / "costs.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # others may still read
        with pytest.raises(CostTableUnavailableError, match="is complete, but its numbers") as error:
            deliver(context)
    assert TO in str(error.value)
    assert "Nothing was written" not in str(error.value)
    written = vertex.gcs.get(f"{TO}._SUCCESS.json")
    deliver(context)
    [stored] = table.deliveries(JobFilter(dag_id=context["ti"].dag_id))
    assert stored.delivered == ROWS
    assert vertex.gcs.get(f"{TO}._SUCCESS.json") == written


def test_failed_rows_are_exceptions_with_googles_words(vertex, context):
    ended(vertex, context, mix={Trait.FAILED: 0.5})
    result = deliver(context)
    assert result["delivered"] + result["exceptions"] == ROWS
    assert result["exceptions"] == result["exceptions_by_reason"]["failed"] == FAILED
    exceptions = read(vertex, result["exceptions_file"])
    assert set(exceptions["input_file"]) == {INPUT}
    assert all(exceptions["message"])


def test_what_a_failed_job_has_answered_is_delivered(vertex, context):
    ended(vertex, context, "FAILED", timeline=[Step(state="RUNNING", seconds=1)], finished=0.5, mix={})
    result = deliver(context)
    assert (result["delivered"], result["exceptions_by_reason"]) == (ROWS / 2, {"missing": ROWS / 2})


def test_too_many_exceptions_fail_the_task_after_the_delivery(vertex, context, capsys):
    ended(vertex, context, mix={Trait.FAILED: 0.5})
    with pytest.raises(AirflowFailException, match=r"max_exceptions_ratio=0\.1 allows") as error:
        deliver(context, max_exceptions_ratio=0.1)
    first = read(vertex, TO.replace(".parquet", ".exceptions.parquet"))["input_line"][0]
    assert f"{FAILED} failed. The first one is {INPUT.rpartition('/')[2]}:{first}." in str(error.value)
    assert f"Most frequent failure ({FAILED:,} rows): " in str(error.value)
    get = f"vertex-batch get {TO.replace('.parquet', '.exceptions.parquet')} ."
    assert f"Every row with its reason: `{get}`" in capsys.readouterr().out
    assert TO not in str(error.value)  # another run may move what is there
    assert len(read(vertex, TO)) == ROWS - FAILED


def test_a_run_without_any_good_answer_fails(vertex, context):
    ended(vertex, context, mix={})
    with pytest.raises(
        AirflowFailException, match="None of the 20 input rows has a good answer: 20 not_json"
    ):
        deliver(context, answer="json")
    assert len(read(vertex, TO)) == 0


def test_a_run_without_a_job_has_nothing_to_deliver(vertex, context):
    with pytest.raises(AirflowSkipException):
        deliver(context)


@pytest.mark.parametrize("failed", ["plan_inputs", "retry_1.submit", None])
def test_a_run_for_the_rest_that_failed_before_it_sent_a_row_replaces_no_delivery(
    vertex, context, airflow_runs, table, failed
):
    """Such as one whose params were refused: as a teardown, the delivery runs all the same."""
    ended(vertex, context, mix={})
    delivered = deliver(context)
    manifest = vertex.gcs.get(delivered["manifest"])
    ti = context["ti"]
    earlier = ti.run_id
    airflow_runs.add(earlier, context["dag_run"].run_after)
    ti.other_runs[earlier], ti.xcoms, ti.run_id = ti.xcoms, {}, "manual__again"
    context["params"] = {"retry_of": earlier}
    ti.states = dict.fromkeys(["plan_inputs", "retry_1.submit"], "skipped")
    if failed:
        ti.states[failed] = "failed"
    with DAG("nightly", schedule=None):
        first, again = EmptyOperator(task_id="plan_inputs"), EmptyOperator(task_id="retry_1.submit")
        task = DeliverResultsOperator(
            task_id="deliver", to=TO, record_task_id="record_cost", key="ticket_id", prices=PRICES
        )
        first >> again >> task
    with (
        pytest.raises(AirflowSkipException, match=f"{failed} failed and no row") if failed else nullcontext()
    ):
        task.execute(context)
    assert (vertex.gcs.get(delivered["manifest"]) == manifest) is bool(failed)
    assert bool(table.deliveries(JobFilter(run_id="manual__again"))) is not bool(failed)


def test_a_schema_that_cannot_be_read_is_named(vertex, context, tmp_path):
    ended(vertex, context, mix={})
    with pytest.raises(AirflowFailException, match=r"none\.json cannot be read"):
        deliver(context, answer="json", schema=str(tmp_path / "none.json"))


def test_without_its_input_it_says_that_the_answers_are_safe(vertex, context):
    ended(vertex, context, mix={})
    vertex.gcs.delete(INPUT)
    with pytest.raises(AirflowFailException, match="answers are safe in the outputs") as error:
        deliver(context)
    assert INPUT in str(error.value)
    assert "Nothing was submitted" not in str(error.value)
    assert "clear `submit`" in str(error.value)  # as the task of these tests is called
