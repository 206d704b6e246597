"""The recording task: every end of a job, and what stands in the cost table afterwards."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from local.emulator.admin import Cancel, Output, Scenario, Step, Trait
from tests.builders import INPUT, LOCATION, PROJECT, a_request, input_rows
from vertex_batch.billing.making import make_bill
from vertex_batch.billing.recording import is_settled
from vertex_batch.budgets import BudgetRequest, Decision, Estimate, Ledger, Ruling
from vertex_batch.costs import Bill, CostTable, JobFacts, Total
from vertex_batch.lifecycle.identity import Intent, TaskIdentity
from vertex_batch.operators import AggregateTokenUsageOperator
from vertex_batch.pricing import PriceBook
from vertex_batch.tasks.context import INTENT_XCOM, NOTHING_SUBMITTED_XCOM, deployment
from vertex_batch.usage import ScanResult
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import JobReference

ROWS = 20
# USD for a million tokens
PRICES = {"gemini-3.8-flash": {"input": "0.15", "output": "1.25", "cached_input": "0.03", "thoughts": "1.25"}}


pytestmark = [
    pytest.mark.vertex(rows=input_rows(*(f"ticket {i}" for i in range(ROWS)))),
    pytest.mark.usefixtures("table"),
]


def submit(
    vertex, labels: dict[str, str] | None = None, inputs: str = INPUT, **scenario: Any
) -> JobReference:
    vertex.admin.add_scenario(Scenario(times=1, **scenario))
    request = a_request(inputs, display_name="to be billed", labels=labels or {"team": "search"})
    return JobReference(PROJECT, LOCATION, vertex.create(request), model=request.model)


def ended(vertex, state: str = "SUCCEEDED", **scenario: Any) -> JobReference:
    reference = submit(vertex, end=state, **scenario)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state=state)
    return reference


def record(reference: JobReference, context: dict[str, Any], **arguments: Any) -> dict[str, Any]:
    fields = {"task_id": "record_cost", "job": reference.to_dict(), "prices": PRICES, "spec": "nightly"}
    return AggregateTokenUsageOperator(**{**fields, **arguments}).execute(context)


def test_the_log_ends_with_the_cost_and_the_address_of_the_bill(vertex, context, table, capsys):
    reference = ended(vertex)
    paid = record(reference, context)["amount_usd"]
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{paid} USD - bill: " in line
    assert f"/vertex-batch/bill?project={PROJECT}&location={LOCATION}&job={reference.job_id}" in line
    ledger = Ledger(table)
    expected = Estimate(Total(Decimal("0.5"), complete=True), Decimal("0.1"), Decimal(1))
    ledger.claim(
        BudgetRequest("key", PROJECT, LOCATION, reference.model, "nightly", "run", "submit"),
        expected,
        [],
        lambda _: Decision(Ruling.GO, ()),
    )
    ledger.submitted("key", reference.job_id)
    record(reference, context)
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{paid} USD (expected 0.50 USD), below the expected range of 0.10 to 1.00 USD - bill: " in line


def bill_of(table: CostTable, reference: JobReference) -> Bill:
    bill = table.bill(JobId(PROJECT, LOCATION, reference.job_id))
    assert bill is not None
    return bill


def sum_by_hand(vertex, reference: JobReference) -> Decimal:
    """Add up the plain rows of an output with code that shares nothing with the package."""
    folder = vertex.admin.job(reference.job_id).output_directory
    total = Decimal(0)
    for line in vertex.gcs.get(f"{folder}/predictions.jsonl").splitlines():
        row = json.loads(line)
        usage = (row.get("response") or {}).get("usageMetadata")
        if row["status"] == "" and usage:
            total += usage["promptTokenCount"] * Decimal("0.15") + usage["candidatesTokenCount"] * Decimal(
                "1.25"
            )
    return total / 1_000_000


def test_the_bill_equals_the_sum_by_hand(vertex, context, table):
    reference = ended(vertex, mix={})
    result = record(reference, context)
    expected = sum_by_hand(vertex, reference)
    assert expected > 0
    assert bill_of(table, reference).total.amount == expected == Decimal(result["amount_usd"])
    assert bill_of(table, reference).rows.ok == ROWS
    assert result["complete"] is True


def test_the_bill_says_whose_it_is(vertex, context, table):
    reference = ended(vertex)
    record(reference, context)
    job = bill_of(table, reference).job
    assert (job.dag_id, job.run_id, job.spec, job.team) == (
        "nightly",
        "scheduled__2026-11-22",
        "nightly",
        "search",
    )
    assert job.state == "SUCCEEDED"
    assert job.end_time is not None


def test_recording_twice_changes_nothing(vertex, context, table):
    reference = ended(vertex)
    assert record(reference, context) == record(reference, context)
    assert len(table.jobs()) == 1


@pytest.mark.parametrize("state", ["CANCELLED", "EXPIRED", "FAILED", "PARTIALLY_SUCCEEDED"])
def test_finished_rows_of_every_other_end_are_billed(vertex, context, table, state):
    reference = ended(vertex, state, timeline=[Step(state="RUNNING", seconds=1)], finished=0.5, mix={})
    record(reference, context)
    bill = bill_of(table, reference)
    assert bill.rows.ok == ROWS / 2
    assert bill.total.amount == sum_by_hand(vertex, reference) > 0


def test_failed_rows_are_counted_and_not_billed(vertex, context, table):
    reference = ended(vertex, mix={Trait.FAILED: 0.5})
    record(reference, context)
    bill = bill_of(table, reference)
    assert bill.rows.failed > 0
    assert bill.rows.ok + bill.rows.failed == ROWS
    assert bill.total.amount == sum_by_hand(vertex, reference)


def test_a_run_without_an_answer_fails_after_its_bill_and_says_why(vertex, context, table):
    reference = ended(vertex, mix={Trait.FAILED: 1.0})
    with pytest.raises(AirflowFailException) as caught:
        record(reference, context)
    message = str(caught.value)
    bill = bill_of(table, reference)
    assert (bill.rows.ok, bill.rows.failed) == (0, ROWS)
    reason, count = max(bill.failed_reasons.items(), key=lambda each: each[1])
    assert f"Job {reference} (SUCCEEDED): {ROWS} failed. Reasons: {reason} ({count})" in message
    assert "It cost 0.00 USD. Failed rows are not billed. A retry of this task" in message
    assert "clear the submit task" in message


@pytest.mark.parametrize("state", ["CANCELLED", "EXPIRED", "FAILED"])
def test_a_job_that_ended_early_without_an_answer_is_recorded_and_no_more(vertex, context, table, state):
    reference = ended(vertex, state, timeline=[Step(state="RUNNING", seconds=1)], finished=0.0)
    record(reference, context)  # its waiting task reports how it ended
    assert (bill_of(table, reference).job.state, bill_of(table, reference).rows.ok) == (state, 0)


def test_a_job_without_an_answer_beside_one_with_answers_is_no_run_without_answers(vertex, context):
    jobs = [ended(vertex, mix={Trait.FAILED: 1.0}), ended(vertex, mix={})]
    result = record(jobs[0], context, job=[job.to_dict() for job in jobs])
    assert [job["ok_rows"] for job in result["jobs"]] == [0, ROWS]


def test_a_job_that_nobody_waits_for_is_cancelled_and_then_billed(vertex, context, table):
    reference = submit(vertex, timeline=[Step(state="RUNNING", seconds=None)], mix={})
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="RUNNING")
    record(reference, context)
    assert bill_of(table, reference).job.state == "CANCELLED"
    assert bill_of(table, reference).total.amount == sum_by_hand(vertex, reference)


def test_a_job_of_another_run_is_neither_cancelled_nor_billed(vertex, context, table):
    labels = TaskIdentity(deployment(), "others_dag", "its_run", "submit").labels(3, "f")
    reference = submit(vertex, labels, timeline=[Step(state="RUNNING", seconds=None)])
    with pytest.raises(AirflowFailException, match="others_dag its_run"):
        record(reference, context)
    context["ti"].xcoms["submit", "return_value"] = reference.to_dict()
    with pytest.raises(AirflowSkipException, match="nothing to bill"):
        record(reference, context, job=None, submit_task_id="submit")
    assert not vertex.admin.job(reference.job_id).cancel_calls
    assert table.bill(reference.id) is None


def test_a_job_whose_cancel_came_too_late_is_recorded_as_the_success_that_it_is(vertex, context, table):
    late = Cancel(seconds=0.1, end="SUCCEEDED")
    reference = submit(vertex, timeline=[Step(state="RUNNING", seconds=None)], cancel=late, mix={})
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="RUNNING")
    record(reference, context)
    assert len(vertex.admin.job(reference.job_id).cancel_calls) == 1
    bill = bill_of(table, reference)
    assert (bill.job.state, bill.rows.ok) == ("SUCCEEDED", ROWS)
    assert bill.total.amount == sum_by_hand(vertex, reference) > 0


def test_a_job_whose_submit_died_without_a_word_is_found_and_billed(vertex, context, table):
    ti = context["ti"]
    labels = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit").labels(3, "f")
    reference = submit(vertex, labels)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="SUCCEEDED")
    result = record(reference, context, job=None, submit_task_id="submit")
    assert [job["job_id"] for job in result["jobs"]] == [reference.job_id]
    assert bill_of(table, reference).total.amount > 0


def test_a_try_that_failed_beside_the_one_that_submitted_takes_no_bill_away(vertex, context, table):
    """It was stopped before it submitted, and continued, failed and reported after its successor's submit."""
    ti = context["ti"]
    who = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit")
    reference = submit(vertex, who.labels(0, "f"))
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="SUCCEEDED")
    intent = Intent(0, who.idempotency_key(0), "f", PROJECT, LOCATION, "2026-11-21T03:00:00+00:00")
    ti.xcoms["submit", INTENT_XCOM] = intent.with_job(reference.job_id).to_dict()
    ti.xcoms["submit", NOTHING_SUBMITTED_XCOM] = -1
    record(reference, context, job=None, submit_task_id="submit")
    assert bill_of(table, reference).total.amount > 0


