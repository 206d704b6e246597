"""Price lists: names, dates and exact rates by model, in LiteLLM's keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import sha256

from vertex_batch.pricing.exact import exact
from vertex_batch.pricing.validity import Dated, Period, overlaps, read_days, today
from vertex_batch.usage import Kind, Unit, canonical_model

UPLIFT_KEY = "regional_endpoint_uplift_multiplier"
_PRICE_KEY = re.compile(
    r"^(?:input|output)_cost_per_(?:audio_|image_|video_|reasoning_)?token"
    r"|^cache_(?:read|creation)_input_(?:audio_|image_)?token_cost"
    r"|^input_cost_per_character(?:_batches)?$"
    rf"|^(?:{'|'.join(kind for kind in Kind if kind.unit in (Unit.QUERY, Unit.PROMPT))})_cost_batches$"
)
_OTHER_TARIFF = re.compile(r"_(?:flex|priority)$")
_TIER = re.compile(r"_above_(\d+)k_tokens")
USUAL_THRESHOLD = 200_000
DIGEST_CHARS = 32
LIFE_KEYS = ("deprecation_date", "successor_model")
"""What LiteLLM's map says of the end of a model."""
_DEVELOPER_API = "gemini/"  # AI Studio's prices, not Vertex AI's

Prices = Mapping[str, Decimal]


def is_price_key(key: str) -> bool:
    """Whether a key of a LiteLLM entry can price a batch row."""
    return bool(_PRICE_KEY.match(key) or key == UPLIFT_KEY) and not _OTHER_TARIFF.search(key)


def standard_key(key: str) -> str:
    """The key of the same price without batch."""
    return key.removesuffix("_batches")


def price_stem(key: str) -> str:
    """The key of the same kind and modality without batch and without a tier."""
    return _TIER.sub("", standard_key(key))


def is_vertex_entry(name: str, entry: Mapping[str, object]) -> bool:
    """Whether an entry is about Vertex AI. One that names no provider, as people write them, is."""
    provider = entry.get("litellm_provider")
    if provider is None:
        return not name.startswith(_DEVELOPER_API)
    return str(provider).startswith("vertex_ai")


class PriceSource:
    """Rates per model, each exactly as it was written, with the name and date that line items will carry.

    :param name: what line items will say: ``spec``, ``model_info``, ``proxy_price_map``...
    :param by_model: price keys by canonical model.
    :param dated: prices that hold for some days only; on those they come before the ones of `by_model`.
    :param problem: why the source is empty; it becomes a flag on the bill.
    :param states_days: the list is kept by day, so that a price without days is that of every day.
    """

    is_spec = False

    def __init__(
        self,
        name: str,
        as_of: date,
        by_model: Mapping[str, Prices] | None = None,
        problem: str = "",
        dated: Dated | None = None,
        *,
        states_days: bool = False,
    ) -> None:
        self.name, self.as_of, self.problem, self.states_days = name, as_of, problem, states_days
        self._undated, self.dated = dict(by_model or {}), dict(dated or {})
        self.life: dict[str, Mapping[str, object]] = {}
        self._by_model: dict[str, Prices] = {}
        self._periods: dict[tuple[str, str], Period] = {}
        self.resolve(today())

    def on(self, day: date) -> PriceSource:
        """The prices of a day. The source itself has those of the day on which it was read."""
        if not self.dated:
            return self
        of_day = copy(self)
        of_day.__dict__["digest"] = self.digest  # of the whole list, whatever the day
        of_day.resolve(day)
        return of_day

    def resolve(self, day: date) -> None:
        """Take the prices of a day."""
        holding = {
            model: [period for period in periods if period.holds_on(day)]
            for model, periods in self.dated.items()
        }
        self._periods = {
            (model, key): period
            for model, periods in holding.items()
            for period in periods
            for key in period.prices
        }
        self._by_model = {
            model: {
                **self._undated.get(model, {}),
                **{key: price for period in holding.get(model, ()) for key, price in period.prices.items()},
            }
            for model in {**self._undated, **holding}
        }

    def __len__(self) -> int:
        return len({*self._undated, *self.dated})

    def price(self, model: str, key: str) -> Decimal | None:
        """The number under a key, or None: unknown."""
        return self._by_model.get(model, {}).get(key)

    def knows(self, model: str) -> bool:
        """Whether there is any price for a model."""
        return bool(self._by_model.get(model))

    def period(self, model: str, key: str) -> Period | None:
        """The days for which a price holds; None: none are stated."""
        return self._periods.get((model, key))

    def is_dated(self, model: str, key: str) -> bool:
        """Whether the list says that a price is the one of the day."""
        return self.states_days or (model, key) in self._periods

    def change_days(self, model: str) -> set[date]:
        """The first days of prices of a model that differ from those of the day before."""
        days: set[date] = set()
        for period in self.dated.get(model, ()):
            days |= {period.valid_from} if period.valid_from else set()
            days |= {period.valid_until + timedelta(days=1)} if period.valid_until else set()
        return days

    @cached_property
    def digest(self) -> str:
        """Identifies the list: equal lists have equal digests, whenever they were read."""
        undated = (f"{model} {key} {price:f}" for model, key, price in self.undated())
        dated = (
            f"{model} {key} {price:f} {period}"
            for model, periods in self.dated.items()
            for period in periods
            for key, price in period.prices.items()
        )
        whole = "\n".join([self.name, *sorted([*undated, *dated])])
        return sha256(whole.encode()).hexdigest()[:DIGEST_CHARS]

    def rates(self) -> Iterator[tuple[str, str, Decimal]]:
        return _flat(self._by_model)

    def all_rates(self) -> Iterator[tuple[str, str, Decimal]]:
        """Each model, price key and number of any day."""
        yield from self.undated()
        for model, periods in self.dated.items():
            for period in periods:
                yield from _flat({model: period.prices})

    def undated(self) -> Iterator[tuple[str, str, Decimal]]:
        """Those that state no days."""
        return _flat(self._undated)

    def threshold(self, model: str) -> int | None:
        """Above how many prompt tokens the long-context rates of a model hold; None: it has none here."""
        limits = {
            int(found[1]) * 1000 for key in self._by_model.get(model, ()) if (found := _TIER.search(key))
        }
        return USUAL_THRESHOLD if USUAL_THRESHOLD in limits else min(limits, default=None)

    def thresholds(self) -> dict[str, int]:
        """The models with long-context rates, and above how many prompt tokens they hold."""
        return {model: limit for model in self._by_model if (limit := self.threshold(model))}


