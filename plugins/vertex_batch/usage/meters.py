"""The sums of a scan: one meter for each model that rows name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vertex_batch.usage.counting import SLOTS
from vertex_batch.usage.models import canonical_model, is_tuned_model
from vertex_batch.usage.types import Tier, UsageKey

_MAX_MODELS = 1000


@dataclass(slots=True)
class Meter:
    """The sums of one model: a list of slots for each tier.

    :param threshold: a row with more prompt tokens is long context.
    """

    model: str
    threshold: int
    standard: list[int] = field(default_factory=lambda: [0] * len(SLOTS))
    long_context: list[int] = field(default_factory=lambda: [0] * len(SLOTS))

    def add(self, prompt_tokens: int, counts: list[tuple[int, int]]) -> None:
        """Add the counts of one row to its tier."""
        sums = self.standard if prompt_tokens <= self.threshold else self.long_context
        for slot, tokens in counts:
            sums[slot] += tokens


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
        """A row with no more prompt tokens is no model's long context."""

    def of(self, stated: Any) -> Meter:
        """The meter of a row; names beyond a thousand are no models, their rows go to the job's."""
        if type(stated) is str and (meter := self._known.get(stated)):
            return meter
        known = isinstance(stated, str) and stated.strip() and len(self._known) < _MAX_MODELS
        model = canonical_model(stated) if known and not self._tuned else ""
        model = model or canonical_model(self._job_model)
        key = stated if known else None
        if key not in self._known:
            self._known[key] = Meter(model, self._thresholds.get(model, self._threshold))
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