def test_a_job_in_the_location_that_its_task_has_left_is_cancelled_and_billed(vertex, context, table):
    ti = context["ti"]
    who, left = TaskIdentity(deployment(), ti.dag_id, ti.run_id, "submit"), Place(PROJECT, "europe-west4")
    vertex.admin.add_scenario(Scenario(times=1, timeline=[Step(state="RUNNING", seconds=None)]))
    request = a_request(display_name="left behind", labels=who.labels(0, "f"))
    job = JobId(*left, vertex.create(request, left.location))
    vertex.admin.wait_for_jobs(job_id=job.id, state="RUNNING")
    now = Intent(
        4, who.idempotency_key(4), "f", PROJECT, LOCATION, "2026-11-21T03:00:00+00:00", elsewhere=(left,)
    )
    ti.xcoms["submit", INTENT_XCOM] = json.loads(json.dumps(now.to_dict()))
    record(ended(vertex), context, job=None, submit_task_id="submit")
    bill = table.bill(job)
    assert bill is not None
    assert bill.job.state == "CANCELLED"


def test_a_run_without_a_job_is_skipped(vertex, context):
    with pytest.raises(AirflowSkipException, match="nothing to bill"):
        AggregateTokenUsageOperator(task_id="record_cost", submit_task_id="submit").execute(context)


