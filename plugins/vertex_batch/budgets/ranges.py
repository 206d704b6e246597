"""Token counts that are not known to the token: at least, probably, at most."""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from vertex_batch.usage import Kind, Modality, Tier


class Range(NamedTuple):
    """A count with the interval that it is in nine times in ten.

    The sum of two ranges has the sums of their ends: what is not known of one row, such as how long the
    answers to this prompt are, is mostly the same for all rows of a job and does not even out.
    """

    low: float
    expected: float
    high: float

    def plus(self, other: Range) -> Range:
        return Range(self.low + other.low, self.expected + other.expected, self.high + other.high)

    def times(self, factor: float) -> Range:
        return Range(self.low * factor, self.expected * factor, self.high * factor)

    def whole(self) -> Range:
        """Rounded up to whole tokens, and in order."""
        low, expected, high = map(ceil, self)
        return Range(min(low, expected), expected, max(expected, high))


NOTHING = Range(0, 0, 0)


def exactly(count: float) -> Range:
    return Range(count, count, count)


class Part(NamedTuple):
    """What tokens are counted by before their model is known to have a price: like a usage key without its
    model.
    """

    kind: Kind
    modality: Modality = Modality.TEXT
    tier: Tier = Tier.STANDARD
