"""Where prices come from: the proxy, files, the snapshot; and what happens when one of them is silent."""

from __future__ import annotations

import json
import os
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tools.price_snapshot import main
from vertex_batch.errors import ConfigurationError
from vertex_batch.pricing import (
    PriceBook,
    canonical_model,
    from_proxy,
    packaged_prices,
    price_file,
    price_folder,
)
from vertex_batch.pricing.exact import exact
from vertex_batch.pricing.rates import MAX_DECIMALS, decimals
from vertex_batch.usage import Kind, UsageKey

FLASH = "gemini-2.5-flash"
EXAMPLE = Path(__file__).parents[3] / "include" / "pricing" / "example.yaml"


class Proxy:
    """Answers like the proxy, or fails."""

    def __init__(self, models=(), prices=None) -> None:
        self._models, self._prices = models, prices or {}

    def model_info(self):
        return self._give(self._models)

    def price_map(self):
        return self._give(self._prices)

    @staticmethod
    def _give(answer):
        if isinstance(answer, Exception):
            raise answer
        return answer


def deployment(model=f"vertex_ai/{FLASH}", group=FLASH, **info):
    return {"model_name": group, "litellm_params": {"model": model}, "model_info": {"mode": "chat", **info}}


def input_rate(book, model=FLASH):
    rate = book.rate(UsageKey(model, Kind.INPUT), "us-central1")
    return rate.usd_per_unit, rate.source


def test_a_deployments_price_comes_before_the_maps(price_map):
    proxy = Proxy([deployment(input_cost_per_token_batches=1e-07, output_cost_per_token=None)], price_map)
    book = PriceBook(from_proxy(proxy))
    assert input_rate(book) == (Decimal("1e-7"), "model_info")
    assert book.rate(UsageKey(FLASH, Kind.OUTPUT), "global").source == "genai_prices"
    assert book.rate(UsageKey("gemini-3.5-flash", Kind.INPUT), "global").source == "proxy_price_map"
    assert book.flags == []


def test_a_deployment_is_found_by_model_and_by_group_name_and_the_model_wins():
    models = [
        deployment("vertex_ai/gemini-2.5-pro", FLASH, input_cost_per_token_batches=7e-07),
        deployment(f"vertex_ai/{FLASH}", "cheap", input_cost_per_token_batches=1e-07),
    ]
    book = PriceBook(from_proxy(Proxy(models)))
    assert input_rate(book) == (Decimal("1e-7"), "model_info")
    assert input_rate(book, "cheap") == (Decimal("1e-7"), "model_info")
    assert input_rate(book, "publishers/google/models/gemini-2.5-pro") == (Decimal("7e-7"), "model_info")


def test_a_zero_of_a_deployment_is_unknown_and_a_zero_of_the_map_is_free():
    free = {"gemini-exp": {"litellm_provider": "vertex_ai", "input_cost_per_token": 0}}
    models = [deployment("vertex_ai/gemini-exp", "gemini-exp", input_cost_per_token=0)]
    assert input_rate(PriceBook(from_proxy(Proxy(models, free))), "gemini-exp") == (0, "proxy_price_map")


def test_deployments_of_other_providers_are_not_vertex_ais():
    other = deployment(
        "gemini/gemini-2.5-flash", FLASH, input_cost_per_token_batches=9e-05, litellm_provider="gemini"
    )
    assert input_rate(PriceBook(from_proxy(Proxy([other])))) == (Decimal("1.5e-7"), "genai_prices")


def test_deployments_at_different_prices_are_flagged():
    models = [deployment(input_cost_per_token_batches=p) for p in (1e-07, 2e-07)]
    book = PriceBook(from_proxy(Proxy(models)))
    assert input_rate(book) == (Decimal("1e-7"), "model_info")
    assert "different prices" in book.flags[0]


@pytest.mark.parametrize("models", [OSError("refused"), [5], [{"litellm_params": 5}], None])
@pytest.mark.parametrize("prices", [OSError("refused"), [], "text"])
def test_a_silent_or_broken_proxy_costs_no_bill_but_a_flag(models, prices):
    book = PriceBook(from_proxy(Proxy(models, prices)))
    assert input_rate(book, "gemini-3.5-flash") == (
        Decimal("8.25e-7"),
        "packaged (times 1.1 outside global)",
    )
    assert any("model_info could not be read" in flag for flag in book.flags)


def test_the_packaged_snapshot_knows_the_models_of_today_exactly():
    book = PriceBook([packaged_prices()])
    assert input_rate(book) == (Decimal("0.00000015"), "packaged")
    embedding = book.rate(UsageKey("text-embedding-005", Kind.INPUT_CHARACTER), "us-central1")
    assert (embedding.usd_per_unit, embedding.basis) == (Decimal("2e-8"), "batch_rate")
    assert book.rate(UsageKey("gemini-embedding-001", Kind.INPUT), "x").usd_per_unit == Decimal("1.2e-7")
    assert packaged_prices().as_of >= date(2026, 11, 22)