def test_a_job_that_was_deleted_before_it_was_recorded_has_an_unknown_cost(vertex, context, table):
    reference = ended(vertex)
    vertex.admin.delete_job(reference.job_id)
    result = record(reference, context)
    assert result["complete"] is False
    assert "deleted" in bill_of(table, reference).line_items[0].reason


def test_a_job_that_was_deleted_after_it_was_recorded_keeps_its_bill(vertex, context, table):
    reference = ended(vertex)
    before = record(reference, context)
    vertex.admin.delete_job(reference.job_id)
    assert record(reference, context)["amount_usd"] == before["amount_usd"]
    assert bill_of(table, reference).job.state == "SUCCEEDED"


def test_an_output_that_is_not_there_is_recorded_as_unknown_and_fails_the_task(vertex, context, table):
    reference = ended(vertex, output=Output(write=False))
    with pytest.raises(AirflowFailException, match="No output at gs://demo-bucket/out/"):
        record(reference, context)
    assert bill_of(table, reference).total.complete is False


def test_a_bill_stays_when_its_output_is_gone(vertex, context, table):
    reference = ended(vertex, mix={})
    before = record(reference, context)
    folder = vertex.admin.job(reference.job_id).output_directory
    vertex.gcs.delete(f"{folder}/predictions.jsonl")
    with pytest.raises(AirflowFailException, match="No output at"):
        record(reference, context)
    assert bill_of(table, reference).total.text == before["amount_usd"]
    assert bill_of(table, reference).total.complete


def test_a_retry_keeps_a_complete_bill_and_a_cleared_task_reads_again(vertex, context, table):
    """The output is gone meanwhile, so that reading it shows."""
    reference = ended(vertex, mix={})
    first = record(reference, context, retries=3)
    for uri in vertex.gcs.list(first["jobs"][0]["output_directory"]):
        vertex.gcs.delete(uri)
    context["ti"].try_number = 2
    assert record(reference, context, retries=3)["amount_usd"] == first["amount_usd"]
    context["ti"].try_number, context["ti"].max_tries = 3, 5
    with pytest.raises(AirflowFailException, match="No output"):
        record(reference, context, retries=3)


