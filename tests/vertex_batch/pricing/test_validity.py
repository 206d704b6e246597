"""Prices with days: the rate is that of the day on which the job ran, whenever it is priced."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal

import pytest

from vertex_batch.errors import ConfigurationError
from vertex_batch.pricing import PriceBook, from_proxy, packaged_prices, price, price_file
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind, Modality, UsageKey

ARGON, FLASH = "gemini-4-argon", "gemini-3.8-flash"
LAST, FIRST = date(2026, 11, 30), date(2026, 12, 1)


def per_million(book, model, kind, day, modality=Modality.TEXT):
    [item] = price({UsageKey(model, kind, modality): 1_000_000}, book, "global", day)
    return str(item.amount_usd.normalize()), str(item.standard_amount_usd.normalize())


class Proxy:
    """Answers with LiteLLM's undated price of one model, and with deployments of it."""

    def __init__(self, batch: float = 1e-06, *deployments: float) -> None:
        self._entry = {"litellm_provider": "vertex_ai", "input_cost_per_token_batches": batch}
        self._deployments = deployments

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
        return {f"vertex_ai/{ARGON}": self._entry}


@pytest.mark.parametrize(
    ("model", "day", "rates"),
    [
        (ARGON, date(2026, 10, 20), ("1", "5", "0.05")),
        (ARGON, LAST, ("1", "5", "0.05")),
        (ARGON, FIRST, ("2", "1E+1", "0.1")),
        ("gemini-3.6-flash", date(2026, 12, 31), ("0.375", "1.875", "0.0375")),
        ("gemini-3.7-flash", date(2026, 12, 31), ("0.375", "1.875", "0.0375")),
        (FLASH, date(2026, 12, 31), ("0.375", "1.875", "0.0375")),
        ("gemini-3.6-flash", date(2027, 1, 1), ("0.75", "3.75", "0.075")),
        ("gemini-3.7-flash", date(2027, 1, 1), ("0.75", "3.75", "0.075")),
        (FLASH, date(2027, 1, 1), ("0.75", "3.75", "0.075")),
    ],
)
def test_the_packaged_rates_are_those_of_the_day(model, day, rates):
    book = PriceBook([packaged_prices()])
    kinds = (Kind.INPUT, Kind.OUTPUT, Kind.CACHED_INPUT)
    assert tuple(per_million(book, model, kind, day)[0] for kind in kinds) == rates
    for kind in kinds:
        batch, standard = map(Decimal, per_million(book, model, kind, day))
        assert standard == 2 * batch


def test_audio_of_argon_costs_what_text_does_on_both_days():
    book = PriceBook([packaged_prices()])
    for day in (LAST, FIRST):
        audio, text = (per_million(book, ARGON, Kind.INPUT, day, m) for m in (Modality.AUDIO, Modality.TEXT))
        assert audio == text


def test_the_regional_factor_is_on_a_dated_rate_too():
    [item] = price(
        {UsageKey(FLASH, Kind.INPUT): 1_000_000}, PriceBook([packaged_prices()]), "eu", date(2027, 1, 1)
    )
    assert item.amount_usd == Decimal("0.825")
    assert item.source.endswith(" (times 1.1 outside global)")


def test_a_dated_rate_of_the_day_comes_before_the_maps_undated_one():
    book = PriceBook(from_proxy(Proxy(1e-06)))
    found = [book.on(day).rate(UsageKey(ARGON, Kind.INPUT), "global") for day in (LAST, FIRST)]
    assert [(rate.usd_per_unit, rate.source) for rate in found] == [
        (Decimal("1e-06"), "genai_prices"),
        (Decimal("2e-06"), "genai_prices"),
    ]
    assert [(rate.valid_from, rate.valid_until, rate.as_of) for rate in found] == [
        (None, LAST, date(2026, 11, 27)),
        (FIRST, None, FIRST),
    ]
    audio = book.on(FIRST).rate(UsageKey(ARGON, Kind.INPUT, Modality.AUDIO), "global")
    assert (audio.usd_per_unit, audio.source) == (Decimal("2e-06"), "published")


def test_after_the_proxy_was_upgraded_a_past_day_still_costs_what_it_cost():
    book = PriceBook(from_proxy(Proxy(2e-06)))
    assert book.on(LAST).rate(UsageKey(ARGON, Kind.INPUT), "global").usd_per_unit == Decimal("1e-06")


