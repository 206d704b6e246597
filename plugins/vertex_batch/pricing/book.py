"""The price book: the rates in force, each with its source; and line items, which are tokens x one rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal, localcontext

from vertex_batch.pricing.exact import EXACT, add, times
from vertex_batch.pricing.rates import MAX_DECIMALS, Basis, Rate, StandardRate, Unpriced, decimals
from vertex_batch.pricing.rules import QUERY_KEY, Question, questions
from vertex_batch.pricing.sources import UPLIFT_KEY, PriceSource
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, UsageKey, canonical_model, is_tuned_model

GLOBAL = "global"
SEARCH_QUERIES = "search queries have free allowances per account and month, so their price is not known here"
_KINDS, _MODALITIES = tuple(Kind), tuple(Modality)


@dataclass(frozen=True, slots=True)
class LineItem:
    """Tokens of one kind at one rate. An unknown rate leaves the amount None, with the reason.

    :param tokens: tokens; for `Kind.SEARCH_QUERY` queries.
    :param standard_unit_price_usd: what one of them costs without batch; None: no price list says it.
    :param standard_source: the list that says it.
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

    @property
    def saved_usd(self) -> Decimal | None:
        """What it would have cost more without batch; None where either price is not known."""
        if self.amount_usd is None or self.standard_amount_usd is None:
            return None
        return add((self.standard_amount_usd, -self.amount_usd))

    @property
    def unit(self) -> str:
        """What is counted: ``token`` or ``query``."""
        return "query" if self.kind is Kind.SEARCH_QUERY else "token"


class PriceBook:
    """Sources in order. The first one that has a rate for what is asked wins, rate by rate.

    :param max_decimals: the finest rate that can be kept; None: nothing is kept, any rate will do.
    """

    def __init__(self, sources: Sequence[PriceSource], max_decimals: int | None = MAX_DECIMALS) -> None:
        self.sources = tuple(sources)
        self._max_decimals = max_decimals

    @property
    def flags(self) -> list[str]:
        """Which sources could not be read, for the bill."""
        return [source.problem for source in self.sources if source.problem]

    def thresholds(self) -> dict[str, int]:
        """Where the long-context rates of models begin, for `usage.ScanOptions`."""
        merged: dict[str, int] = {}
        for source in reversed(self.sources):
            merged.update(source.thresholds())
        return merged

    def has_long_context(self, model: str) -> bool:
        """Whether a model has long-context rates. Without them its long rows are standard rows."""
        return self._threshold(canonical_model(model)) is not None

    def rate(self, usage: UsageKey, location: str) -> Rate | Unpriced:
        """The rate of a usage key at a location; never a guess.

        :param location: where the job ran; regional endpoints of some models cost more than ``global``.
        """
        model = canonical_model(usage.model)
        if usage.kind is Kind.SEARCH_QUERY:
            return self._query_rate(model)
        for group in questions(usage, self._threshold(model)):
            for source in self.sources:
                for question in group:
                    price = source.price(model, question.key)
                    if price is not None:
                        return self._rate(model, price, question, source, location)
        return Unpriced(self._why_unpriced(usage, model))

    def _rate(
        self, model: str, price: Decimal, question: Question, source: PriceSource, location: str
    ) -> Rate | Unpriced:
        with localcontext(EXACT):
            usd = price * question.factor * self._uplift(model, source, location)
        if not self._can_be_kept(usd):
            return Unpriced(
                f"{question.key} of {source.name} gives {usd:f} USD a token, finer than the"
                f" {self._max_decimals} decimals that can be kept; state a rate with fewer"
            )
        standard = self._standard(model, question, source, location)
        basis = Basis.SPEC if source.is_spec else question.basis
        return Rate(usd, basis, source.name, source.as_of, standard)

    def _standard(
        self, model: str, question: Question, source: PriceSource, location: str
    ) -> StandardRate | None:
        """The price without batch, of the source that gave the batch price if it has one."""
        for each in (source, *self.sources):
            price = next((p for key in question.standard if (p := each.price(model, key)) is not None), None)
            if price is not None:
                with localcontext(EXACT):
                    usd = price * self._uplift(model, each, location)
                return StandardRate(usd, each.name) if self._can_be_kept(usd) else None
        return None

    def _can_be_kept(self, usd: Decimal) -> bool:
        return self._max_decimals is None or decimals(usd) <= self._max_decimals

    def _query_rate(self, model: str) -> Rate | Unpriced:
        for source in self.sources:
            price = source.price(model, QUERY_KEY) if source.is_spec else None
            if price is not None:
                standard = StandardRate(price, source.name)  # a query costs the same in a batch
                return Rate(price, Basis.SPEC, source.name, source.as_of, standard)
        return Unpriced(SEARCH_QUERIES)

    def _uplift(self, model: str, source: PriceSource, location: str) -> Decimal:
        """What regional endpoints cost more. A spec's price is what it says, wherever the job ran."""
        if location.lower() == GLOBAL or source.is_spec:
            return Decimal(1)
        stated = (s.price(model, UPLIFT_KEY) for s in self.sources)
        return next((multiplier for multiplier in stated if multiplier is not None), Decimal(1))

    def _threshold(self, model: str) -> int | None:
        return next((t for s in self.sources if (t := s.threshold(model)) is not None), None)

    def _why_unpriced(self, usage: UsageKey, model: str) -> str:
        if is_tuned_model(model):
            return "a tuned model has a price of its own: state it under `prices` in the spec"
        names = ", ".join(source.name for source in self.sources) or "no price source"
        if not any(source.knows(model) for source in self.sources):
            return f"no price for model {model or '(unnamed)'} in: {names}"
        what = f"{usage.modality} {usage.kind}" + (f" ({usage.cache_ttl})" if usage.cache_ttl else "")
        return f"no rate for {what} of model {model} in: {names}"


def price(tokens: Mapping[UsageKey, int], book: PriceBook, location: str) -> list[LineItem]:
    """Turn usage into line items, exactly: no rounding before somebody prints it.

    Long-context rows of a model that has no long-context rates are standard rows.
    """
    merged: dict[UsageKey, int] = {}
    for usage, n in tokens.items():
        long = usage.tier is Tier.LONG_CONTEXT and book.has_long_context(usage.model)
        key = replace(usage, tier=Tier.LONG_CONTEXT if long else Tier.STANDARD)
        merged[key] = merged.get(key, 0) + n
    return [_line_item(key, merged[key], book.rate(key, location)) for key in sorted(merged, key=line_order)]


def line_order(key: UsageKey | LineItem) -> tuple[str, int, int, str, str]:
    """The order of lines on a bill: by model, then kind and modality as their enums list them."""
    return key.model, _KINDS.index(key.kind), _MODALITIES.index(key.modality), key.tier, key.cache_ttl


def _line_item(key: UsageKey, tokens: int, rate: Rate | Unpriced) -> LineItem:
    item = LineItem(key.model, key.kind, key.modality, key.tier, tokens, None, None, cache_ttl=key.cache_ttl)
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
    )