@pytest.mark.parametrize(
    ("change", "settled"),
    [
        ({}, True),
        ({"try_number": 1}, False),  # this very try, which was restarted: it records
        ({"state": "CANCELLED"}, False),
        ({"end_time": datetime(2026, 11, 23, tzinfo=UTC)}, False),
        ({"output_directory": "gs://b/other"}, False),
        ({"run_id": "another"}, False),
    ],
)
def test_a_bill_is_settled_only_for_the_same_job_in_the_same_state(change, settled):
    made = JobFacts("p", "l", "1", run_id="r", try_number=1, state="SUCCEEDED", output_directory="gs://b/o")
    bill = make_bill(made, ScanResult(ok=3), PriceBook(()))
    now = replace(made, **{"try_number": 2, **change})
    assert is_settled(bill, now, 1) is settled
    assert not is_settled(bill, now, 2)
    assert not is_settled(replace(bill, rows=replace(bill.rows, unreadable=1)), now, 1)


def test_prices_of_the_folder_hold_for_all_specs_and_the_spec_wins(vertex, context, table, tmp_path):
    folder = tmp_path / "pricing"
    folder.mkdir()
    (folder / "agreed.yaml").write_text("gemini-3.8-flash: {input_cost_per_token_batches: 9e-06}\n")
    reference = ended(vertex, mix={})
    record(reference, context, prices=None, price_folder=str(folder))
    rates = {item.kind: item.unit_price_usd for item in bill_of(table, reference).line_items}
    assert rates["input"] == Decimal("9.9e-06")  # and 10 % more outside `global`
    record(reference, context, price_folder=str(folder))
    rates = {item.kind: item.unit_price_usd for item in bill_of(table, reference).line_items}
    assert rates["input"] == Decimal("0.15e-06")


def test_a_cut_last_line_is_unreadable_and_fails_the_task_after_the_rest_was_recorded(vertex, context, table):
    reference = ended(vertex, output=Output(truncated=True), mix={})
    with pytest.raises(AirflowFailException, match=r"1 unreadable rows.*predictions.jsonl:20"):
        record(reference, context, max_unrecognized_rows=1)  # another kind of row
    bill = bill_of(table, reference)
    assert (bill.rows.ok, bill.rows.unreadable) == (ROWS - 1, 1)
    assert bill.total.amount > 0
    assert bill.total.complete is False
    assert record(reference, context, max_unreadable_rows=1)["complete"] is False


@pytest.mark.parametrize("stats", [{}, {"successfulCount": -1}, {"successfulCount": 20}])
@pytest.mark.parametrize("output", [Output(info=False), Output(write=False)])
def test_a_job_that_succeeded_without_an_output_has_an_unknown_cost(vertex, context, table, stats, output):
    reference = ended(vertex, output=output, stats=stats)
    with pytest.raises(AirflowFailException, match=r"No row of this run|No output at") as caught:
        record(replace(reference, input_rows=ROWS), context)
    bill = bill_of(table, reference)
    assert (bill.job.state, bill.total.complete, bill.rows.total) == ("SUCCEEDED", False, 0)
    assert (bill.rows.input_rows, bill.rows.missing) == (ROWS, ROWS)
    if not output.info:
        assert "Vertex" in bill.line_items[0].reason
        assert "It cost at least 0.00 USD" in str(caught.value)


@pytest.mark.parametrize("state", ["CANCELLED", "EXPIRED", "FAILED"])
def test_rows_of_a_job_that_ended_without_an_output_are_missing(vertex, context, table, state):
    reference = ended(vertex, state, output=Output(info=False), stats={}, finished=0.0)
    [job] = record(replace(reference, input_rows=ROWS), context)["jobs"]
    bill = bill_of(table, reference)
    assert (bill.rows.input_rows, bill.rows.missing, job["missing_rows"]) == (ROWS, ROWS, ROWS)
    assert f"the input has {ROWS} rows, the output holds 0; {ROWS} are missing" in bill.flags
    assert (bill.total.amount, bill.total.complete) == (0, state == "FAILED")


