"""The price book: the rates in force, each with its source."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from itertools import product

from vertex_batch.pricing.discounts import Discount, discount_of
from vertex_batch.pricing.exact import EXACT
from vertex_batch.pricing.rates import MAX_DECIMALS, Basis, Rate, StandardRate, Unpriced, decimals
from vertex_batch.pricing.rules import GROUNDING_KEYS, OWN_KEYS, Question, questions
from vertex_batch.pricing.sources import UPLIFT_KEY, PriceSource, price_stem
from vertex_batch.pricing.validity import today
from vertex_batch.usage import (
    CacheTtl,
    Kind,
    Modality,
    Tier,
    Unit,
    UsageKey,
    canonical_model,
    is_billed_by_character,
    is_tuned_model,
)

GLOBAL = "global"
CONTRADICTION = "contradicting prices"
"""How the flag about a list without days begins that differs from a dated one."""
_INPUT = "input_cost_per_token"
_ALLOWANCES = "free allowances per account and day or month, so its price is not known here"
_GROUNDING_REASONS = {
    Kind.SEARCH_QUERY: f"Google Search has {_ALLOWANCES}",
    Kind.MAPS_GROUNDING: f"grounding with Google Maps has {_ALLOWANCES}",
    Kind.ENTERPRISE_SEARCH: "no price list here has the price of web search for enterprises",
    Kind.DATA_GROUNDING: "no price list here has the price of grounding with data of your own",
    Kind.OTHER_GROUNDING: "the answer names an unknown source",
}


class PriceBook:
    """Price sources in order of precedence. For each rate the first source that has it is used.

    :param max_decimals: the finest rate that can be stored; None: nothing is stored, so any rate is allowed.
    """

    def __init__(self, sources: Sequence[PriceSource], max_decimals: int | None = MAX_DECIMALS) -> None:
        self.sources = tuple(sources)
        self._max_decimals = max_decimals
        self._on: dict[date, PriceBook] = {}

    def on(self, day: date | None) -> PriceBook:
        """The rates of a day: of that on which a job ran, whenever it is priced. None: of today."""
        day = day or today()
        if day not in self._on:
            self._on[day] = PriceBook([source.on(day) for source in self.sources], self._max_decimals)
        return self._on[day]

    def life_of(self, model: str) -> list[Mapping[str, object]]:
        """What the lists say of the end of a model, for `retirement_of`."""
        name = canonical_model(model)
        return [source.life[name] for source in self.sources if name in source.life]

    def change_days(self, model: str, first: date, last: date) -> tuple[date, ...]:
        """The days after `first` and up to `last` on which prices of a model change."""
        name = canonical_model(model)
        days = {day for source in self.sources for day in source.change_days(name)}
        return tuple(sorted(day for day in days if first < day <= last))

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

    def tier(self, usage: UsageKey) -> Tier:
        """Which rates hold for usage: long-context ones only where its kind and modality have them.

        A list may have a long-context rate of audio and none of text: then long rows of text are standard.
        """
        found = self._find(usage)
        return Tier.LONG_CONTEXT if found and found.question.is_long else Tier.STANDARD

    def rate(self, usage: UsageKey, location: str) -> Rate | Unpriced:
        """The rate of a usage key at a location; never a guess.

        :param location: where the job ran; regional endpoints of some models cost more than ``global``.
        """
        found = self._find(usage)
        if found is None:
            return Unpriced(self._why_unpriced(usage))
        return self._rate(found, location)

    def listed(self, model: str, location: str) -> Iterator[tuple[UsageKey, Rate | Unpriced]]:
        """Each rate that a model has of its own: not what is only billed as text, output or input."""
        seen: set[str] = set()
        for key in _every_usage(model):
            found = self._find(key)
            if found is None or found.question.key in seen or not _is_own_rate(key, found):
                continue
            seen.add(found.question.key)
            yield key, self._rate(found, location)

    def _find(self, usage: UsageKey, sources: Sequence[PriceSource] | None = None) -> _Found | None:
        """The first answer of the sources, which are all of the book's by default."""
        model = canonical_model(usage.model)
        discount = discount_of(model)
        # Tokens of a model that is billed by character have a price only where a spec states one.
        by_character = usage.kind is Kind.INPUT and is_billed_by_character(model)
        asked = [
            each
            for each in (self.sources if sources is None else sources)
            if each.is_spec or not by_character
        ]
        for group in questions(usage, self._threshold(model), discount):
            for source in asked:
                for question in group:
                    price = source.price(model, question.key)
                    if price is not None and not _contradicted(source, model, question, discount):
                        return _Found(model, price, question, source)
                if _is_flat(source, model, group):
                    break  # later lists may still have the long-context rates of an earlier day
        return None

    def contradictions(self, usage: Iterable[UsageKey]) -> list[str]:
        """Sentences about lists without days that differ from a dated list; call it on a day's book.

        The prices of a spec are what was agreed, and never contradict.
        """
        return list(dict.fromkeys(text for key in usage for text in self._contradictions(key)))

    def _contradictions(self, usage: UsageKey) -> Iterator[str]:
        taken = self._find(usage)
        if taken is None or taken.source.is_spec:
            return
        others: dict[Decimal, list[str]] = {}
        for source in self.sources:
            other = None if source is taken.source or source.is_spec else self._find(usage, [source])
            if other and other.usd != taken.usd and other.is_dated != taken.is_dated:
                others.setdefault(other.usd, []).append(source.name)
        for usd, names in others.items():
            yield _contradiction(usage, taken, usd, ", ".join(names))

    def _rate(self, found: _Found, location: str) -> Rate | Unpriced:
        question, source = found.question, found.source
        uplift = self._uplift(found.model, question, source, location)
        with localcontext(EXACT):
            usd = found.price * question.factor * uplift
        if not self._can_be_kept(usd):
            return Unpriced(
                f"{question.key} of {source.name} gives {usd:f} USD a unit, finer than the"
                f" {self._max_decimals} decimals that can be kept; state a rate with fewer"
            )
        standard = self._standard(found, location)
        basis = Basis.SPEC if source.is_spec else question.basis
        period = source.period(found.model, question.key)
        first, last = (period.valid_from, period.valid_until) if period else (None, None)
        name = source.name if uplift == 1 else f"{source.name} (times {uplift} outside {GLOBAL})"
        return Rate(usd, basis, name, first or source.as_of, standard, first, last, source.digest)

    def _standard(self, found: _Found, location: str) -> StandardRate | None:
        """The price without batch, of the source that gave the batch price if it has one."""
        question = found.question
        for each in (found.source, *self.sources):
            price = next(
                (p for key in question.standard if (p := each.price(found.model, key)) is not None), None
            )
            if price is not None:
                with localcontext(EXACT):
                    usd = price * self._uplift(found.model, question, each, location)
                return StandardRate(usd, each.name) if self._can_be_kept(usd) else None
        return None

    def _can_be_kept(self, usd: Decimal) -> bool:
        return self._max_decimals is None or decimals(usd) <= self._max_decimals

    def _uplift(self, model: str, question: Question, source: PriceSource, location: str) -> Decimal:
        """What regional endpoints cost more. A spec's price is what it says, wherever the job ran."""
        if location.lower() == GLOBAL or source.is_spec or question.key in GROUNDING_KEYS.values():
            return Decimal(1)
        stated = (s.price(model, UPLIFT_KEY) for s in self.sources)
        return next((multiplier for multiplier in stated if multiplier is not None), Decimal(1))

    def _threshold(self, model: str) -> int | None:
        return next((t for s in self.sources if (t := s.threshold(model)) is not None), None)

    def _why_unpriced(self, usage: UsageKey) -> str:
        model = canonical_model(usage.model)
        if usage.kind in GROUNDING_KEYS:
            return _GROUNDING_REASONS[usage.kind]
        if is_tuned_model(model):
            return "a tuned model has its own price: set it under `prices` in the spec"
        if usage.kind is Kind.INPUT and is_billed_by_character(model):
            return f"{model} is billed by character, and the characters of these rows were not counted"
        names = ", ".join(source.name for source in self.sources) or "no price source"
        if not any(source.knows(model) for source in self.sources):
            advice = "check its name, or set `prices` in the spec"
            return f"no price for model {model or '(unnamed)'} in: {names}; {advice}"
        what = f"{usage.modality} {usage.kind}" + (f" ({usage.cache_ttl})" if usage.cache_ttl else "")
        if self._has_standard_rate(usage, model):
            return (
                f"no batch rate for {what} of model {model} in: {names}; a batch discount on its standard"
                " rate is not known"
            )
        return f"no rate for {what} of model {model} in: {names}"

    def _has_standard_rate(self, usage: UsageKey, model: str) -> bool:
        asked = [q for group in questions(usage, self._threshold(model), None) for q in group]
        keys = [key for question in asked for key in question.standard]
        return any(source.price(model, key) is not None for source in self.sources for key in keys)


