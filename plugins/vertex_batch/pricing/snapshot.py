"""The price lists in the package, for when no other source has a price.

`snapshot.json` is taken from the price map that ships with LiteLLM (``python -m tools.price_snapshot``).
`published.json` is written by hand, for models of which LiteLLM's map has no price, or another one than the
vendor: each entry names its models, its source, prices in LiteLLM's keys, and the days on which they hold,
where the vendor states them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from decimal import Decimal
from typing import Any

from vertex_batch.pricing.exact import read_packaged
from vertex_batch.pricing.genai import genai_prices
from vertex_batch.pricing.sources import LiteLLMPrices, PriceSource, price_stem, standard_key
from vertex_batch.pricing.validity import VALID_FROM, VALID_UNTIL

PACKAGED = "packaged"
_FILE = "snapshot.json"


def packaged_prices() -> PriceSource:
    """All packaged prices as one source: the published ones, those of genai-prices, then the snapshot.

    Its date, that of the snapshot, is on every line item that it prices and that states no day.
    """
    alone, genai, published = snapshot_prices(), genai_prices(), published_prices()
    dated_lists = (genai, published)
    stated = {(model, price_stem(key)) for source in dated_lists for model, key, _ in source.all_rates()}
    merged: dict[str, dict[str, Decimal]] = {}
    for source in (alone, genai, published):
        for model, key, price in source.undated():
            if source is not alone or (model, price_stem(key)) not in stated:
                merged.setdefault(model, {})[key] = price
    dated = {
        model: [*genai.dated.get(model, ()), *published.dated.get(model, ())]
        for model in {**genai.dated, **published.dated}
    }
    return PriceSource(PACKAGED, alone.as_of, merged, dated=dated)


def snapshot_prices() -> LiteLLMPrices:
    """LiteLLM's price map as it was packaged."""
    document = read_packaged(_FILE)
    return LiteLLMPrices(document["entries"], PACKAGED, date.fromisoformat(document["as_of"]))


def snapshot_entries() -> dict[str, dict[str, str]]:
    """The entries of the snapshot by the names that LiteLLM gives them."""
    entries: dict[str, dict[str, str]] = read_packaged(_FILE)["entries"]
    return entries


def published_prices(but: Collection[tuple[str, str]] = ()) -> PriceSource:
    """Read the published prices.

    :param but: models with standard price keys that a deployment prices for itself: they are left out, as are
        their batch prices.
    """
    document = read_packaged("published.json")
    entries: dict[str, list[dict[str, Any]]] = {}
    for entry in document["entries"]:
        days = {name: entry[name] for name in (VALID_FROM, VALID_UNTIL) if name in entry}
        for model in entry["models"]:
            kept = {key: usd for key, usd in entry["prices"].items() if (model, standard_key(key)) not in but}
            entries.setdefault(model, []).append({**days, **kept})
    return LiteLLMPrices(entries, "published", date.fromisoformat(document["as_of"]))
