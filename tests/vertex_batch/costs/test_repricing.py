"""Recorded jobs priced anew, on both databases."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from vertex_batch.costs.repricing import reprice
from vertex_batch.pricing import Basis, LiteLLMPrices, PriceBook
from vertex_batch.usage import Kind

DAY = date(2026, 11, 21)
PLACE = ("demo-project", "us-central1")


@pytest.fixture
def book():
    prices = {"gemini-2.5-flash": {"input_cost_per_token_batches": "2e-07"}}
    return PriceBook([LiteLLMPrices(prices, "corrected", date(2026, 11, 23))])


@pytest.fixture
def history(database_url):
    def read():
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            sql = "SELECT amount_picousd FROM cost_price_history ORDER BY 1"
            return list(connection.execute(text(sql)).scalars())

    return read


def test_stored_tokens_are_priced_anew_and_the_old_line_items_are_kept(table, bill, book, history):
    table.record(bill())  # 1,000 input tokens in its usage; 0.00015 of input and 0.000625 of output billed
    [changed] = reprice(table, book, DAY, DAY)
    assert (changed.before.amount, changed.after.amount) == (Decimal("0.000775"), Decimal("0.0002"))
    [item] = table.bill(*PLACE, "101").line_items
    assert (item.amount_usd, item.source, item.price_date) == (
        Decimal("0.0002"),
        "corrected",
        date(2026, 11, 23),
    )
    assert history() == [150_000_000, 625_000_000]


def test_doing_it_twice_changes_nothing_more(table, bill, book, history):
    table.record(bill())
    list(reprice(table, book, DAY, DAY))
    kept = history()
    [again] = reprice(table, book, DAY, DAY)
    assert not again.changed
    assert history() == kept


def test_a_dry_run_only_compares(table, bill, book, history):
    table.record(bill())
    before = table.bill(*PLACE, "101")
    [found] = reprice(table, book, DAY, DAY, dry_run=True)
    assert found.changed
    assert (table.bill(*PLACE, "101"), history()) == (before, [])


def test_what_a_spec_priced_and_what_is_unknown_stay(table, bill, line, book):
    spec = line(7, "9e-06", kind=Kind.OUTPUT, basis=Basis.SPEC, source="spec")
    unknown = line(0, None, model="unknown")
    table.record(bill(items=[line(), spec, unknown]))
    [changed] = reprice(table, book, DAY, DAY)
    items = table.bill(*PLACE, "101").line_items
    assert spec in items
    assert unknown in items
    assert (changed.after.amount, changed.after.complete) == (Decimal("0.000263"), False)


def test_only_the_days_that_were_asked_are_priced_anew(table, bill, book):
    table.record(bill())
    assert list(reprice(table, book, date(2026, 11, 22), date(2026, 12, 1))) == []