def _every_usage(model: str) -> Iterator[UsageKey]:
    for kind in Kind:
        modalities = (
            Modality if kind.unit is Unit.TOKEN and kind is not Kind.CACHE_WRITE else (Modality.TEXT,)
        )
        ttls = (CacheTtl.FIVE_MINUTES, CacheTtl.ONE_HOUR) if kind is Kind.CACHE_WRITE else (CacheTtl.NONE,)
        for modality, tier, ttl in product(modalities, Tier, ttls):
            yield UsageKey(model, kind, modality, tier, ttl)


def _is_own_rate(usage: UsageKey, found: _Found) -> bool:
    """Whether a rate is stated for a kind and tier, and is not only that of output, input or short rows."""
    is_of_kind = found.question.key == OWN_KEYS.get(usage.kind, found.question.key)
    return is_of_kind and (usage.tier is Tier.STANDARD or found.question.is_long)


@dataclass(frozen=True, slots=True)
class _Found:
    """A price, the question that it answers, and the list that has it."""

    model: str
    price: Decimal
    question: Question
    source: PriceSource

    @property
    def usd(self) -> Decimal:
        """The price in a batch, without what a region costs more."""
        with localcontext(EXACT):
            return self.price * self.question.factor

    @property
    def is_dated(self) -> bool:
        return self.source.is_dated(self.model, self.question.key)


