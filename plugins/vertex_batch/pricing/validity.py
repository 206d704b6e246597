"""Prices that hold for some days only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import combinations
from typing import Any

VALID_FROM, VALID_UNTIL = "valid_from", "valid_until"


@dataclass(frozen=True, slots=True)
class Period:
    """Prices of one model, and the first and the last UTC day on which they hold; None: without limit."""

    prices: Mapping[str, Decimal]
    valid_from: date | None = None
    valid_until: date | None = None

    def holds_on(self, day: date) -> bool:
        return (self.valid_from or date.min) <= day <= (self.valid_until or date.max)

    @property
    def is_dated(self) -> bool:
        return self.valid_from is not None or self.valid_until is not None

    def __str__(self) -> str:
        return f"{self.valid_from or '...'} to {self.valid_until or '...'}"


Dated = Mapping[str, Sequence[Period]]
"""Periods by canonical model."""


def read_days(entry: Mapping[str, object]) -> tuple[date | None, date | None]:
    """Read the days of an entry of a price list.

    :raises ValueError: one of them is not a day, or the last is before the first.
    """
    first, last = (_day(name, entry.get(name)) for name in (VALID_FROM, VALID_UNTIL))
    if first and last and last < first:
        raise ValueError(f"{VALID_UNTIL} {last} is before {VALID_FROM} {first}")
    return first, last


def overlaps(model: str, periods: Iterable[Period]) -> list[str]:
    """Sentences about periods of a model that state a price for the same day."""
    found = []
    for one, other in combinations(periods, 2):
        first = max(one.valid_from or date.min, other.valid_from or date.min)
        last = min(one.valid_until or date.max, other.valid_until or date.max)
        if first <= last and (keys := one.prices.keys() & other.prices.keys()):
            found.append(f"{model}: two prices for {min(keys)} hold at once, {one} and {other}")
    return found


def today() -> date:
    return datetime.now(tz=UTC).date()


def _day(name: str, value: Any) -> date | None:
    if value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be a day such as 2026-11-30, not {value!r}") from None
