"""The dated list of genai-prices: what of it is packaged, where it stands, and what contradicts it."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from vertex_batch.pricing import CONTRADICTION, PriceBook, SpecPrices, from_proxy, price, price_file
from vertex_batch.pricing.genai import genai_list, genai_prices, main, read_genai
from vertex_batch.pricing.proxy import ModelInfoPrices
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, Modality, Tier, UsageKey

ARGON, FLASH = "gemini-4-argon", "gemini-3.8-flash"
LAST, FIRST = date(2026, 11, 30), date(2026, 12, 1)
INPUT = UsageKey(ARGON, Kind.INPUT)


def own_file(usd):
    return LiteLLMPrices({ARGON: {"input_cost_per_token_batches": usd}}, "own.yaml", LAST)


class Proxy:
    """A proxy whose map has LiteLLM's undated price of Argon, and deployments of it at another price."""

    def __init__(self, batch: str = "0.000001", *deployments: str) -> None:
        self._batch, self._deployments = batch, deployments

    def model_info(self):
        return [
            {
                "model_name": "argon",
                "litellm_params": {"model": f"vertex_ai/{ARGON}"},
                "model_info": {"input_cost_per_token_batches": usd},
            }
            for usd in self._deployments
        ]

    def price_map(self):
        entry = {"litellm_provider": "vertex_ai", "input_cost_per_token_batches": self._batch}
        return {f"vertex_ai/{ARGON}": entry}


def test_the_packaged_list_is_that_of_the_installed_library():
    packaged = read_genai()
    models = packaged.pop("models")
    assert {**packaged, **models} == genai_list(date.fromisoformat(packaged["as_of"]))


def test_the_command_writes_a_price_file_that_a_folder_of_price_files_may_hold(tmp_path):
    path = tmp_path / "genai_prices.json"
    main(["--as-of", "2026-11-27", "--output", str(path)])
    book = PriceBook([price_file(path)])
    found = [book.on(day).rate(INPUT, "global") for day in (LAST, FIRST)]
    assert [(rate.usd_per_unit, rate.source) for rate in found] == [
        (Decimal("0.000001"), "genai_prices.json"),
        (Decimal("0.000002"), "genai_prices.json"),
    ]


@pytest.mark.parametrize(
    ("sources", "usd", "source"),
    [
        ([], "0.000002", "genai_prices"),
        (
            [LiteLLMPrices({ARGON: {"input_cost_per_token_batches": "3e-6"}}, "own.yaml", LAST)],
            "0.000003",
            "own.yaml",
        ),
        ([SpecPrices({ARGON: {"input": "4"}}, LAST)], "0.000004", "spec"),
    ],
)
def test_a_spec_and_price_files_come_before_it_and_the_proxys_map_after_it(sources, usd, source):
    rate = PriceBook([*sources, *from_proxy(Proxy())]).on(FIRST).rate(INPUT, "global")
    assert (rate.usd_per_unit, rate.source) == (Decimal(usd), source)


def test_the_batch_price_of_days_before_it_was_checked_is_taken_where_the_standard_price_is_the_same():
    book = PriceBook([genai_prices()])
    cached = UsageKey(FLASH, Kind.CACHED_INPUT)
    for day in (date(2026, 9, 2), date(2026, 10, 14), date(2026, 12, 31)):
        assert book.on(day).rate(cached, "global").usd_per_unit == Decimal("0.0000000375")


def test_a_dated_flat_price_ends_the_long_context_rates_of_an_undated_map():
    """Claude Opus 4.6 has had one price for all lengths since 2026-03-13."""
    old_map = LiteLLMPrices(
        {
            "claude-opus-4-6": {
                "input_cost_per_token": "5e-6",
                "input_cost_per_token_above_200k_tokens": "1e-5",
            }
        },
        "map",
        LAST,
    )
    book = PriceBook([genai_prices(), old_map])
    long = {UsageKey("claude-opus-4-6", Kind.INPUT, tier=Tier.LONG_CONTEXT): 1_000_000}
    before, after = (price(long, book, "global", day)[0] for day in (date(2026, 3, 12), date(2026, 3, 13)))
    assert (before.amount_usd, before.tier) == (Decimal(5), Tier.LONG_CONTEXT)
    assert (after.amount_usd, after.tier) == (Decimal("2.5"), Tier.STANDARD)