def test_a_price_that_a_deployment_states_for_itself_comes_before_the_dated_one():
    key = UsageKey(ARGON, Kind.INPUT)
    own = PriceBook(from_proxy(Proxy(1e-06, 9e-07))).on(FIRST).rate(key, "global")
    filled_in = PriceBook(from_proxy(Proxy(1e-06, 1e-06))).on(FIRST).rate(key, "global")
    assert (own.usd_per_unit, own.source) == (Decimal("9e-07"), "model_info")
    assert (filled_in.usd_per_unit, filled_in.source) == (Decimal("2e-06"), "genai_prices")


DATED_YAML = """
as_of: 2026-11-01
gemini-x:
  - valid_until: 2026-11-30
    input_cost_per_token_batches: 1.0e-06
  - valid_from: 2026-12-01
    valid_until: '2026-12-31'
    input_cost_per_token_batches: 2.0e-06
  - output_cost_per_token_batches: 5.0e-06
gemini-y:
  valid_from: 2026-12-01
  input_cost_per_token_batches: 3.0e-06
"""
DATED_JSON = json.dumps(
    {
        "as_of": "2026-11-01",
        "gemini-x": [
            {"valid_until": "2026-11-30", "input_cost_per_token_batches": 1e-06},
            {
                "valid_from": "2026-12-01",
                "valid_until": "2026-12-31",
                "input_cost_per_token_batches": 2e-06,
            },
            {"output_cost_per_token_batches": 5e-06},
        ],
        "gemini-y": {"valid_from": "2026-12-01", "input_cost_per_token_batches": 3e-06},
    }
)


@pytest.mark.parametrize(("name", "text"), [("p.yaml", DATED_YAML), ("p.json", DATED_JSON)])
def test_price_files_have_dated_entries(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    file = price_file(path)
    later = LiteLLMPrices({"gemini-x": {"input_cost_per_token_batches": "9e-06"}}, "map", LAST)
    book = PriceBook([file, later])

    def rate(model, day, kind=Kind.INPUT):
        found = book.on(day).rate(UsageKey(model, kind), "global")
        return getattr(found, "usd_per_unit", None), getattr(found, "source", None)

    assert rate("gemini-x", LAST) == (Decimal("1e-06"), name)
    assert rate("gemini-x", FIRST) == (Decimal("2e-06"), name)
    assert rate("gemini-x", date(2027, 1, 1)) == (Decimal("9e-06"), "map")  # no period of the file holds
    assert [rate("gemini-x", day, Kind.OUTPUT)[0] for day in (LAST, FIRST)] == [Decimal("5e-06")] * 2
    assert (rate("gemini-y", LAST)[0], rate("gemini-y", FIRST)[0]) == (None, Decimal("3e-06"))


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ("{valid_from: soon, input_cost_per_token: 1.0e-07}", "gemini-x: valid_from must be a day such as"),
        (
            "{valid_from: 2026-12-02, valid_until: 2026-12-01, input_cost_per_token: 1.0e-07}",
            "valid_until 2026-12-01 is before valid_from 2026-12-02",
        ),
        (
            (
                "[{valid_until: 2026-12-01, input_cost_per_token: 1.0e-07},"
                " {valid_from: 2026-12-01, input_cost_per_token: 2.0e-07}]"
            ),
            "two prices for input_cost_per_token hold at once",
        ),
    ],
)
def test_days_that_are_wrong_are_refused_by_name(tmp_path, entries, said):
    path = tmp_path / "p.yaml"
    path.write_text(f"gemini-x: {entries}\n")
    with pytest.raises(ConfigurationError, match=said) as caught:
        price_file(path)
    assert str(path) in str(caught.value)


def test_without_a_day_the_rates_of_today_hold():
    file = LiteLLMPrices(
        {
            "gemini-x": [
                {"valid_until": "2000-12-31", "input_cost_per_token_batches": "1e-06"},
                {"valid_from": "2001-01-01", "input_cost_per_token_batches": "2e-06"},
            ]
        },
        "list",
        LAST,
    )
    [item] = price({UsageKey("gemini-x", Kind.INPUT): 1}, PriceBook([file]), "global")
    assert item.unit_price_usd == Decimal("2e-06")
    assert file.knows("gemini-x")
