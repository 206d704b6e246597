"""Prices in a job's spec: by kind, in USD per million, as in price lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal

from vertex_batch.pricing.exact import exact
from vertex_batch.pricing.rates import MAX_DECIMALS, decimals
from vertex_batch.pricing.rules import GROUNDING_KEYS, OWN_KEYS, batch_key
from vertex_batch.pricing.sources import PriceSource
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, canonical_model

_MILLION_DECIMALS = 6
_MODALITIES = (Modality.IMAGE, Modality.VIDEO, Modality.AUDIO)


def _names() -> Iterator[tuple[str, str]]:
    for kind in (Kind.INPUT, Kind.CACHED_INPUT, Kind.OUTPUT):
        for modality in (Modality.TEXT, *_MODALITIES):
            name = kind if modality is Modality.TEXT else f"{kind}_{modality}"
            yield name, batch_key(kind, modality, Tier.STANDARD, CacheTtl.NONE)
            yield f"{name}_long_context", batch_key(kind, modality, Tier.LONG_CONTEXT, CacheTtl.NONE)
    for name, ttl in (("cache_write", CacheTtl.FIVE_MINUTES), ("cache_write_1h", CacheTtl.ONE_HOUR)):
        yield name, batch_key(Kind.CACHE_WRITE, Modality.TEXT, Tier.STANDARD, ttl)
        yield f"{name}_long_context", batch_key(Kind.CACHE_WRITE, Modality.TEXT, Tier.LONG_CONTEXT, ttl)
    for kind in (*OWN_KEYS, *GROUNDING_KEYS, Kind.INPUT_CHARACTER):
        yield kind, batch_key(kind, Modality.TEXT, Tier.STANDARD, CacheTtl.NONE)


SPEC_PRICE_KEYS: Mapping[str, str] = dict(_names())
"""What a spec may price, by the name it has there -> the price key behind it."""


class SpecPrices(PriceSource):
    """The prices of a spec; they come before every other, and hold at every location.

    :param mapping: model -> kind (see `SPEC_PRICE_KEYS`) -> USD for a million tokens, characters, queries or
        prompts. A price that is missing is taken from the next source. An invalid one becomes a flag on the
        bill.
    """

    is_spec = True

    def __init__(self, mapping: Mapping[str, object] | None, as_of: date) -> None:
        by_model: dict[str, dict[str, Decimal]] = {}
        problems = []
        for model, rates in (mapping or {}).items():
            prices = by_model.setdefault(canonical_model(model), {})
            for kind, usd in rates.items() if isinstance(rates, Mapping) else (("", rates),):
                key, number = SPEC_PRICE_KEYS.get(kind), exact(usd)
                if key is None or number is None or decimals(number) > MAX_DECIMALS - _MILLION_DECIMALS:
                    problems.append(f"{model}: {kind}: {usd}")
                else:
                    prices[key] = number.scaleb(-_MILLION_DECIMALS)
        problem = (
            f"prices of the spec that cannot be used: {'; '.join(problems)}. A price is USD for"
            f" a million, with at most 6 decimals, under one of: {', '.join(SPEC_PRICE_KEYS)}"
        )
        super().__init__("spec", as_of, by_model, problem if problems else "")
