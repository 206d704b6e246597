"""Rates, and the value that is used if there is none."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

# The finest amount that is kept, 1e-12 USD: half of a rate with four decimals per million tokens, with a
# regional uplift of 10 %, has this many. A finer rate is refused by name rather than rounded.
MAX_DECIMALS = 12


class Basis(StrEnum):
    """How a rate was found."""

    BATCH_RATE = "batch_rate"
    DERIVED_HALF_OF_STANDARD = "derived_half_of_standard"
    DERIVED_FOUR_FIFTHS_OF_STANDARD = "derived_four_fifths_of_standard"
    STANDARD_CACHE_RATE = "standard_cache_rate"
    SPEC = "spec"


@dataclass(frozen=True, slots=True)
class StandardRate:
    """What a unit costs where it is not part of a batch."""

    usd_per_unit: Decimal
    source: str


@dataclass(frozen=True, slots=True)
class Rate:
    """USD for one token (or another unit), and where that comes from.

    :param source: the list, and what a region costs more than it says.
    :param as_of: the day from which it holds, if one is stated, else the date of its source.
    :param standard: the same unit without batch; None if no list has it.
    :param valid_from: first day; None if none is stated.
    :param valid_until: last day; None if none is stated.
    :param list_digest: of the list that it is from; see `PriceSource.digest`.
    """

    usd_per_unit: Decimal
    basis: Basis
    source: str
    as_of: date
    standard: StandardRate | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    list_digest: str = ""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """There is no rate. The amount is unknown, which is not 0."""

    reason: str


def decimals(number: Decimal) -> int:
    """How many decimals a number needs."""
    return len(f"{number:f}".partition(".")[2].rstrip("0"))
