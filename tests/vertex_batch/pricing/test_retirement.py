"""When models stop, by Google's pages first and LiteLLM's map second."""

from __future__ import annotations

import json
from datetime import date, timedelta
from importlib import resources

import pytest

from vertex_batch.pricing import PriceBook, Stage, retirement_of
from vertex_batch.pricing.sources import LiteLLMPrices

TODAY = date(2026, 11, 27)


@pytest.mark.parametrize(
    ("model", "day", "stage"),
    [
        ("gemini-2.5-flash-lite", date(2027, 1, 28), Stage.ENDING),
        ("gemini-2.5-flash-lite", date(2027, 1, 29), Stage.RETIRED),
        ("publishers/google/models/gemini-2.5-flash", date(2027, 3, 31), Stage.ENDING),
        ("vertex_ai/gemini-2.5-flash@default", date(2027, 4, 1), Stage.RETIRED),
        ("gemini-2.5-pro", date(2027, 4, 1), Stage.RETIRED),
        ("gemini-2.0-flash-001", TODAY, Stage.RETIRED),
        ("gemini-3.8-flash", TODAY, Stage.CURRENT),
        ("gemini-3.8-flash", date(2027, 9, 2) - timedelta(days=90), Stage.ENDING),
        ("gemini-3.8-flash", date(2027, 9, 3), Stage.DOUBTFUL),
        ("gemini-3.6-flash", TODAY, Stage.DOUBTFUL),  # LiteLLM's date, which is never final
    ],
)
def test_the_stage_of_a_model_on_a_day(model, day, stage):
    assert retirement_of(model).stage(day) is stage


@pytest.mark.parametrize(
    "model", ["gemini-x", "", "projects/p/locations/l/models/1", "gemini-4-hydrogen", "{{ var.value.model }}"]
)
def test_of_an_unknown_or_tuned_model_no_end_is_known(model):
    assert retirement_of(model) is None


def test_the_sentence_names_day_source_successor_and_who_is_locked_out():
    text = retirement_of("gemini-2.5-flash-lite").describe(TODAY)
    for part in ("its last day is 2027-01-28", "model-versions", "since 2026-10-20", "gemini-3.5-flash-lite"):
        assert part in text
    assert retirement_of("gemini-3.8-flash").describe(TODAY) == ""


def test_what_a_proxy_says_comes_before_the_packaged_map_and_after_googles_pages():
    entry = {"deprecation_date": "2027-05-05", "successor_model": "vertex_ai/gemini-9"}
    found = retirement_of("gemini-3.6-flash", [entry])
    assert (found.last_day, found.successors, found.is_final) == (date(2027, 5, 5), ("gemini-9",), False)
    assert retirement_of("gemini-2.5-pro", [entry]).last_day == date(2027, 3, 31)
    assert retirement_of("gemini-x", [{"deprecation_date": "soon"}]) is None


def test_a_price_map_of_the_proxy_says_when_a_model_stops():
    entry = {"litellm_provider": "vertex_ai", "input_cost_per_token": 1e-06}
    life = {"deprecation_date": "2026-12-24", "successor_model": "gemini-9"}
    book = PriceBook([LiteLLMPrices({"vertex_ai/gemini-8": {**entry, **life}}, "proxy_price_map", TODAY)])
    found = retirement_of("gemini-8", book.life_of("publishers/google/models/gemini-8"))
    assert found.stage(TODAY) is Stage.ENDING
    assert "its earliest last day is 2026-12-24 (LiteLLM's price map). Its successor is gemini-9" in (
        found.describe(TODAY)
    )


def test_every_entry_has_a_source_and_every_successor_outlives_its_predecessor():
    text = resources.files("vertex_batch.pricing").joinpath("retirements.json").read_text()
    for entry in json.loads(text)["entries"]:
        assert entry["source"].startswith("https://"), entry
        for successor in entry.get("successors", ()):
            end = retirement_of(successor)
            assert end is None or end.last_day > date.fromisoformat(entry["last_day"])
