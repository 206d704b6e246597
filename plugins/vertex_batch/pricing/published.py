"""Prices as their vendors publish them, packaged, each with its source.

They are for models of which LiteLLM's price map has no price, or another one than the vendor.
`published.json` is written by hand: each entry names its models, its source, prices in LiteLLM's keys, and
the days on which they hold, where the vendor states them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from vertex_batch.pricing.exact import read_packaged
from vertex_batch.pricing.sources import LiteLLMPrices, PriceSource, standard_key
from vertex_batch.pricing.validity import VALID_FROM, VALID_UNTIL

PUBLISHED = "published"


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
    return LiteLLMPrices(entries, PUBLISHED, date.fromisoformat(document["as_of"]))
