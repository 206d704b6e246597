"""Which keys of a price list answer for a usage key, in which order. Pure.

`book` asks them, and applies what a location costs more.

* Batch rate: the ``*_batches`` key; else the standard rate of the same kind, modality and tier, less the
  stated batch discount of the model's family (`discounts`). Without a stated discount there is no rate.
* Cached input: the batch cache rate where there is one; else the standard cache rate, reduced only where the
  family's discount includes the cache.
* A modality without a rate of its own is billed as text. Thoughts are billed as output.
* A long-context row is billed at the long-context rates where the model has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from vertex_batch.pricing.discounts import Discount
from vertex_batch.pricing.rates import Basis
from vertex_batch.pricing.sources import USUAL_THRESHOLD
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier, Unit, UsageKey

_WHOLE = Decimal(1)
# No list has a batch rate for these kinds: they are billed as output and input, unless a spec has a price.
OWN_KEYS = {
    Kind.THOUGHTS: "output_cost_per_reasoning_token_batches",
    Kind.TOOL_USE_INPUT: "tool_use_input_cost_per_token_batches",
}
# What is billed by query or prompt. Lists have no batch prices of it; a spec or a price file may state one.
GROUNDING_KEYS = {kind: f"{kind}_cost_batches" for kind in Kind if kind.unit in (Unit.QUERY, Unit.PROMPT)}
_OWN_RATE = (Modality.AUDIO, Modality.IMAGE, Modality.VIDEO)


@dataclass(frozen=True, slots=True)
class Question:
    """One price key to look for, and what its number means.

    :param standard: the keys of the same price without batch, the first that a list has.
    :param is_long: it is a long-context price.
    """

    key: str
    factor: Decimal
    basis: Basis
    standard: tuple[str, ...]
    is_long: bool = False


def questions(
    usage: UsageKey, threshold: int | None, discount: Discount | None
) -> Iterator[tuple[Question, ...]]:
    """The price keys to look for: groups in order of preference, each to be asked of every source in turn.

    :param threshold: where the model's long-context rates begin; None: it has none.
    :param discount: the batch discount of the model; None: no rule is known.
    """
    if key := GROUNDING_KEYS.get(usage.kind):
        yield (Question(key, _WHOLE, Basis.BATCH_RATE, (key,)),)
        return
    long = f"_above_{threshold // 1000}k_tokens" if threshold and usage.tier is Tier.LONG_CONTEXT else ""
    text = _stem(usage.kind, Modality.TEXT, usage.cache_ttl)
    if own := OWN_KEYS.get(usage.kind):
        yield (Question(own, _WHOLE, Basis.BATCH_RATE, (f"{text}{long}", text)),)
    stems = [_stem(usage.kind, usage.modality, usage.cache_ttl)] if usage.modality in _OWN_RATE else []
    stems.append(text)
    for stem in stems:
        for tier in (long, "") if long else ("",):
            key = f"{stem}{tier}"
            batch = Question(f"{key}_batches", _WHOLE, Basis.BATCH_RATE, (key,), bool(tier))
            yield (batch, *_derived(usage, key, discount, is_long=bool(tier)))


def _derived(usage: UsageKey, key: str, discount: Discount | None, *, is_long: bool) -> tuple[Question, ...]:
    if discount is None:
        return ()
    if usage.kind is Kind.CACHED_INPUT and not discount.includes_cache:
        return (Question(key, _WHOLE, Basis.STANDARD_CACHE_RATE, (key,), is_long),)
    return (Question(key, discount.factor, discount.basis, (key,), is_long),)


def batch_key(kind: Kind, modality: Modality, tier: Tier, ttl: CacheTtl) -> str:
    """The price key of a batch rate; what a spec states by kind is kept under it."""
    if kind in GROUNDING_KEYS:
        return GROUNDING_KEYS[kind]
    if kind in OWN_KEYS:
        return OWN_KEYS[kind]
    long = f"_above_{USUAL_THRESHOLD // 1000}k_tokens" if tier is Tier.LONG_CONTEXT else ""
    return f"{_stem(kind, modality, ttl)}{long}_batches"


def _stem(kind: Kind, modality: Modality, ttl: CacheTtl) -> str:
    infix = "" if modality is Modality.TEXT else f"{modality}_"
    if kind is Kind.INPUT_CHARACTER:
        return "input_cost_per_character"
    if kind is Kind.CACHED_INPUT:
        return f"cache_read_input_{infix}token_cost"
    if kind is Kind.CACHE_WRITE:
        return "cache_creation_input_token_cost" + ("_above_1hr" if ttl is CacheTtl.ONE_HOUR else "")
    side = "output" if kind in (Kind.OUTPUT, Kind.THOUGHTS) else "input"
    return f"{side}_cost_per_{infix}token"