def test_an_undated_list_that_contradicts_is_named_with_both_prices_and_the_one_that_was_used():
    book = PriceBook(from_proxy(Proxy()))
    assert book.on(LAST).contradictions([INPUT]) == []
    [text] = book.on(FIRST).contradictions([INPUT])
    assert text == (
        f"{CONTRADICTION} of text input of gemini-4-argon: without days 0.000001 USD per token"
        " (proxy_price_map), for the day of the job 0.000002 (genai_prices). The price of genai_prices was"
        " used"
    )


def test_an_undated_price_that_comes_first_is_named_too():
    book = PriceBook([own_file("0.000001"), *from_proxy(None)])
    assert book.on(LAST).contradictions([INPUT]) == []
    [text] = book.on(FIRST).contradictions([INPUT])
    assert "without days 0.000001 USD per token (own.yaml)" in text
    assert "0.000002 (genai_prices, packaged). The price of own.yaml was used" in text


def test_what_a_spec_states_contradicts_nothing():
    book = PriceBook([SpecPrices({ARGON: {"input": "9"}}, LAST), *from_proxy(None)])
    assert book.on(FIRST).contradictions([INPUT]) == []


def test_equal_lists_have_equal_digests_whenever_they_were_read_and_others_another_one():
    entries = {ARGON: {"input_cost_per_token_batches": "1e-6"}}
    one = LiteLLMPrices(entries, "map", LAST)
    assert one.digest == LiteLLMPrices(entries, "map", FIRST).digest
    other = LiteLLMPrices({ARGON: {"input_cost_per_token_batches": "2e-6"}}, "map", LAST)
    assert one.digest != other.digest
    assert genai_prices().on(FIRST).digest == genai_prices().on(LAST).digest
    [item] = price({INPUT: 1}, PriceBook([genai_prices()]), "global", FIRST)
    assert item.list_digest == genai_prices().digest


LITELLM_1_110 = {
    "gemini-2.5-flash": {
        "litellm_provider": "vertex_ai-language-models",
        "input_cost_per_token": 3e-07,
        "input_cost_per_token_batches": 1.5e-07,
        "input_cost_per_audio_token": 1e-06,
        "input_cost_per_audio_token_batches": 5e-07,
        "input_cost_per_audio_token_above_200k_tokens": 2e-06,
        "output_cost_per_token": 2.5e-06,
        "output_cost_per_token_batches": 1.25e-06,
    },
    "gemini-3.1-pro-preview": {
        "litellm_provider": "vertex_ai-language-models",
        "input_cost_per_token": 2e-06,
        "input_cost_per_token_batches": 1e-06,
        "input_cost_per_token_above_200k_tokens": 4e-06,
        "input_cost_per_token_above_200k_tokens_batches": 2.5e-06,
    },
}


def test_a_map_of_litellm_1_110_has_long_context_rates_only_where_it_states_them():
    """Hand-computed: 250,000 tokens of each, at the rates of the map above."""
    book = PriceBook([LiteLLMPrices(json.loads(json.dumps(LITELLM_1_110)), "map", LAST)])

    def long(model, kind, modality=Modality.TEXT):
        [item] = price({UsageKey(model, kind, modality, Tier.LONG_CONTEXT): 250_000}, book, "global", LAST)
        return item.tier, item.amount_usd, item.saved_usd

    flash = "gemini-2.5-flash"
    assert long(flash, Kind.INPUT) == (Tier.STANDARD, Decimal("0.0375"), Decimal("0.0375"))
    assert long(flash, Kind.OUTPUT) == (Tier.STANDARD, Decimal("0.3125"), Decimal("0.3125"))
    assert long(flash, Kind.INPUT, Modality.AUDIO) == (Tier.LONG_CONTEXT, Decimal("0.25"), Decimal("0.25"))
    assert long("gemini-3.1-pro-preview", Kind.INPUT) == (
        Tier.LONG_CONTEXT,
        Decimal("0.625"),
        Decimal("0.375"),
    )


def test_a_deployment_of_the_proxy_that_prices_for_itself_comes_before_it():
    own = PriceBook(from_proxy(Proxy("0.000001", "0.0000009"))).on(FIRST).rate(INPUT, "global")
    assert (own.usd_per_unit, own.source) == (Decimal("0.0000009"), "model_info")
    assert isinstance(from_proxy(Proxy("0.000001", "0.0000009"))[2], ModelInfoPrices)
