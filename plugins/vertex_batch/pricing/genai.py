r"""The dated prices of ``genai-prices`` (Pydantic, MIT), packaged as data.

The library has standard and batch prices of Google's models, each with the day from which it holds. Importing
it takes two seconds, and a bill must not change with its updates, so that `genai_prices.json` is what prices
use. To refresh the file after an update of the library (extra ``prices``)::

    python -m vertex_batch.pricing.genai --as-of 2026-11-27

With ``--output include/pricing/genai_prices.json`` the same list becomes a price file of an installation. The
same version of the library gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.pricing.exact import EXACT, read_packaged
from vertex_batch.pricing.sources import LiteLLMPrices, PriceSource, standard_key
from vertex_batch.pricing.validity import VALID_FROM, VALID_UNTIL

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

GENAI = "genai_prices"
BATCH = {"processing": "batch"}
PROVIDER = "google"
_FILE = "genai_prices.json"
_MILLION_DECIMALS = 6
PRICE_KEYS = {
    "input_mtok": "input_cost_per_token",
    "input_audio_mtok": "input_cost_per_audio_token",
    "input_image_mtok": "input_cost_per_image_token",
    "input_video_mtok": "input_cost_per_video_token",
    "output_mtok": "output_cost_per_token",
    "output_audio_mtok": "output_cost_per_audio_token",
    "output_image_mtok": "output_cost_per_image_token",
    "output_video_mtok": "output_cost_per_video_token",
    "cache_read_mtok": "cache_read_input_token_cost",
    "cache_audio_read_mtok": "cache_read_input_audio_token_cost",
    "cache_image_read_mtok": "cache_read_input_image_token_cost",
    "cache_write_mtok": "cache_creation_input_token_cost",
    "cache_write_1h_mtok": "cache_creation_input_token_cost_above_1hr",
}
"""The library's price keys, and LiteLLM's for the same."""


def genai_prices(but: Collection[tuple[str, str]] = ()) -> PriceSource:
    """Read the packaged list. It is dated: what it states for a day is the price of that day.

    :param but: models with standard price keys that a deployment prices for itself: they are left out, as are
        their batch prices.
    """
    document = read_genai()
    entries = {
        model: [
            {key: usd for key, usd in entry.items() if (model, standard_key(key)) not in but}
            for entry in stated
        ]
        for model, stated in document["models"].items()
    }
    return LiteLLMPrices(entries, GENAI, date.fromisoformat(document["as_of"]), states_days=True)


def read_genai() -> dict[str, Any]:
    """The packaged list, with its models under `models`."""
    document = read_packaged(_FILE)
    models = {name: stated for name, stated in document.items() if isinstance(stated, list)}
    return {**{name: stated for name, stated in document.items() if name not in models}, "models": models}


@dataclass(frozen=True, slots=True)
class _Span:
    """The prices of a model from one day on."""

    first: date | None
    prices: dict[str, str]


def genai_list(as_of: date) -> dict[str, object]:
    """Convert the installed library's list to a price file with dated entries.

    Models with batch prices or with dated prices are in it: of the others it says no more than LiteLLM's map.
    """
    provider = google()
    models: dict[str, list[dict[str, str]]] = {}
    for model in provider.models:
        if not (model.price_variants or isinstance(model.prices, list)):
            continue
        if spans := _spans(model):
            models |= {name: list(_entries(spans)) for name in _names(provider, model)}
    return {
        "about": "USD per token of Google's models, standard and batch, by day, from genai-prices (MIT)",
        "source": "https://github.com/pydantic/genai-prices",
        "genai_prices_version": metadata.version("genai-prices"),
        "as_of": as_of.isoformat(),
        **dict(sorted(models.items())),
    }


def google() -> Provider:
    """The library's list of Google's models, on Vertex AI and on the Developer API alike."""
    from genai_prices.data import providers  # noqa: PLC0415 - two seconds

    return next(provider for provider in providers if provider.id == PROVIDER)


def prices_on(model: ModelInfo, day: date, *, batch: bool) -> ModelPrice:
    """What the library says of a model on a UTC day."""
    return model.get_prices(datetime.combine(day, time(12), UTC), BATCH if batch else None)


def _names(provider: Provider, model: ModelInfo) -> list[str]:
    """The names by which Vertex AI may know a model: its id, and those that the library states in full."""
    stated = [model.id, *_stated_names(model.match)]
    return [
        name
        for name in dict.fromkeys(stated)
        if not name.endswith("-latest") and provider.find_model(name) is model
    ]


def _stated_names(match: object) -> Iterator[str]:
    if equals := getattr(match, "equals", None):
        yield equals
    for clause in getattr(match, "or_", None) or ():
        yield from _stated_names(clause)


def _spans(model: ModelInfo) -> list[_Span]:
    """The prices of a model by their first days.

    Batch prices were checked from a day on. Where the standard price of the days before is the same, the
    batch price of that day is taken for them, too.
    """
    conditions = [*(model.prices if isinstance(model.prices, list) else ()), *(model.price_variants or ())]
    constraints = [each.constraint for each in conditions if each.constraint is not None]
    firsts = sorted({day for each in constraints if (day := getattr(each, "start_date", None))})
    days = [firsts[0] - timedelta(days=1), *firsts] if firsts else [date.min]
    spans: list[_Span] = []
    for number, day in reversed(list(enumerate(days))):
        standard = dict(_flat(prices_on(model, day, batch=False)))
        batches = _batch_prices(model, day)
        later = spans[0].prices if spans else {}
        if not batches and standard == {key: usd for key, usd in later.items() if not _is_batch(key)}:
            batches = {key: usd for key, usd in later.items() if _is_batch(key)}
        merged = {**standard, **batches}
        if spans and merged == spans[0].prices:
            spans.pop(0)
        spans.insert(0, _Span(day if number else None, merged))
    return [span for span in spans if span.prices]


def _entries(spans: list[_Span]) -> Iterator[dict[str, str]]:
    for number, span in enumerate(spans):
        following = spans[number + 1].first if number + 1 < len(spans) else None
        yield {
            **({VALID_FROM: span.first.isoformat()} if span.first else {}),
            **({VALID_UNTIL: (following - timedelta(days=1)).isoformat()} if following else {}),
            **dict(sorted(span.prices.items())),
        }


def _batch_prices(model: ModelInfo, day: date) -> dict[str, str]:
    """The prices that a batch variant states for a day; what it leaves out is not a batch price."""
    moment = datetime.combine(day, time(12), UTC)
    active = [
        variant.prices
        for variant in model.price_variants or ()
        if variant.when == BATCH and (variant.constraint is None or variant.constraint.active(moment))
    ]
    stated = {key for prices in active for key, value in vars(prices).items() if value is not None}
    resolved = prices_on(model, day, batch=True)
    return {f"{key}_batches": usd for key, usd in _flat(resolved, stated)}


def _flat(prices: ModelPrice, only: Collection[str] = PRICE_KEYS) -> Iterator[tuple[str, str]]:
    """A model's prices in LiteLLM's keys, USD per token."""
    for name, key in PRICE_KEYS.items():
        value = getattr(prices, name)
        if name not in only or value is None:
            continue
        yield from ((f"{key}{suffix}", _per_token(usd)) for suffix, usd in tiers(value))


def tiers(value: Decimal | TieredPrices) -> Iterator[tuple[str, Decimal]]:
    """A price per million by the suffix of LiteLLM's key: empty, and the long-context ones."""
    if isinstance(value, Decimal):
        yield "", value
        return
    yield "", value.base
    for tier in value.tiers:
        yield f"_above_{tier.start // 1000}k_tokens", tier.price


def _per_token(usd: Decimal) -> str:
    return f"{usd.scaleb(-_MILLION_DECIMALS, EXACT).normalize(EXACT):f}"


def _is_batch(key: str) -> bool:
    return key.endswith("_batches")


def main(arguments: list[str] | None = None) -> None:
    """Write the list beside this module, or as a price file."""
    parser = argparse.ArgumentParser(description="Refresh the packaged prices of genai-prices.")
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name(_FILE))
    options = parser.parse_args(arguments)
    options.output.write_text(json.dumps(genai_list(options.as_of), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
