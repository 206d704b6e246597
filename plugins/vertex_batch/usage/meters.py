"""The sums of a scan: one meter for each model that rows name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vertex_batch.usage.counting import SLOTS, slot
from vertex_batch.usage.models import (
    canonical_model,
    is_billed_by_character,
    is_billed_by_grounded_prompt,
    is_tuned_model,
)
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.types import Kind, Tier, UsageKey

_MAX_MODELS = 1000
_QUERIES = slot(Kind.SEARCH_QUERY)
_CHARACTERS = slot(Kind.INPUT_CHARACTER)
_NO_RULE_FOR_SEARCHES = (
    "it is unknown whether searches of this model are billed per prompt or per query; queries were counted"
)
_NO_TEXT = (
    "the model is billed by character, and the row does not hold the text; its cost is not in the amount"
)


@dataclass(slots=True)
class Meter:
    """The sums of one model: a list of slots for each tier.

    :param threshold: a row with more prompt tokens is long context.
    :param by_prompt: whether a row that searched the web is billed once; None: not known.
    :param by_character: whether text is billed by its characters.
    """

    model: str
    threshold: int
    standard: list[int] = field(default_factory=lambda: [0] * len(SLOTS))
    long_context: list[int] = field(default_factory=lambda: [0] * len(SLOTS))
    by_prompt: bool | None = None
    by_character: bool = False

    def add(self, row: Reading) -> str:
        """Add one row to the sums of its tier; return what is odd about it for this model, if anything."""
        sums = self.long_context if self.is_long(row) else self.standard
        counts, note = self.billed(row)
        for place, units in counts:
            sums[place] += units
        return note

    def is_long(self, row: Reading) -> bool:
        return row.prompt_tokens > self.threshold

    def billed(self, row: Reading) -> tuple[list[tuple[int, int]], str]:
        """What of a row is billed for this model, as (slot, units), and what is odd about it, if anything."""
        if self.by_character and row.characters is not None:
            return [(_CHARACTERS, row.characters)], ""
        if row.queries:
            searches = (_QUERIES, 1 if self.by_prompt else row.queries)
            return [*row.counts, searches], _NO_RULE_FOR_SEARCHES if self.by_prompt is None else ""
        return row.counts, _NO_TEXT if self.by_character and row.counts else ""


class Meters:
    """The meters by what rows state as their model.

    :param job_model: the model of rows that name none, and of every row of a tuned model's job.
    """

    def __init__(self, job_model: str, threshold: int, thresholds: Mapping[str, int]) -> None:
        self._job_model = job_model
        self._tuned = is_tuned_model(job_model)
        self._threshold, self._thresholds = threshold, thresholds
        self._known: dict[str | None, Meter] = {}
        self.lowest_threshold = min(threshold, *thresholds.values()) if thresholds else threshold
        """A row with at most this many prompt tokens is not long context for any model."""

    def of(self, stated: Any) -> Meter:
        """The meter of a row. Beyond a thousand names, rows are counted with the job's model."""
        if type(stated) is str and (meter := self._known.get(stated)):
            return meter
        known = isinstance(stated, str) and stated.strip() and len(self._known) < _MAX_MODELS
        model = canonical_model(stated) if known and not self._tuned else ""
        model = model or canonical_model(self._job_model)
        key = stated if known else None
        if key not in self._known:
            base = key or model  # the rows of a tuned model name the one that it was made from
            self._known[key] = Meter(
                model,
                self._thresholds.get(model, self._threshold),
                by_prompt=is_billed_by_grounded_prompt(base),
                by_character=is_billed_by_character(model),
            )
        return self._known[key]

    def tokens(self) -> dict[UsageKey, int]:
        """The sums that are not zero."""
        tokens: dict[UsageKey, int] = {}
        for meter in self._known.values():
            for tier, sums in ((Tier.STANDARD, meter.standard), (Tier.LONG_CONTEXT, meter.long_context)):
                for (kind, modality, ttl), total in zip(SLOTS, sums, strict=True):
                    if total:
                        key = UsageKey(meter.model, kind, modality, tier, ttl)
                        tokens[key] = tokens.get(key, 0) + total
        return tokens