def test_rows_in_no_known_format_fail_the_task_after_the_rest_was_recorded(vertex, context, table):
    reference = ended(vertex, mix={})
    path = f"{vertex.admin.job(reference.job_id).output_directory}/predictions.jsonl"
    lines = vertex.gcs.get(path).splitlines()
    lines[3] = b'{"instance": {}, "prediction": "id"}'
    vertex.gcs.put(path, b"\n".join(lines) + b"\n")
    with pytest.raises(AirflowFailException, match=r"1 unrecognized rows.*predictions.jsonl:4: a prediction"):
        record(reference, context)
    bill = bill_of(table, reference)
    assert (bill.rows.ok, bill.rows.failed, bill.rows.unrecognized) == (ROWS - 1, 0, 1)
    assert bill.total.complete is False
    with pytest.raises(AirflowFailException, match="more than max_unrecognized_rows=0"):
        record(reference, context, max_unreadable_rows=1)  # another kind of row
    [job] = record(reference, context, max_unrecognized_rows=1)["jobs"]
    assert (job["unreadable_rows"], job["unrecognized_rows"]) == (0, 1)


def test_missing_rows_are_a_flag(vertex, context, table):
    reference = ended(vertex, output=Output(missing_rows=2))
    record(reference, context)
    assert any(
        "the input has 20 rows, the output holds 18" in flag for flag in bill_of(table, reference).flags
    )


def test_a_model_without_a_price_leaves_the_amount_unknown(vertex, context, table):
    reference = ended(vertex)
    # A proxy that says nothing about prices, and no snapshot of this model's audio output
    result = record(reference, context, prices={"gemini-3.8-flash": {"input": "not a number"}})
    assert any("not a number" in flag for flag in bill_of(table, reference).flags)
    assert Decimal(result["amount_usd"]) > 0  # from the packaged prices


def resume(vertex, earlier: JobReference) -> JobReference:
    """Submit a job whose input is the output of an earlier one, and see it end."""
    folder = vertex.admin.job(earlier.job_id).output_directory
    return ended(vertex, inputs=f"{folder}/predictions.jsonl", mix={})


def test_rows_that_a_resumed_job_copied_are_billed_once(vertex, context, table):
    """The second job does what the first has failed at; the table holds each answer once."""
    first = ended(vertex, mix={Trait.FAILED: 0.5})
    second = resume(vertex, first)
    third = resume(vertex, second)
    for reference in (first, second, third):
        record(reference, context)
    bills = [bill_of(table, reference) for reference in (first, second, third)]
    rows = [(bill.rows.ok, bill.rows.copied) for bill in bills]
    assert 0 < rows[0][0] < rows[1][0]
    assert rows[1][1] == rows[0][0]  # all that the first had answered came again
    assert rows[2] == (rows[1][0], rows[1][0])  # nothing was left to do
    assert bills[0].total.amount == sum_by_hand(vertex, first)
    once = sum_by_hand(vertex, second)
    assert sum(bill.total.amount for bill in bills) == once > bills[0].total.amount > 0
    assert bills[2].total.amount == 0
    assert bills[2].total.complete
    assert any("billed by an earlier job" in flag for flag in bills[1].flags)


def test_a_bill_is_kept_when_the_output_that_its_job_resumed_is_gone(vertex, context, table):
    """Without it, the rows that were copied from it cannot be told from the others."""
    first = ended(vertex, mix={Trait.FAILED: 0.5})
    second, third = resume(vertex, first), resume(vertex, first)
    record(second, context)
    before = bill_of(table, second)
    vertex.gcs.delete(f"{vertex.admin.job(first.job_id).output_directory}/predictions.jsonl")
    with pytest.raises(AirflowFailException, match=r"No output at .* resumed it"):
        record(second, context)
    assert bill_of(table, second) == before
    with pytest.raises(AirflowFailException, match="The bill was recorded"):
        record(third, context)
    assert any("are billed again" in flag for flag in bill_of(table, third).flags)


def test_the_rows_of_another_input_do_not_hide_that_an_adopted_job_resumed_one(vertex, context, table):
    """A submit task that is cleared while a resumed job runs adopts it, but has counted its own input."""
    first = ended(vertex, mix={Trait.FAILED: 0.5})
    adopted = replace(resume(vertex, first), input_uris=(INPUT,), input_rows=ROWS)
    for reference in (first, adopted):
        record(reference, context)
    bills = [bill_of(table, reference) for reference in (first, adopted)]
    assert bills[1].rows.copied == bills[0].rows.ok > 0
    assert sum(bill.total.amount for bill in bills) == sum_by_hand(vertex, adopted)


def test_an_ordinary_input_is_no_resumed_one(vertex, context, table):
    reference = ended(vertex, mix={})
    record(reference, context)
    assert bill_of(table, reference).rows.copied == 0
