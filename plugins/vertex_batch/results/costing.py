"""The cost of one row: the rates of its job's bill, applied to the usage of that row."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from typing import Self

from vertex_batch.costs import Bill
from vertex_batch.pricing import PriceBook, Unpriced
from vertex_batch.pricing.exact import EXACT
from vertex_batch.usage import Kind, Tier, UsageKey
from vertex_batch.usage.counting import SLOTS
from vertex_batch.usage.meters import Meter, Meters
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.scan import LONG_CONTEXT_THRESHOLD, price_day
from vertex_batch.usage.types import NO_USAGE

_INPUT_KINDS = frozenset({Kind.INPUT, Kind.CACHED_INPUT, Kind.CACHE_WRITE, Kind.TOOL_USE_INPUT})


@dataclass(frozen=True, slots=True)
class JobPrices:
    """What the rows of one job cost.

    :param model: the model of the job, for rows that name none.
    :param rate: the price of one unit in USD; None if it is not known.
    :param thresholds: where the long-context rates of models begin.
    :param price_days: the days on which prices changed while the job ran.
    """

    model: str = ""
    rate: Callable[[UsageKey], Decimal | None] = lambda _: None
    thresholds: Mapping[str, int] = field(default_factory=dict)
    price_days: tuple[date, ...] = ()

    @classmethod
    def of_bill(cls, bill: Bill, thresholds: Mapping[str, int]) -> Self:
        """The rates of a bill, so that its rows add up to it.

        :param thresholds: those that the bill was made with (`PriceBook.thresholds`).
        """
        rates = {
            UsageKey(
                each.model, each.kind, each.modality, each.tier, each.cache_ttl, each.priced_on
            ): each.unit_price_usd
            for each in bill.line_items
        }
        days = sorted({each.priced_on for each in bill.line_items if each.priced_on})

        def rate(usage: UsageKey) -> Decimal | None:
            # Kinds without long-context rates are billed at the standard ones.
            return rates[usage] if usage in rates else rates.get(replace(usage, tier=Tier.STANDARD))

        return cls(bill.job.model, rate, thresholds, tuple(days))

    @classmethod
    def of_book(cls, book: PriceBook, model: str, location: str, ran_on: date | None = None) -> Self:
        """The rates of a price book.

        :param ran_on: the UTC day whose rates apply; None: today.
        """
        of_day = book.on(ran_on)

        def rate(usage: UsageKey) -> Decimal | None:
            found = of_day.rate(replace(usage, tier=of_day.tier(usage)), location)
            return None if isinstance(found, Unpriced) else found.usd_per_unit

        return cls(model, rate, of_day.thresholds())


@dataclass(frozen=True, slots=True)
class RowCost:
    """The usage of a row and what it cost.

    :param model: None if the row was not answered.
    :param tokens: all input, the cached part of it, output, and thoughts.
    :param usd: the known cost, exact; None if nothing is known.
    :param complete: False if a part of the cost is not known.
    """

    model: str | None
    tokens: tuple[int | None, int | None, int | None, int | None]
    usd: Decimal | None
    complete: bool


_NO_TOKENS = (None, None, None, None)
NO_COST = RowCost(None, _NO_TOKENS, Decimal(0), complete=True)
"""Of a failed row, which is not billed."""
UNKNOWN_COST = RowCost(None, _NO_TOKENS, None, complete=False)


class RowMeter:
    """Prices the rows of one job. A row costs what it adds to the job's bill."""

    def __init__(self, prices: JobPrices) -> None:
        self._prices = prices
        self._meters = Meters(prices.model, LONG_CONTEXT_THRESHOLD, prices.thresholds)
        self._rates: dict[tuple[str, bool, int, date | None], Decimal | None] = {}

    def cost_of(self, row: Reading) -> RowCost:
        """Price one answered row."""
        meter = self._meters.of(row.model)
        counts, note = meter.billed(row)
        is_long = meter.is_long(row)
        priced_on = price_day(row.processed_time, self._prices.price_days)
        usd, complete = self._priced(meter, counts, is_long=is_long, priced_on=priced_on)
        complete = complete and not note and NO_USAGE not in row.notes
        known = usd if usd or complete else None
        return RowCost(meter.model, _tokens(row.counts), known, complete)

    def _priced(
        self, meter: Meter, counts: Sequence[tuple[int, int]], *, is_long: bool, priced_on: date | None
    ) -> tuple[Decimal, bool]:
        usd, complete = Decimal(0), True
        for place, units in counts:
            rate = self._rate(meter.model, place, priced_on, is_long=is_long) if units else None
            if rate is not None:
                usd = EXACT.add(usd, EXACT.multiply(rate, units))
            elif units:
                complete = False
        return usd, complete

    def _rate(self, model: str, place: int, priced_on: date | None, *, is_long: bool) -> Decimal | None:
        at = (model, is_long, place, priced_on)
        if at not in self._rates:
            kind, modality, ttl = SLOTS[place]
            tier = Tier.LONG_CONTEXT if is_long else Tier.STANDARD
            self._rates[at] = self._prices.rate(UsageKey(model, kind, modality, tier, ttl, priced_on))
        return self._rates[at]


def _tokens(counts: Sequence[tuple[int, int]]) -> tuple[int, int, int, int]:
    """The tokens of a row: all input, the cached part of it, output, and thoughts."""
    inputs = cached = outputs = thoughts = 0
    for place, units in counts:
        kind = SLOTS[place][0]
        if kind in _INPUT_KINDS:
            inputs += units
            cached += units if kind is Kind.CACHED_INPUT else 0
        elif kind is Kind.OUTPUT:
            outputs += units
        elif kind is Kind.THOUGHTS:
            thoughts += units
    return inputs, cached, outputs, thoughts
