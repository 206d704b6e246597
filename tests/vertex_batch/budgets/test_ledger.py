"""Claims in SQLite and PostgreSQL: what was spent, what is reserved, and what earlier jobs teach."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from vertex_batch.budgets import (
    Account,
    BudgetRequest,
    Decision,
    Estimate,
    Ledger,
    Limit,
    Payer,
    Ruling,
    RunKey,
    Sums,
    Window,
    decide,
)
from vertex_batch.budgets.ledger import LONGEST_JOB
from vertex_batch.costs import CostTable, Total
from vertex_batch.usage import Kind
from vertex_batch.vertex.names import JobId

NOW = datetime(2026, 11, 22, 3, tzinfo=UTC)
SPEC_DAY = Account(Payer.SPEC, "nightly", Window.DAY)
SPEC_MONTH = Account(Payer.SPEC, "nightly", Window.MONTH)
SPEC_RUN = Account(Payer.SPEC, "nightly", Window.RUN)
TEAM_MONTH = Account(Payer.TEAM, "search", Window.MONTH)
ALL_DAY = Account(Payer.EVERYONE, "", Window.DAY)
ASKS = BudgetRequest(
    job_key="key-1",
    project="demo-project",
    location="us-central1",
    model="gemini-2.5-flash",
    dag_id="nightly",
    run_id="run-1",
    task_id="submit",
    spec="nightly",
    team="search",
)
# The bills of the fixture: 1000 tokens at 0.15 and 500 at 1.25 USD per million.
ONE_BILL = Decimal("0.000775")


def expects(amount: str, *, complete: bool = True) -> Estimate:
    usd = Decimal(amount)
    return Estimate(Total(usd, complete), usd / 2, usd * 2, rows=11, size=900, method="counted")


def go(_sums) -> Decision:
    return Decision(Ruling.GO)


@pytest.fixture
def ledger(table) -> Ledger:
    return Ledger(table, now=lambda: NOW)


def total(amount: str | Decimal, *, complete: bool = True) -> Total:
    return Total(Decimal(amount), complete)


def test_the_sums_of_a_past_month_leave_out_what_came_after_it(table, bill):
    """As for the digest of 30 November, which is written on 1 December."""
    last = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    table.record(bill("1", create_time=last))
    table.record(bill("2", create_time=last + timedelta(hours=1)))
    Ledger(table, now=lambda: last).claim(ASKS, expects("3"), [], go)
    later = Ledger(table, now=lambda: last + timedelta(hours=8))
    later.claim(replace(ASKS, job_key="key-2", map_index=2), expects("4"), [], go)
    assert later.sums(SPEC_MONTH, day=last.date()) == Sums(total(ONE_BILL), total(3))
    assert later.sums(SPEC_MONTH) == Sums(total(ONE_BILL), total(4))


def test_spent_is_what_was_billed_to_jobs_created_in_the_period(table, ledger, bill):
    table.record(bill("1", create_time=NOW - timedelta(hours=3)))
    table.record(bill("2", create_time=NOW - timedelta(hours=4)))  # yesterday
    table.record(bill("3", create_time=datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC)))
    table.record(bill("4", create_time=NOW, spec="other"))
    table.record(bill("5", create_time=NOW, spec="other", team="ads"))
    assert ledger.sums(SPEC_DAY).spent == total(ONE_BILL)
    assert ledger.sums(SPEC_MONTH).spent == total(2 * ONE_BILL)
    assert ledger.sums(TEAM_MONTH).spent == total(3 * ONE_BILL)
    assert ledger.sums(ALL_DAY).spent == total(3 * ONE_BILL)


def test_the_day_that_a_backfilled_run_stands_for_is_not_the_day_on_which_its_money_goes(table, ledger, bill):
    table.record(bill("1", create_time=NOW, logical_date=NOW - timedelta(days=20)))
    assert ledger.sums(SPEC_DAY).spent == total(ONE_BILL)


def test_a_job_whose_creation_nobody_knows_counts_from_its_recording(table, ledger, bill):
    table.record(bill("1", create_time=None))  # recorded on the 22nd
    assert ledger.sums(SPEC_DAY).spent == total(ONE_BILL)


def test_the_jobs_of_a_run_are_those_of_its_dag_and_run(table, ledger, bill):
    table.record(bill("1", dag_id="nightly", run_id="run-1", create_time=NOW - timedelta(days=40)))
    table.record(bill("2", dag_id="nightly", run_id="run-2"))
    assert ledger.sums(SPEC_RUN, RunKey("nightly", "run-1")).spent == total(ONE_BILL)


def test_a_sum_over_an_unpriced_job_is_an_at_least(table, ledger, bill, line):
    table.record(bill("1", [line(), line(price=None, kind=Kind.OUTPUT)], create_time=NOW))
    assert ledger.sums(SPEC_DAY).spent == total("0.00015", complete=False)


def test_a_claim_reserves_until_the_bill_is_there(table, ledger, bill):
    ledger.claim(ASKS, expects("3"), [], go)
    assert ledger.sums(SPEC_DAY) == Sums(total(0), total(3))
    ledger.submitted("key-1", "101")
    assert ledger.sums(SPEC_DAY) == Sums(total(0), total(3))
    table.record(bill("101", create_time=NOW))
    assert ledger.sums(SPEC_DAY) == Sums(total(ONE_BILL), total(0))


def test_a_claim_does_not_weigh_against_itself_and_claiming_again_replaces_it(ledger):
    seen = []
    for amount in ("3", "4"):
        ledger.claim(ASKS, expects(amount), [SPEC_DAY], lambda sums: seen.append(sums) or Decision(Ruling.GO))
    assert seen == [{SPEC_DAY: Sums()}] * 2
    assert ledger.sums(SPEC_DAY).reserved == total(4)


def test_an_unpriced_claim_makes_the_reserved_sum_an_at_least(ledger):
    ledger.claim(ASKS, expects("0", complete=False), [], go)
    assert ledger.sums(SPEC_DAY).reserved == total(0, complete=False)


@pytest.mark.parametrize("verdict", [Ruling.HOLD, Ruling.REFUSE])
def test_what_is_held_or_refused_reserves_nothing(ledger, verdict):
    ledger.claim(ASKS, expects("3"), [], lambda _: Decision(verdict, ("too much",)))
    assert ledger.sums(SPEC_DAY).reserved == total(0)


def test_what_was_approved_reserves(ledger):
    held = Decision(Ruling.HOLD, ("too much",))
    ledger.claim(ASKS, expects("3"), [], lambda _: held, approved_by="ann", approved=lambda _: True)
    assert ledger.sums(SPEC_DAY).reserved == total(3)
    ledger.submitted("key-1", "101")
    kept = ledger.of_job(JobId("demo-project", "us-central1", "101"))
    assert (kept.verdict, kept.reason, kept.approved_by) == (Ruling.HOLD, "too much", "ann")


def test_a_claim_of_a_job_that_never_was_is_given_back_and_one_that_became_a_job_stays(ledger):
    ledger.claim(ASKS, expects("3"), [], go)
    ledger.claim(replace(ASKS, job_key="key-2"), expects("4"), [], go)
    ledger.submitted("key-2", "102")
    ledger.release("nightly", "run-1", "submit", -1)
    assert ledger.sums(SPEC_DAY).reserved == total(4)


def test_nothing_is_reserved_for_longer_than_a_job_may_live(table, ledger):
    Ledger(table, now=lambda: NOW - LONGEST_JOB - timedelta(seconds=1)).claim(ASKS, expects("3"), [], go)
    assert ledger.sums(SPEC_MONTH).reserved == total(0)
    Ledger(table, now=lambda: NOW - LONGEST_JOB).claim(ASKS, expects("3"), [], go)
    assert ledger.sums(SPEC_MONTH).reserved == total(3)


def test_an_estimate_is_kept_to_be_shown_beside_the_bill(ledger):
    estimate = replace(expects("3"), input_tokens=7, output_tokens=8, answer_limit=9, unknown=("no price",))
    ledger.claim(ASKS, estimate, [], go)
    assert ledger.of_job(JobId("demo-project", "us-central1", "101")) is None
    ledger.submitted("key-1", "101")
    assert ledger.of_job(JobId("demo-project", "us-central1", "101")).estimate == estimate


def test_of_two_that_claim_the_rest_of_a_budget_at_once_one_gets_it(database_url):
    CostTable(database_url).migrate()
    limit = Limit(SPEC_DAY, Ruling.REFUSE, Decimal(5))
    start, verdicts = threading.Barrier(6), []

    def claim(number: int) -> None:
        asks, estimate = replace(ASKS, job_key=f"key-{number}", map_index=number), expects("3")
        start.wait()
        decision = Ledger(CostTable(database_url), now=lambda: NOW).claim(
            asks, estimate, [SPEC_DAY], lambda sums: decide([limit], sums, estimate.expected)
        )
        verdicts.append(decision.verdict)

    threads = [threading.Thread(target=claim, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdicts) == ["go", *["refuse"] * 5]


def test_what_has_no_bill_and_what_was_kept_back_can_be_listed(table, ledger, bill):
    ledger.claim(ASKS, expects("3"), [], go)
    ledger.submitted("key-1", "101")
    ledger.claim(replace(ASKS, job_key="key-2"), expects("4"), [], lambda _: Decision(Ruling.HOLD, ("much",)))
    ledger.claim(replace(ASKS, job_key="key-3"), expects("5"), [], go)
    ledger.submitted("key-3", "103")
    table.record(bill("103", create_time=NOW))
    assert [(job.job_id, job.expected) for job in ledger.unbilled()] == [("101", total(3))]
    assert [(job.expected, job.verdict) for job in ledger.kept_back(NOW.date())] == [(total(4), "hold")]
    assert ledger.kept_back(NOW.date() - timedelta(days=1)) == []


@pytest.mark.parametrize(
    ("changes", "is_like"),
    [
        ({}, True),
        ({"run_id": "run-1"}, False),  # its own
        ({"model": "gemini-2.5-pro"}, False),
        ({"task_id": "retry_1.submit"}, False),
        ({"map_index": 3}, False),
        ({"dag_id": "other"}, False),
    ],
)
def test_an_unbilled_job_of_another_run_with_as_large_an_input_is_found(
    table, ledger, bill, changes, is_like
):
    ledger.claim(ASKS, expects("3"), [], go)
    ledger.submitted("key-1", "101")
    new = replace(ASKS, **{"job_key": "key-2", "run_id": "run-2", **changes})
    assert [job.job_id for job in ledger.unbilled_like(new, expects("4"))] == ["101"] * is_like
    assert ledger.unbilled_like(new, replace(expects("4"), rows=12)) == []
    table.record(bill("101", create_time=NOW))
    assert ledger.unbilled_like(new, expects("4")) == []
