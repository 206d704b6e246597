"""The usage of an answered row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Reading:
    """The usage of one row. What depends on the model, which the row need not name, is left to the meter.

    :param model: the model that the row names; None: it names none.
    :param prompt_tokens: the size of the prompt, cached tokens included; it decides the tier.
    :param counts: (slot, count), see `counting.SLOTS`.
    :param queries: distinct Google Search queries of a Gemini row.
    :param characters: of the text that was embedded; None: no text, or not a text embedding.
    :param notes: what was odd.
    :param processed_time: when the row was answered, as it says; None: it does not.
    """

    model: Any = None
    response_id: Any = None
    prompt_tokens: int = 0
    counts: list[tuple[int, int]] = field(default_factory=list)
    queries: int = 0
    characters: int | None = None
    notes: list[str] = field(default_factory=list)
    processed_time: Any = None
