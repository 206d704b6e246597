"""Recorded jobs priced anew, on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from vertex_batch.billing import repricing
from vertex_batch.costs import JobFilter, Total
from vertex_batch.pricing import Basis, PriceBook, SpecPrices, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, Tier, UsageKey
from vertex_batch.vertex.names import JobId

DAY = date(2026, 11, 21)
PLACE = ("demo-project", "us-central1")


@pytest.fixture
def book():
    prices = {"gemini-2.5-flash": {"input_cost_per_token_batches": "2e-07"}}
    return PriceBook([LiteLLMPrices(prices, "corrected", date(2026, 11, 23))])


@pytest.fixture
def reprice(table, book):
    def run(since=DAY, until=DAY, dry_run=False, book=book):
        where = JobFilter(since=since, until=until)
        return list(repricing.reprice(table, lambda _: book, where, dry_run=dry_run))

    return run


@pytest.fixture
def history(database_url):
    def read():
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            sql = "SELECT amount_picousd FROM cost_price_history ORDER BY 1"
            return list(connection.execute(text(sql)).scalars())

    return read


def test_stored_tokens_are_priced_anew_and_the_old_line_items_are_kept(table, bill, reprice, history):
    table.record(bill())  # 1,000 input tokens in its usage; 0.00015 of input and 0.000625 of output billed
    [changed] = reprice()
    assert (changed.before.amount, changed.after.amount) == (Decimal("0.000775"), Decimal("0.0002"))
    [item] = table.bill(JobId(*PLACE, "101")).line_items
    assert (item.amount_usd, item.source, item.price_date) == (
        Decimal("0.0002"),
        "corrected",
        date(2026, 11, 23),
    )
    assert history() == [150_000_000, 625_000_000]


def test_doing_it_twice_changes_nothing_more(table, bill, reprice, history):
    table.record(bill())
    reprice()
    kept = history()
    [again] = reprice()
    assert not again.changed
    assert history() == kept


def test_a_dry_run_only_compares(table, bill, reprice, history):
    table.record(bill())
    before = table.bill(JobId(*PLACE, "101"))
    [found] = reprice(dry_run=True)
    assert found.changed
    assert (table.bill(JobId(*PLACE, "101")), history()) == (before, [])


def test_what_a_spec_priced_and_what_is_unknown_stay(table, bill, line, reprice):
    spec = line(7, "9e-06", kind=Kind.OUTPUT, basis=Basis.SPEC, source="spec")
    unknown = line(0, None, model="unknown")
    table.record(bill(items=[line(), spec, unknown]))
    [changed] = reprice()
    items = table.bill(JobId(*PLACE, "101")).line_items
    assert spec in items
    assert unknown in items
    assert (changed.after.amount, changed.after.complete) == (Decimal("0.000263"), False)


def test_only_the_days_that_were_asked_are_priced_anew(table, bill, reprice):
    table.record(bill())
    assert reprice(date(2026, 11, 22), date(2026, 12, 1)) == []


def test_the_prices_that_a_spec_has_today_come_in_place_of_its_old_ones(table, bill, line, reprice, book):
    """A spec that prices nothing now leaves its jobs to the lists; one that is not known keeps its price."""
    old = line(1000, "9e-06", basis=Basis.SPEC, source="spec", tier=Tier.LONG_CONTEXT)
    made = bill(items=[old])
    usage = {replace(key, tier=Tier.LONG_CONTEXT): n for key, n in made.usage.items()}
    prices = {"input_cost_per_token_above_200k_tokens_batches": "3e-07"}
    lists = PriceBook([LiteLLMPrices({"gemini-2.5-flash": prices}, "list", DAY)])
    table.record(replace(made, usage=usage))
    assert not reprice(book=lists)[0].changed
    today = SpecPrices({"gemini-2.5-flash": {"input_long_context": 7}}, DAY)
    [dearer] = reprice(book=PriceBook([today, *lists.sources]))
    assert dearer.after.amount == Decimal("0.007")
    [listed] = reprice(book=PriceBook([SpecPrices(None, DAY), *lists.sources]))
    assert listed.after.amount == Decimal("0.0003")


def test_pricing_anew_completes_what_batch_has_saved(table, bill, reprice):
    table.record(bill())
    prices = {"input_cost_per_token_batches": "1.5e-07", "input_cost_per_token": "3e-07"}
    reprice(book=PriceBook([LiteLLMPrices({"gemini-2.5-flash": prices}, "list", DAY)]))
    assert table.bill(JobId(*PLACE, "101")).saved == Total(Decimal("0.00015"), complete=True)


def test_recording_a_different_bill_keeps_the_one_before_as_history(table, bill, line, history):
    for tokens in (1000, 1000, 2000):
        table.record(bill(items=[line(tokens)]))
    assert history() == [150_000_000]


def test_what_was_counted_again_keeps_the_specs_price_where_the_spec_is_not_known(bill, line, book):
    """The tokens are those of today, the rate is the one that the spec had stated."""
    stated = line(1000, "9e-06", basis=Basis.SPEC, source="spec", list_digest="of the spec")
    fresh = line(2000, "2e-07", list_digest="of the list"), line(5, None, kind=Kind.OUTPUT)
    kept = repricing.keeping_spec_prices(fresh, bill(items=[stated]), book)
    assert kept[0].list_digest == "of the spec"
    assert [(item.tokens, item.amount_usd, item.basis) for item in kept] == [
        (2000, Decimal("0.018"), Basis.SPEC),
        (5, None, None),
    ]
    known = PriceBook([SpecPrices(None, DAY), *book.sources])
    assert repricing.keeping_spec_prices(fresh, bill(items=[stated]), known) == list(fresh)


@pytest.mark.parametrize(
    ("case", "stated", "before", "after", "tokens"),
    [
        ("the list gets a long-context rate", {"input": 9}, "", "_above_200k_tokens", {"standard": 301}),
        ("it loses its rate", {"input": 9}, "_above_200k_tokens", "", {"standard": 301}),
        (
            "the spec has only the long one",
            {"input_long_context": 9},
            "",
            "",
            {"standard": 1, "long_context": 300},
        ),
    ],
)
def test_tokens_are_billed_once_when_tiers_change_beside_a_price_of_a_spec(
    bill, case, stated, before, after, tokens
):
    def lists(long):
        prices = {"input_cost_per_token_batches": "1e-07", f"input_cost_per_token{long}_batches": "2e-07"}
        return LiteLLMPrices({"gemini-2.5-flash": prices}, "list", DAY)

    key = UsageKey("gemini-2.5-flash", Kind.INPUT)
    usage = {key: 1, replace(key, tier=Tier.LONG_CONTEXT): 300}
    recorded = PriceBook([SpecPrices({"gemini-2.5-flash": stated}, DAY), lists(before)])
    made = replace(bill(items=price(usage, recorded, "us-central1", DAY)), usage=usage)
    items = repricing.repriced(made, PriceBook([lists(after)])).line_items
    assert {item.tier: item.tokens for item in items} == tokens, case
    assert all(item.amount_usd == item.tokens * item.unit_price_usd for item in items), case
    agreed = [item for item in items if item.basis is Basis.SPEC]
    assert [item.unit_price_usd for item in agreed] == [Decimal("9e-06")], case
