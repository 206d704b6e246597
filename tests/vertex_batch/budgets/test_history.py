"""What earlier jobs teach, read from SQLite and PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from tests.vertex_batch.budgets.test_ledger import ASKS, NOW, expects, go, ledger
from vertex_batch.budgets import NewRows, PastJob, Survey, describe_past, estimate, past_costs, past_jobs
from vertex_batch.budgets.past import HISTORY_RUNS, SameRows
from vertex_batch.budgets.ranges import exactly
from vertex_batch.costs import CostTable, RowCounts, Total
from vertex_batch.costs.deliveries import Delivery
from vertex_batch.pricing import PriceBook
from vertex_batch.usage import Kind, UsageKey
from vertex_batch.vertex.labels import GROUP_KEY_LABEL, SAMPLE_LABEL

__all__ = ["ledger"]


def history(table: CostTable) -> list[PastJob]:
    return past_jobs(table, ASKS.dag_id, ASKS.task_id, ASKS.model)


def test_history_is_what_the_same_task_and_model_used_the_latest_first(table, ledger, bill):
    facts = {"dag_id": "nightly", "task_id": "submit"}
    for number, name in enumerate(("new", "old")):
        made = bill(name, create_time=NOW - timedelta(days=number), **facts)
        table.record(replace(made, rows=RowCounts(ok=10, failed=1, input_rows=11)))
    table.record(bill("another model", **{**facts, "model": "gemini-2.5-pro"}))
    table.record(bill("another task", **{**facts, "task_id": "other.submit"}))
    table.record(bill("another DAG", **{**facts, "dag_id": "weekly"}))
    ledger.claim(replace(ASKS, job_key="k"), replace(expects("1"), answer_limit=100), [], go)
    ledger.submitted("k", "new")
    new, old = history(table)
    assert (new.rows, new.input_rows, new.size, new.answer_limit) == (11, 11, 900, 100)
    assert (old.rows, old.input_rows, old.size, old.answer_limit) == (11, 11, None, None)
    assert [(key.kind, key.model, n) for key, n in new.usage.items()] == [
        (Kind.INPUT, "gemini-2.5-flash", 1000)
    ]
    assert all(isinstance(key, UsageKey) for key in old.usage)


def test_what_the_last_jobs_cost_is_said_without_samples_unless_there_is_nothing_else(table, bill):
    facts = {"dag_id": "nightly", "task_id": "submit"}
    for number in range(4):
        labels = {SAMPLE_LABEL: "10-of-300"}
        made = bill(f"sample {number}", create_time=NOW - timedelta(hours=number), labels=labels, **facts)
        table.record(replace(made, rows=RowCounts(ok=10 + number, input_rows=10 + number)))
    assert describe_past(history(table)).startswith("the last 4 samples cost ")
    night = bill("night", create_time=NOW - timedelta(days=1), **facts)
    table.record(replace(night, rows=RowCounts(ok=300, input_rows=300)))
    assert describe_past(history(table)).startswith("the last job cost ")
    assert len(past_costs(history(table))) == 1


@pytest.mark.parametrize(
    ("state", "rows", "reasons", "ran"),
    [
        ("SUCCEEDED", RowCounts(ok=290, failed=10, input_rows=300), {}, 300),
        ("CANCELLED", RowCounts(ok=55, input_rows=300), {}, 55),
        ("CANCELLED", RowCounts(ok=55), {}, 55),  # the estimate knows how many rows the input has
        ("FAILED", RowCounts(ok=50, failed=10, input_rows=300), {}, 60),
        ("EXPIRED", RowCounts(ok=60, failed=240, input_rows=300), {"expired": 200, "Canceled by x": 40}, 60),
        ("PARTIALLY_SUCCEEDED", RowCounts(ok=100, unreadable=20, input_rows=300), {"INTERNAL: x": 9}, 100),
        ("SUCCEEDED", RowCounts(ok=300, copied=150, input_rows=300), {}, 150),
        ("CANCELLED", RowCounts(ok=9, input_rows=300), {}, None),
    ],
)
def test_a_job_that_did_not_run_all_rows_teaches_what_those_cost_that_it_ran(
    table, ledger, bill, state, rows, reasons, ran
):
    """A row of this input of 300 rows and 30,000 bytes costs 10 tokens, so the next job costs 3,000."""
    made = bill("101", state=state, dag_id="nightly", task_id="submit")
    usage = {UsageKey("gemini-2.5-flash", Kind.INPUT): 10 * (ran or rows.ok)}
    table.record(replace(made, rows=rows, usage=usage, failed_reasons=reasons))
    ledger.claim(ASKS, replace(expects("1"), rows=300, size=30_000), [], go)
    ledger.submitted("key-1", "101")
    past_ones = history(table)
    assert [past.rows for past in past_ones] == ([] if ran is None else [ran])
    survey = Survey(300, 30_000, row_range=exactly(300))
    for past in past_ones:
        assert estimate(survey, ASKS.model, ASKS.location, PriceBook([]), [past]).input_tokens == 3000


def test_jobs_that_ran_too_few_rows_do_not_take_the_place_of_those_that_ran_enough(table, ledger, bill):
    for number in range(HISTORY_RUNS + 1):
        made = bill(f"{number}", dag_id="nightly", task_id="submit", create_time=NOW - timedelta(number))
        table.record(replace(made, rows=RowCounts(ok=10 if number == HISTORY_RUNS else 1, input_rows=10)))
    assert [past.rows for past in history(table)] == [10]


@pytest.mark.parametrize(
    ("facts", "rows", "same"),
    [
        ({}, NewRows(("gs://in/a.jsonl", "gs://in/b.jsonl"), (NOW,)), SameRows.WHOLE),
        ({}, NewRows(("gs://in/a.jsonl", "gs://in/b.jsonl"), (NOW, None)), SameRows.NO),
        ({}, NewRows(("gs://in/a.jsonl", "gs://in/b.jsonl")), SameRows.NO),
        ({}, NewRows(("gs://in/a.jsonl", "gs://in/b.jsonl"), (NOW + timedelta(hours=2),)), SameRows.NO),
        ({}, NewRows(("gs://in/a.jsonl",), (NOW,)), SameRows.NO),
        ({"labels": {SAMPLE_LABEL: "10-of-40"}}, NewRows(("gs://x",), (NOW,), 40), SameRows.SAMPLE),
        ({"labels": {SAMPLE_LABEL: "10-of-40"}}, NewRows(("gs://x",), (NOW,), 140), SameRows.NO),
        ({"run_id": "this"}, NewRows(run_id="this", first_task="submit"), SameRows.SENT_AGAIN),
        ({"run_id": "other"}, NewRows(run_id="this", first_task="submit"), SameRows.NO),
        (
            {"run_id": "other", "labels": {GROUP_KEY_LABEL: "abc"}},
            NewRows(run_id="this", group_key="abc", first_task="submit"),
            SameRows.SENT_AGAIN,
        ),
    ],
)
def test_a_job_that_ran_the_same_rows_is_recognized(table, bill, facts, rows, same):
    made = bill("101", dag_id="nightly", task_id="submit", create_time=NOW + timedelta(hours=1), **facts)
    table.record(replace(made, rows=RowCounts(ok=10, failed=10, input_rows=20)))
    task = "retry_1.submit" if rows.first_task else "submit"
    (found,) = past_jobs(table, "nightly", task, ASKS.model, rows)
    assert found.same is same
    # A row that failed for a passing reason will be answered when it is sent again.
    assert found.rows == (10 if same is SameRows.SENT_AGAIN else 20)


def test_the_job_that_ran_the_same_rows_is_read_however_many_ran_others_since(table, bill):
    for number in range(HISTORY_RUNS + 1):
        facts = {"run_id": f"{number}", "create_time": NOW - timedelta(number)}
        made = bill(f"{number}", dag_id="nightly", task_id="submit", **facts)
        table.record(replace(made, rows=RowCounts(ok=10, input_rows=10)))
    rows = NewRows(run_id=f"{HISTORY_RUNS}", first_task="submit")
    found = past_jobs(table, "nightly", "retry_1.submit", ASKS.model, rows)
    assert [job.same for job in found[:2]] == [SameRows.SENT_AGAIN, SameRows.NO]


def test_the_share_of_cut_answers_is_that_of_the_delivery_of_the_run(table, bill):
    for group in ("", "texts."):
        made = bill(f"job {group}", dag_id="nightly", run_id="night", task_id=f"{group}submit")
        table.record(replace(made, rows=RowCounts(ok=40, input_rows=40)))
    where = dict.fromkeys(("answers_uri", "exceptions_uri", "manifest_uri"), "gs://x")
    night = {"dag_id": "nightly", "run_id": "night", "task_id": "texts.deliver", "delivered_at": NOW}
    numbers = {"input_rows": 40, "delivered": 18, "exceptions": 22, "reasons": {"truncated": 22}}
    delivered = Delivery(**night, **numbers, **where, usd="1", is_complete=True)
    table.record_delivery(delivered, files_changed=True)
    (found,) = past_jobs(table, "nightly", "texts.submit", ASKS.model)
    assert found.cut_share == Fraction(22, 40)
    (other,) = past_jobs(table, "nightly", "submit", ASKS.model)
    assert other.cut_share is None


def test_the_middle_of_two_jobs_is_not_the_higher_one():
    costs = [Total(Decimal(usd), complete=True) for usd in ("1.058314", "1.068999")]
    jobs = [PastJob(1000, {}, answered=1000, cost=cost) for cost in costs]
    assert describe_past(jobs) == (
        "the last 2 jobs cost 1.063656 USD per 1,000 answered rows (1.058314 USD to 1.068999 USD)"
    )
