"""Line items: units of one kind times one rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from vertex_batch.pricing.book import PriceBook
from vertex_batch.pricing.exact import add, times
from vertex_batch.pricing.rates import Basis, Rate, Unpriced
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, Unit, UsageKey

_KINDS, _MODALITIES = tuple(Kind), tuple(Modality)
LineOrder = tuple[str, int, int, str, str, date]


@dataclass(frozen=True, slots=True)
class LineItem:
    """Units of one kind at one rate. If the rate is unknown, the amount is None and there is a reason.

    :param tokens: the number of units; see `unit`.
    :param standard_unit_price_usd: the price of one unit without batch; None if no price list has it.
    :param standard_source: the list that has it.
    :param list_digest: of the list that the rate is from; see `PriceSource.digest`.
    :param priced_on: see `UsageKey.priced_on`.
    """

    model: str
    kind: Kind
    modality: Modality
    tier: Tier
    tokens: int
    unit_price_usd: Decimal | None
    amount_usd: Decimal | None
    basis: Basis | None = None
    source: str = ""
    price_date: date | None = None
    reason: str = ""
    cache_ttl: CacheTtl = CacheTtl.NONE
    standard_unit_price_usd: Decimal | None = None
    standard_amount_usd: Decimal | None = None
    standard_source: str = ""
    list_digest: str = ""
    priced_on: date | None = None

    @property
    def saved_usd(self) -> Decimal | None:
        """What it would have cost more without batch; None where either price is not known."""
        if self.amount_usd is None or self.standard_amount_usd is None:
            return None
        return add((self.standard_amount_usd, -self.amount_usd))

    @property
    def unit(self) -> Unit:
        """What is counted: tokens, characters, queries or prompts."""
        return Kind(self.kind).unit


def price(
    tokens: Mapping[UsageKey, int], book: PriceBook, location: str, day: date | None = None
) -> list[LineItem]:
    """Turn usage into exact line items, without rounding.

    Long-context rows of kinds without long-context rates are standard rows.

    :param day: the UTC day on which the job ran, whose rates hold; None: today. Usage with a day of its own
        has the rates of that.
    """
    merged: dict[UsageKey, int] = {}
    for usage, n in tokens.items():
        is_long = usage.tier is Tier.LONG_CONTEXT
        key = replace(usage, tier=book.on(usage.priced_on or day).tier(usage)) if is_long else usage
        merged[key] = merged.get(key, 0) + n
    return [
        _line_item(key, merged[key], book.on(key.priced_on or day).rate(key, location))
        for key in sorted(merged, key=line_order)
    ]


def line_order(key: UsageKey | LineItem) -> LineOrder:
    """The order of lines on a bill: by model, then kind and modality as their enums list them."""
    place = _KINDS.index(key.kind), _MODALITIES.index(key.modality)
    return key.model, *place, key.tier, key.cache_ttl, key.priced_on or date.min


def _line_item(key: UsageKey, tokens: int, rate: Rate | Unpriced) -> LineItem:
    item = LineItem(
        *(key.model, key.kind, key.modality, key.tier, tokens, None, None),
        cache_ttl=key.cache_ttl,
        priced_on=key.priced_on,
    )
    if isinstance(rate, Unpriced):
        return replace(item, reason=rate.reason)
    standard = rate.standard
    return replace(
        item,
        unit_price_usd=rate.usd_per_unit,
        amount_usd=times(tokens, rate.usd_per_unit),
        basis=rate.basis,
        source=rate.source,
        price_date=rate.as_of,
        standard_unit_price_usd=standard.usd_per_unit if standard else None,
        standard_amount_usd=times(tokens, standard.usd_per_unit) if standard else None,
        standard_source=standard.source if standard else "",
        list_digest=rate.list_digest,
    )
