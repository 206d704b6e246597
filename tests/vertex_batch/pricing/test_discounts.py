"""What a batch costs of the standard price: only by a stated rule, or by a list's own batch price."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from vertex_batch.pricing import PriceBook, Rate, SpecPrices, Unpriced, packaged_prices, price
from vertex_batch.pricing.discounts import discount_of
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, UsageKey

DAY = date(2026, 11, 27)


def book_of(model, **prices):
    return PriceBook([LiteLLMPrices({model: prices}, "list", DAY)])


def rate(book, model, kind, modality=Modality.TEXT, ttl=CacheTtl.NONE, tier=Tier.STANDARD):
    return book.rate(UsageKey(model, kind, modality, tier, ttl), "global")


STANDARD = {
    "input_cost_per_token": "4e-06",
    "output_cost_per_token": "8e-06",
    "cache_read_input_token_cost": "4e-07",
    "input_cost_per_character": "1e-06",
}


@pytest.mark.parametrize(
    ("model", "kind", "usd", "basis"),
    [
        ("gemini-9-flash", Kind.INPUT, "2e-06", "derived_half_of_standard"),
        ("gemini-9-flash", Kind.CACHED_INPUT, "4e-07", "standard_cache_rate"),
        ("claude-sonnet-9", Kind.INPUT, "2e-06", "derived_half_of_standard"),
        ("claude-sonnet-9", Kind.CACHED_INPUT, "2e-07", "derived_half_of_standard"),  # it stacks
        ("gemini-embedding-001", Kind.INPUT, "3.2e-06", "derived_four_fifths_of_standard"),
        ("text-embedding-004", Kind.INPUT_CHARACTER, "8e-07", "derived_four_fifths_of_standard"),
        ("text-multilingual-embedding-002", Kind.INPUT_CHARACTER, "8e-07", "derived_four_fifths_of_standard"),
    ],
)
def test_a_stated_discount_is_applied_and_named(model, kind, usd, basis):
    found = rate(book_of(model, **STANDARD), model, kind)
    assert (found.usd_per_unit, found.basis) == (Decimal(usd), basis)


@pytest.mark.parametrize(
    "model",
    ["mistral-medium-3", "llama-9-maas", "grok-9", "gemini-embedding-9", "my-container", "text-unicorn"],
)
@pytest.mark.parametrize("kind", [Kind.INPUT, Kind.CACHED_INPUT, Kind.OUTPUT])
def test_without_a_stated_discount_there_is_no_rate_and_a_reason(model, kind):
    found = rate(book_of(model, **STANDARD), model, kind)
    assert isinstance(found, Unpriced)
    assert "a batch discount on its standard rate is not known" in found.reason


def test_a_listed_batch_price_needs_no_rule():
    book = book_of("mistral-medium-3", **STANDARD, input_cost_per_token_batches="3e-06")
    assert rate(book, "mistral-medium-3", Kind.INPUT).usd_per_unit == Decimal("3e-06")


def test_a_list_whose_own_batch_price_shows_another_discount_is_not_halved():
    """As the map has Claude Opus 5.5: a batch costs 62.5 % of the standard price, not 50 %."""
    book = book_of("claude-opus-9", **STANDARD, input_cost_per_token_batches="2.5e-06")
    assert rate(book, "claude-opus-9", Kind.INPUT).usd_per_unit == Decimal("2.5e-06")
    assert isinstance(rate(book, "claude-opus-9", Kind.OUTPUT), Unpriced)


def test_every_rule_has_a_source():
    for model in ("gemini-2.5-pro", "claude-haiku-4-5", "gemini-embedding-001", "text-embedding-005"):
        assert discount_of(f"publishers/x/models/{model}@1").source


@pytest.mark.parametrize(
    ("model", "kind", "modality", "usd"),
    [
        ("gemini-2.5-flash-lite", Kind.INPUT, Modality.AUDIO, "1.5e-07"),
        ("gemini-embedding-001", Kind.INPUT, Modality.TEXT, "1.2e-07"),
        ("text-embedding-004", Kind.INPUT_CHARACTER, Modality.TEXT, "2e-08"),
        ("text-embedding-005", Kind.INPUT_CHARACTER, Modality.TEXT, "2e-08"),
        ("text-multilingual-embedding-002", Kind.INPUT_CHARACTER, Modality.TEXT, "2e-08"),
    ],
)
def test_the_packaged_prices_are_the_published_ones(model, kind, modality, usd):
    assert rate(PriceBook([packaged_prices()]), model, kind, modality).usd_per_unit == Decimal(usd)


def test_four_thousand_texts_of_a_thousand_characters():
    [item] = price(
        {UsageKey("text-embedding-005", Kind.INPUT_CHARACTER): 4_000_000},
        PriceBook([packaged_prices()]),
        "us-central1",
    )
    assert (item.amount_usd, item.unit, item.standard_amount_usd) == (
        Decimal("0.08"),
        "character",
        Decimal("0.1"),
    )


def test_tokens_of_a_model_that_is_billed_by_character_have_no_price_but_a_specs():
    model = "text-embedding-005"
    found = rate(PriceBook([packaged_prices()]), model, Kind.INPUT)
    assert isinstance(found, Unpriced)
    assert "billed by character" in found.reason
    spec = SpecPrices({model: {"input": "0.05", "input_character": "0.01"}}, DAY)
    assert rate(PriceBook([spec, packaged_prices()]), model, Kind.INPUT).usd_per_unit == Decimal("5e-08")
    assert rate(PriceBook([spec]), model, Kind.INPUT_CHARACTER).usd_per_unit == Decimal("1e-08")


LISTED = {
    "input_cost_per_token_batches": "1e-07",
    "input_cost_per_token": "2e-07",
    "output_cost_per_token_batches": "1e-06",
    "input_cost_per_audio_token_batches": "3e-07",
    "input_cost_per_audio_token": "6e-07",
    "input_cost_per_audio_token_above_200k_tokens": "1.2e-06",
}


def test_long_context_is_judged_by_kind_and_modality():
    """A list may have a long-context price of audio, and none of text."""
    model, long = "gemini-9-flash", Tier.LONG_CONTEXT
    usage = {
        UsageKey(model, Kind.INPUT, Modality.TEXT, long): 300_000,
        UsageKey(model, Kind.INPUT, Modality.TEXT): 1,
        UsageKey(model, Kind.INPUT, Modality.AUDIO, long): 10,
        UsageKey(model, Kind.OUTPUT, Modality.TEXT, long): 7,
    }
    items = price(usage, book_of(model, **LISTED), "global")
    assert [(i.kind, i.modality, i.tier, i.tokens, i.unit_price_usd) for i in items] == [
        ("input", "text", "standard", 300_001, Decimal("1e-07")),
        ("input", "audio", "long_context", 10, Decimal("6e-07")),
        ("output", "text", "standard", 7, Decimal("1e-06")),
    ]
    assert all(item.saved_usd is None or item.saved_usd >= 0 for item in items)


def test_a_listed_batch_price_of_long_context_is_read():
    """As newer price maps of LiteLLM have it, beside the standard one."""
    keys = {
        "input_cost_per_token": "2e-06",
        "input_cost_per_token_batches": "1e-06",
        "input_cost_per_token_above_200k_tokens": "4e-06",
        "input_cost_per_token_above_200k_tokens_batches": "1.9e-06",
    }
    found = rate(book_of("gemini-9-pro", **keys), "gemini-9-pro", Kind.INPUT, tier=Tier.LONG_CONTEXT)
    assert isinstance(found, Rate)
    assert (found.usd_per_unit, found.basis) == (Decimal("1.9e-06"), "batch_rate")
    assert found.standard.usd_per_unit == Decimal("4e-06")


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        (Kind.SEARCH_QUERY, "search_query_cost_batches"),
        (Kind.MAPS_GROUNDING, "maps_grounding_cost_batches"),
        (Kind.ENTERPRISE_SEARCH, "enterprise_search_cost_batches"),
        (Kind.DATA_GROUNDING, "data_grounding_cost_batches"),
    ],
)
def test_grounding_has_a_price_where_a_file_or_a_spec_states_one(kind, key):
    model = "gemini-3-flash-preview"
    assert isinstance(rate(PriceBook([packaged_prices()]), model, kind), Unpriced)
    assert rate(book_of(model, **{key: "0.014"}), model, kind).usd_per_unit == Decimal("0.014")
    spec = PriceBook([SpecPrices({model: {kind: 14_000}}, DAY)])
    assert rate(spec, model, kind).usd_per_unit == Decimal("0.014")