def test_every_packaged_rate_can_be_kept_exactly_halved_and_uplifted():
    for key, prices in packaged_prices()._by_model.items():
        uplift = prices.get("regional_endpoint_uplift_multiplier", Decimal(1))
        for name, price in prices.items():
            if name != "regional_endpoint_uplift_multiplier":
                assert decimals(price * uplift / 2) <= MAX_DECIMALS, (key, name)


def test_the_snapshot_is_made_from_a_map_and_the_same_map_gives_the_same_bytes(tmp_path, price_map):
    source = tmp_path / "map.json"
    source.write_text(json.dumps(price_map))
    made = []
    for name in ("a.json", "b.json"):
        output = tmp_path / name
        main([str(source), "--litellm-version", "1.0", "--as-of", "2026-11-22", "--output", str(output)])
        made.append(output.read_bytes())
    assert made[0] == made[1]
    entries = json.loads(made[0])["entries"]
    assert entries["gemini-2.5-flash"]["input_cost_per_token_batches"] == "1.5E-7"
    assert not {"gemini/gemini-2.5-flash", "claude-haiku-5-5", "sample_spec"} & entries.keys()
    assert not [key for entry in entries.values() for key in entry if "flex" in key or "priority" in key]


def test_the_oldest_supported_map_prices_the_rows_of_today():
    """LiteLLM 1.96's form: bare names, hardly a batch key, so that half of the standard rate is taken."""
    from vertex_batch.pricing.sources import LiteLLMPrices

    old = {
        FLASH: {
            "litellm_provider": "vertex_ai-language-models",
            "input_cost_per_token": 3e-07,
            "mode": "chat",
        }
    }
    book = PriceBook([LiteLLMPrices(old, "old", date(2026, 1, 1))])
    assert input_rate(book) == (Decimal("1.5e-7"), "old")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"as_of": "2026-11-01", "gemini-x": {"input_cost_per_token": 2.10e-07}}'),
        ("p.yaml", "as_of: 2026-11-01\ngemini-x:\n  input_cost_per_token: 2.10e-07\n"),
        ("p.yml", "as_of: '2026-11-01'\ngemini-x: {input_cost_per_token: '2.1e-7'}\n"),
    ],
)
def test_a_price_file_is_read_exactly(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text)
    prices = price_file(path)
    assert prices.price("gemini-x", "input_cost_per_token") == Decimal("2.1e-7")
    assert (prices.name, prices.as_of) == (name, date(2026, 11, 1))


def test_a_price_file_without_a_date_is_of_the_day_it_was_written(tmp_path):
    path = tmp_path / "p.json"
    path.write_text('{"gemini-x": {"input_cost_per_token": 1e-07}}')
    os.utime(path, (1_700_000_000, 1_700_000_000))
    assert price_file(path).as_of == date(2023, 11, 14)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "neither JSON nor YAML"),
        ("- a", "must map models"),
        ("as_of: soon\nm: {input_cost_per_token: 1.0e-07}", "as_of must be a date"),
        ("m: {input: 1}", "it prices no model"),
    ],
)
def test_a_price_file_that_is_none_is_refused_by_name(tmp_path, text, said):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=said) as caught:
        price_file(path)
    assert str(path) in str(caught.value)


def test_a_price_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigurationError, match=r"prices\.json.*No such file"):
        price_file(tmp_path / "prices.json")


def test_a_folder_is_read_by_name_and_a_missing_one_is_empty(tmp_path):
    for name in ("b.json", "a.yaml", "README.md"):
        (tmp_path / name).write_text('{"m": {"input_cost_per_token": 1e-07}}')
    assert [source.name for source in price_folder(tmp_path)] == ["a.yaml", "b.json"]
    assert price_folder(tmp_path / "none") == []


def test_the_example_of_an_override_is_a_price_file():
    assert len(price_file(EXAMPLE)) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5e-07, "1.5E-7"),
        ("1.5e-07", "1.5E-7"),
        (0, "0"),
        (Decimal("6.250"), "6.250"),
        (3.0000000000000004e-07, None),
        (True, None),
        (None, None),
        ("x", None),
        (-1, None),
        (float("nan"), None),
        (float("inf"), None),
        ([], None),
    ],
)
def test_prices_are_the_decimals_that_were_written(value, expected):
    if value == 3.0000000000000004e-07:  # what arithmetic on floats leaves is kept, to be refused later
        assert exact(value) == Decimal("3.0000000000000004E-7")
    else:
        assert exact(value) == (None if expected is None else Decimal(expected))


@pytest.mark.parametrize("tuned", ["projects/1/locations/l/models/2", "projects/1/locations/l/endpoints/2"])
def test_a_tuned_model_keeps_its_name(tuned):
    assert canonical_model(f"{tuned}@1") == canonical_model(f"vertex_ai/{tuned}") == tuned
