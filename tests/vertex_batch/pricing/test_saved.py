"""What the same tokens cost without batch: the standard rate beside each rate of the bill."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.pricing import PriceBook, SpecPrices, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"


def item(book, usage, tokens=1_000_000, location="global"):
    [found] = price({usage: tokens}, book, location)
    return found


@pytest.mark.parametrize(
    ("usage", "standard", "saved"),
    [
        (UsageKey(FLASH, Kind.INPUT), "0.3", "0.15"),
        (UsageKey(FLASH, Kind.INPUT, Modality.AUDIO), "1", "0.5"),
        (UsageKey(FLASH, Kind.INPUT, Modality.IMAGE), "0.3", "0.15"),  # an image is priced as text in both
        (UsageKey(FLASH, Kind.THOUGHTS), "2.5", "1.25"),
        (UsageKey(FLASH, Kind.TOOL_USE_INPUT), "0.3", "0.15"),
        (UsageKey(FLASH, Kind.CACHED_INPUT), "0.03", "0"),  # the discounts do not stack: nothing is saved
        (UsageKey("gemini-3.5-flash", Kind.CACHED_INPUT), "0.15", "0.075"),  # a batch cache rate
        (UsageKey(PRO, Kind.INPUT, tier=Tier.LONG_CONTEXT), "2.5", "1.25"),
        (UsageKey("gemini-old", Kind.INPUT), "0.3", "0.15"),  # the batch rate was derived from it
    ],
)
def test_the_standard_rate_is_the_one_of_the_same_kind_modality_and_tier(book, usage, standard, saved):
    found = item(book, usage)
    assert (found.standard_amount_usd, found.saved_usd) == (Decimal(standard), Decimal(saved))
    assert found.standard_amount_usd == 1_000_000 * found.standard_unit_price_usd
    assert found.standard_source == "proxy_price_map"


def test_the_regional_uplift_is_on_both(book):
    found = item(book, UsageKey("gemini-3.5-flash", Kind.INPUT), location="us-central1")
    assert (found.amount_usd, found.standard_amount_usd) == (Decimal("0.825"), Decimal("1.65"))


def test_without_a_standard_rate_what_was_saved_is_not_known(book):
    found = item(book, UsageKey("gemini-3-pro-image", Kind.OUTPUT))  # its list has a batch rate alone
    assert found.amount_usd == 6
    assert (found.standard_unit_price_usd, found.standard_amount_usd, found.saved_usd) == (None, None, None)


def test_an_unknown_price_saves_nothing_that_is_known(book):
    found = item(book, UsageKey("gemini-9", Kind.INPUT))
    assert (found.amount_usd, found.standard_amount_usd, found.saved_usd) == (None, None, None)


def test_a_price_of_the_spec_is_held_against_the_lists_standard_rate(price_map, today):
    spec = SpecPrices({FLASH: {"input": "0.10", "thoughts": 1, "search_query": 35_000}}, today)
    book = PriceBook([spec, LiteLLMPrices(price_map, "map", today)])
    assert item(book, UsageKey(FLASH, Kind.INPUT)).saved_usd == Decimal("0.2")
    assert item(book, UsageKey(FLASH, Kind.THOUGHTS)).saved_usd == Decimal("1.5")
    query = item(book, UsageKey(FLASH, Kind.SEARCH_QUERY), tokens=2)
    assert (query.standard_amount_usd, query.saved_usd) == (Decimal("0.07"), 0)


def test_the_list_that_gave_the_batch_rate_gives_the_standard_rate_if_it_has_one(price_map, today):
    whole = {FLASH: {"input_cost_per_token_batches": "1e-07", "input_cost_per_token": "2e-07"}}
    half = {FLASH: {"input_cost_per_token_batches": "1e-07"}}
    for first, saved, source in ((whole, "0.1", "first"), (half, "0.2", "map")):
        lists = [LiteLLMPrices(first, "first", today), LiteLLMPrices(price_map, "map", today)]
        found = item(PriceBook(lists), UsageKey(FLASH, Kind.INPUT))
        assert (found.saved_usd, found.standard_source) == (Decimal(saved), source)


def test_a_batch_rate_above_the_standard_rate_is_a_loss_and_says_so(today):
    dear = {FLASH: {"input_cost_per_token_batches": "4e-07", "input_cost_per_token": "3e-07"}}
    book = PriceBook([LiteLLMPrices(dear, "map", today)])
    assert item(book, UsageKey(FLASH, Kind.INPUT)).saved_usd == Decimal("-0.1")
