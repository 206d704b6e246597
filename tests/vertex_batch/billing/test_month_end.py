"""The end of a month at the prices of the days to come."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.month_end import month_end
from vertex_batch.billing.succession import ending_models
from vertex_batch.costs import CostTable, JobFacts, JobFilter, Total
from vertex_batch.pricing import PriceBook, SpecPrices, from_proxy
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, ScanResult, UsageKey

BOOK = PriceBook(from_proxy(None))


@pytest.fixture
def table(tmp_path) -> CostTable:
    return CostTable(f"sqlite:///{tmp_path}/costs.db")


def record(table, model, day, tokens=1_000_000, book=BOOK):
    start = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    facts = JobFacts("p", "global", f"{model}-{day}", model=model, logical_date=start, start_time=start)
    table.record(make_bill(facts, ScanResult(ok=1, tokens={UsageKey(model, Kind.INPUT): tokens}), book))


def test_the_days_to_come_have_their_own_prices(table):
    """A million tokens of Gemini 3.8 Flash every day: 0.375 USD until 31 December, then 0.75."""
    for back in range(10):
        record(table, "gemini-3.8-flash", date(2026, 12, 27) - timedelta(days=back))
    december = month_end(table, JobFilter(), date(2026, 12, 27))
    assert december.so_far == Total(Decimal("3.75"), complete=True)
    assert december.at_end == Total(Decimal("5.25"), complete=True)  # four more days
    for day in range(28, 32):
        record(table, "gemini-3.8-flash", date(2026, 12, day))
    record(table, "gemini-3.8-flash", date(2027, 1, 1))
    january = month_end(table, JobFilter(), date(2027, 1, 1))
    assert january.so_far == Total(Decimal("0.75"), complete=True)
    assert january.at_end == Total(Decimal("0.75") + 30 * Decimal("0.75"), complete=True)
    assert "0.75 USD so far; probably 23.25" in str(january)


@pytest.mark.parametrize(("nights", "days"), [(1, "1 day"), (3, "3 days"), (7, "7 days"), (9, "7 days")])
def test_the_first_days_are_divided_by_the_days_since_the_first_job(table, nights, days):
    """A million tokens cost 0.375 USD a day, from the first night on."""
    last = date(2026, 12, 21)
    for back in range(nights):
        record(table, "gemini-3.8-flash", last - timedelta(days=back))
    found = month_end(table, JobFilter(), last)
    assert found.at_end.amount == (nights + 10) * Decimal("0.375")
    assert f"the tokens of the last {days} at" in str(found)


def test_days_without_jobs_since_the_first_one_count(table):
    record(table, "gemini-3.8-flash", date(2026, 12, 18))
    assert month_end(table, JobFilter(), date(2026, 12, 21)).at_end.amount == Decimal("1.3125")


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "projects/p/locations/us-central1/models/7"])
def test_agreed_prices_hold_for_the_days_to_come(table, model):
    """Of a spec, as only a spec can price a tuned model, or of a price file; no list has them."""
    day = date(2026, 12, 27)
    agreed = SpecPrices({model: {"input": "0.1"}}, day)
    file = LiteLLMPrices({"gemini-3.5-flash": {"input_cost_per_token_batches": "2e-7"}}, "agreed.yaml", day)
    book = PriceBook([agreed, file, *BOOK.sources])
    record(table, model, day, book=book)
    record(table, "gemini-3.5-flash", day, book=book)
    record(table, "gemini-3.6-flash", day, book=book)
    found = month_end(table, JobFilter(), day)
    assert found.so_far == Total(Decimal("0.675"), complete=True)
    assert found.at_end == Total(5 * Decimal("0.675"), complete=True)


def test_what_has_no_price_leaves_the_end_open(table):
    record(table, "gemini-9-ultra", date(2026, 12, 27))
    assert month_end(table, JobFilter(), date(2026, 12, 27)).at_end.complete is False


def test_the_successor_of_a_model_is_priced_on_its_tokens_of_the_last_30_days(table):
    day = date(2026, 11, 27)
    for back in (0, 29, 30):  # the last of these is too long ago
        record(table, "gemini-2.5-pro", day - timedelta(days=back))
    record(table, "gemini-3.8-flash", day)
    [found] = ending_models(table, JobFilter(), day)
    assert (found.retirement.model, found.paid) == ("gemini-2.5-pro", Total(Decimal("1.25"), complete=True))
    assert found.successors == {
        "gemini-3.8-flash": Total(Decimal("0.75"), complete=True),
        "gemini-3.5-flash": Total(Decimal("1.5"), complete=True),
    }
    later = replace(found, successors={}).describe(date(2027, 4, 1))
    assert later.startswith("gemini-2.5-pro was retired")
    assert later.endswith("Its jobs of the last 30 days cost 1.25 USD")
