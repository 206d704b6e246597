"""Prices as their vendors publish them, packaged, each with its source.

They are for models of which LiteLLM's price map has no price, or another one than the vendor.
`published.json` is written by hand: each entry names its models, its source, and prices in LiteLLM's keys.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from importlib import resources
from typing import Any

from vertex_batch.pricing.sources import PriceSource, by_canonical_model, prices_of

PUBLISHED = "published"
_FILE = "published.json"


def published_prices(but: Collection[tuple[str, str]] = ()) -> PriceSource:
    """Read the published prices.

    :param but: models with price keys that a deployment prices for itself: they are left out.
    """
    document = read_published()
    merged = by_canonical_model(
        (model, prices_of(entry["prices"])) for entry in document["entries"] for model in entry["models"]
    )
    kept = {
        model: {key: price for key, price in prices.items() if (model, key) not in but}
        for model, prices in merged.items()
    }
    return PriceSource(PUBLISHED, date.fromisoformat(document["as_of"]), kept)


def read_published() -> dict[str, Any]:
    """The file as it is."""
    text = resources.files("vertex_batch.pricing").joinpath(_FILE).read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
