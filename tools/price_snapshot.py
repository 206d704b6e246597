r"""Refreshes the packaged price snapshot: facts and a date, from the price map of LiteLLM::

    python -m tools.price_snapshot \
        path/to/site-packages/litellm/model_prices_and_context_window_backup.json \
        --litellm-version 1.106.2 --as-of 2026-11-22

or from a proxy's public map: ``curl $PROXY/public/litellm_model_cost_map > map.json``. The same map gives the
same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from vertex_batch import pricing
from vertex_batch.pricing.exact import exact
from vertex_batch.pricing.sources import LIFE_KEYS, UPLIFT_KEY, is_price_key, is_vertex_entry

_OUTPUT = Path(pricing.__file__).with_name("snapshot.json")


def snapshot(price_map: Mapping[str, Any], litellm_version: str, as_of: date) -> dict[str, Any]:
    """Reduce a LiteLLM price map to the Vertex AI entries and to the keys that can price a batch row.

    Prices are kept as strings: exact decimals.
    """
    entries: dict[str, dict[str, str]] = {}
    for name in sorted(price_map):
        entry = price_map[name]
        if (
            not isinstance(entry, Mapping)
            or "litellm_provider" not in entry
            or not is_vertex_entry(name, entry)
        ):
            continue
        prices = {
            k: _text(entry[k]) for k in sorted(entry) if is_price_key(k) and exact(entry[k]) is not None
        }
        if prices.keys() - {UPLIFT_KEY}:
            life = {key: str(entry[key]) for key in LIFE_KEYS if entry.get(key)}
            entries[name] = {"litellm_provider": str(entry["litellm_provider"]), **life, **prices}
    return {
        "about": "USD per token of Vertex AI models, from the price map of LiteLLM",
        "litellm_version": litellm_version,
        "as_of": as_of.isoformat(),
        "entries": entries,
    }


def _text(value: object) -> str:
    number = exact(value)
    assert number is not None
    return str(number)


def main(arguments: list[str] | None = None) -> None:
    """Write the snapshot into the package."""
    parser = argparse.ArgumentParser(
        description="Refresh the packaged price snapshot from a LiteLLM price map."
    )
    parser.add_argument("price_map", type=Path)
    parser.add_argument("--litellm-version", required=True)
    parser.add_argument("--as-of", type=date.fromisoformat, required=True)
    parser.add_argument("--output", type=Path, default=_OUTPUT)
    options = parser.parse_args(arguments)
    price_map = json.loads(options.price_map.read_text(encoding="utf-8"), parse_float=Decimal)
    document = snapshot(price_map, options.litellm_version, options.as_of)
    options.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
