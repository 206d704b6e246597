"""The cost of one row: the rates of its job's bill, applied to the usage of that row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from vertex_batch.pricing import PriceBook, Unpriced
from vertex_batch.pricing.exact import EXACT
from vertex_batch.usage import Kind, Tier, UsageKey
from vertex_batch.usage.counting import SLOTS
from vertex_batch.usage.meters import Meter, Meters
from vertex_batch.usage.reading import Reading
from vertex_batch.usage.scan import LONG_CONTEXT_THRESHOLD
from vertex_batch.usage.types import NO_USAGE

_INPUT_KINDS = frozenset({Kind.INPUT, Kind.CACHED_INPUT, Kind.CACHE_WRITE, Kind.TOOL_USE_INPUT})


@dataclass(frozen=True, slots=True)
class JobPrices:
    """What the rows of one job cost.

    :param model: the model of the job, for rows that name none.
    :param ran_on: the UTC day whose rates apply; None: today.
    """

    model: str = ""
    location: str = ""
    book: PriceBook = PriceBook(())
    ran_on: date | None = None


@dataclass(frozen=True, slots=True)
class RowCost:
    """The usage of a row and what it cost.

    :param usd: the known cost; exact.
    :param complete: False if a part of the cost is not known.
    """

    model: str
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    thoughts_tokens: int
    usd: Decimal
    complete: bool


class RowMeter:
    """Prices the rows of one job. A row costs what it adds to the job's bill."""

    def __init__(self, prices: JobPrices) -> None:
        self._location = prices.location
        self._book = prices.book.on(prices.ran_on)
        self._meters = Meters(prices.model, LONG_CONTEXT_THRESHOLD, self._book.thresholds())
        self._rates: dict[tuple[str, bool, int], Decimal | None] = {}

    def cost_of(self, row: Reading) -> RowCost:
        """Price one answered row."""
        meter = self._meters.of(row.model)
        counts, note = meter.billed(row)
        is_long = meter.is_long(row)
        usd, complete = self._priced(meter, counts, is_long=is_long)
        incomplete = bool(note) or NO_USAGE in row.notes
        return RowCost(meter.model, *_tokens(row.counts), usd, complete and not incomplete)

    def _priced(
        self, meter: Meter, counts: Sequence[tuple[int, int]], *, is_long: bool
    ) -> tuple[Decimal, bool]:
        usd, complete = Decimal(0), True
        for place, units in counts:
            rate = self._rate(meter.model, place, is_long=is_long) if units else None
            if rate is not None:
                usd = EXACT.add(usd, EXACT.multiply(rate, units))
            elif units:
                complete = False
        return usd, complete

    def _rate(self, model: str, place: int, *, is_long: bool) -> Decimal | None:
        at = (model, is_long, place)
        if at not in self._rates:
            kind, modality, ttl = SLOTS[place]
            tier = Tier.LONG_CONTEXT if is_long else Tier.STANDARD
            usage = UsageKey(model, kind, modality, tier, ttl)
            if is_long and self._book.tier(usage) is Tier.STANDARD:
                usage = UsageKey(model, kind, modality, Tier.STANDARD, ttl)
            rate = self._book.rate(usage, self._location)
            self._rates[at] = None if isinstance(rate, Unpriced) else rate.usd_per_unit
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
