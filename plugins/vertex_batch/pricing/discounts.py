"""The batch discount by family of models. Nothing is assumed: each rule has its source."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from vertex_batch.pricing.rates import Basis
from vertex_batch.usage import canonical_model


@dataclass(frozen=True, slots=True)
class Discount:
    """The batch discount of a family.

    :param factor: what a batch costs of the standard price.
    :param includes_cache: whether it applies to cached input, too. If not, that costs its standard price.
    :param source: who states it.
    """

    factor: Decimal
    basis: Basis
    includes_cache: bool
    source: str


_HALF = Decimal("0.5"), Basis.DERIVED_HALF_OF_STANDARD
_FOUR_FIFTHS = Decimal("0.8"), Basis.DERIVED_FOUR_FIFTHS_OF_STANDARD
# The first that matches. A model without a rule has the batch prices that a list states, and no others.
_RULES: tuple[tuple[re.Pattern[str], Discount | None], ...] = (
    (
        re.compile(r"text-embedding-00[45]|text-multilingual-embedding-002"),
        Discount(
            *_FOUR_FIFTHS,
            includes_cache=False,
            source="Google's price list: 0.000025 USD per 1,000 characters online, 0.00002 in a batch",
        ),
    ),
    (
        re.compile(r"gemini-embedding-001"),
        Discount(
            *_FOUR_FIFTHS,
            includes_cache=False,
            source="Google's price list: 0.15 USD per million tokens online, 0.12 in a batch",
        ),
    ),
    (re.compile(r"gemini-embedding.*"), None),
    (
        re.compile(r"gemini-.*"),
        Discount(
            *_HALF,
            includes_cache=False,
            source="Google's page on batch inference: 50 %, which does not stack with the cache's discount",
        ),
    ),
    (
        re.compile(r"claude-.*"),
        Discount(
            *_HALF,
            includes_cache=True,
            source="Anthropic's page on batch processing: 50 %, which stacks with the cache's discount",
        ),
    ),
)


def discount_of(model: str) -> Discount | None:
    """The batch discount of a model; None: no rule is known, so only listed batch prices hold."""
    name = canonical_model(model)
    return next((discount for pattern, discount in _RULES if pattern.fullmatch(name)), None)
