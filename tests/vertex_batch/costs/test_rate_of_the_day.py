"""A bill has the rates of the day on which its job ran: recorded late, and priced again."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.repricing import reprice, repriced
from vertex_batch.costs import JobFacts, JobFilter, Total
from vertex_batch.pricing import PriceBook, packaged_prices
from vertex_batch.usage import Kind, ScanResult, UsageKey

SCAN = ScanResult(ok=1, tokens={UsageKey("gemini-4-argon", Kind.INPUT): 1_000_000})
BOOK = PriceBook([packaged_prices()])


def moment(day, hour=12):
    return datetime(2026, 12 if day == 1 else 11, day, hour, tzinfo=UTC)


def job(start, end=None, job_id="1", created=None):
    return JobFacts(
        "demo-project",
        "global",
        job_id,
        create_time=created or start,
        start_time=start,
        end_time=end or start,
    )


@pytest.mark.parametrize(
    ("facts", "usd"),
    [
        (job(moment(30)), "1"),
        (job(moment(1)), "2"),
        (job(moment(1), created=moment(30)), "2"),  # it waited in the queue; it ran the day after
        (JobFacts("p", "global", "1", create_time=moment(30)), "1"),
    ],
)
def test_the_day_on_which_the_job_ran_decides(facts, usd):
    assert make_bill(facts, SCAN, BOOK).total == Total(Decimal(usd), complete=True)


def test_pricing_a_past_month_again_gives_that_months_bill(table):
    for number, facts in enumerate((job(moment(30)), job(moment(1), job_id="2"))):
        made = make_bill(facts, SCAN, BOOK)
        table.record(made)
        assert repriced(made, BOOK) == made, number
    done = list(reprice(table, lambda _: BOOK, JobFilter()))
    assert [each.changed for each in done] == [False, False]
    assert sorted(each.after.amount for each in done) == [1, 2]


def test_a_change_of_prices_while_the_job_ran_is_a_flag():
    across = make_bill(job(moment(30, 20), moment(1, 4)), SCAN, BOOK)
    assert across.total.amount == 1
    assert across.flags == (
        (
            "prices changed while the job ran, from 2026-11-30 to 2026-12-01, and rows do not say when they"
            " were answered. The prices of the first day were used: 1 USD. At those of the last day it would"
            " cost 2 USD"
        ),
    )
    assert make_bill(job(moment(28), moment(29)), SCAN, BOOK).flags == ()