def _flat(by_model: Mapping[str, Prices]) -> Iterator[tuple[str, str, Decimal]]:
    for model, prices in by_model.items():
        for key, price in prices.items():
            yield model, key, price


class LiteLLMPrices(PriceSource):
    """A price map in LiteLLM's format: model name -> keys.

    One model can have several entries (``vertex_ai/M``, ``M``, ``M@version``); the first of that order that
    has a key says what it costs. Entries of other providers are left out. An entry with ``valid_from`` or
    ``valid_until``, which LiteLLM's own map does not have, holds for those days only; a model can have a list
    of entries.

    :raises ValueError: an entry states an invalid day, or a price twice for one day.
    """

    def __init__(
        self, entries: Mapping[str, object], name: str, as_of: date, *, states_days: bool = False
    ) -> None:
        undated: list[tuple[str, Prices]] = []
        dated: dict[str, list[Period]] = {}
        for model, entry in _entries(entries):
            try:
                period = Period(prices_of(entry), *read_days(entry))
            except ValueError as error:
                raise ValueError(f"{model}: {error}") from error
            if period.is_dated:
                dated.setdefault(canonical_model(model), []).append(period)
            else:
                undated.append((model, period.prices))
        wrong = [text for model, periods in dated.items() for text in overlaps(model, periods)]
        if wrong:
            raise ValueError("; ".join(wrong))
        super().__init__(name, as_of, by_canonical_model(undated), dated=dated, states_days=states_days)
        for model, entry in _entries(entries):
            if stated := {key: entry[key] for key in LIFE_KEYS if entry.get(key)}:
                self.life.setdefault(canonical_model(model), stated)


def _entries(entries: Mapping[str, object]) -> Iterator[tuple[str, Mapping[str, object]]]:
    for model, stated in entries.items():
        for entry in stated if isinstance(stated, list) else [stated]:
            if isinstance(entry, Mapping) and is_vertex_entry(str(model), entry):
                yield str(model), entry


def prices_of(entry: Mapping[str, object]) -> dict[str, Decimal]:
    """The price keys of one entry that hold a number."""
    numbers = {key: exact(value) for key, value in entry.items() if is_price_key(str(key))}
    return {key: n for key, n in numbers.items() if n is not None}


def by_canonical_model(entries: Iterable[tuple[str, Prices]]) -> dict[str, dict[str, Decimal]]:
    """Merge the entries of one model; for each key the most specific name wins."""
    merged: dict[str, dict[str, Decimal]] = {}
    for name, prices in sorted(entries, key=_specificity):
        for key, price in prices.items():
            merged.setdefault(canonical_model(name), {}).setdefault(key, price)
    return merged


def _specificity(entry: tuple[str, Prices]) -> tuple[bool, bool, str]:
    name = entry[0]
    return "@" in name and not name.endswith("@default"), not name.startswith("vertex_ai/"), name