def _is_flat(source: PriceSource, model: str, group: Sequence[Question]) -> bool:
    """Whether a list that is kept by day prices the kind, and has no long-context rate of it."""
    question = group[-1]
    return (
        source.states_days and question.is_long and source.price(model, price_stem(question.key)) is not None
    )


def _contradiction(usage: UsageKey, taken: _Found, other_usd: Decimal, others: str) -> str:
    what = f"{usage.modality} {usage.kind}" if usage.kind.unit is Unit.TOKEN else str(usage.kind)
    prices = [(taken.source.name, taken.usd), (others, other_usd)]
    (dated, dated_usd), (undated, undated_usd) = prices if taken.is_dated else prices[::-1]
    return (
        f"{CONTRADICTION} of {what} of {taken.model}: without days {undated_usd:f} USD per {usage.kind.unit}"
        f" ({undated}), for the day of the job {dated_usd:f} ({dated}). The price of {taken.source.name} was"
        " used"
    )


def _contradicted(source: PriceSource, model: str, question: Question, discount: Discount | None) -> bool:
    """Whether a list's own prices show another batch discount than the one that would be applied."""
    if discount is None or question.basis is not discount.basis:
        return False
    standard, batch = source.price(model, _INPUT), source.price(model, f"{_INPUT}_batches")
    return standard is not None and batch is not None and batch != standard * discount.factor
