"""Gemini's ``usageMetadata`` -> counts.

The prompt count includes cached tokens, but not tool-use tokens; the candidates count excludes thoughts.
Source: the Vertex AI v1 discovery document: total = prompt + candidates + tool use + thoughts.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, UnsetType

from vertex_batch.usage.counting import (
    MODALITIES,
    TEXT,
    BadCountError,
    by_modality,
    count,
    slot,
    without_cached,
)
from vertex_batch.usage.grounding import Grounding, read_grounding
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.rows import Count, Details, Response, UsageMetadata
from vertex_batch.usage.types import Kind

_INPUT = slot(Kind.INPUT)
_CACHED = slot(Kind.CACHED_INPUT)
_OUTPUT = slot(Kind.OUTPUT)
_THOUGHTS = slot(Kind.THOUGHTS)
_TOOL_USE = slot(Kind.TOOL_USE_INPUT)

_Split = tuple[int, list[int] | None]
_NOTHING: _Split = (0, None)


def reading_of(response: Response[UsageMetadata], **usage: Any) -> Reading:
    """Begin the reading of an answer with its model and id.

    :param usage: of `Reading`.
    """
    return Reading(
        model=response.model or response.model_snake,
        response_id=response.response_id or response.response_id_snake,
        **usage,
    )


def read(
    usage: UsageMetadata, response: Response[UsageMetadata], request: Raw | UnsetType = UNSET
) -> Reading | None:
    """Read one row's counters; None if there are none, so that another shape may be tried."""
    reading = reading_of(response)
    counts, notes = reading.counts, reading.notes
    prompt = _split(
        usage.prompt, usage.prompt_snake, usage.prompt_details or usage.prompt_details_snake, "prompt", notes
    )
    output = _split(
        usage.candidates,
        usage.candidates_snake,
        usage.candidates_details or usage.candidates_details_snake,
        "candidates",
        notes,
    )
    thoughts = count(usage.thoughts, usage.thoughts_snake) or 0
    tool_use = _split(
        usage.tool_use,
        usage.tool_use_snake,
        usage.tool_use_details or usage.tool_use_details_snake,
        "tool-use",
        notes,
    )
    cached = _split(
        usage.cached, usage.cached_snake, usage.cache_details or usage.cache_details_snake, "cached", notes
    )
    total = count(usage.total, usage.total_snake)
    stated = prompt[0] + output[0] + thoughts + tool_use[0]
    if not stated and total != 0:  # a total alone does not say what to bill
        return None
    if total is not None and total != stated:
        notes.append("the token counts do not add up to the total")
    if cached[0]:
        _add_cached(counts, prompt, cached, notes)
    else:
        _add(counts, _INPUT, prompt)
    _add(counts, _OUTPUT, output)
    if thoughts:
        counts.append((_THOUGHTS, thoughts))
    grounding = read_grounding(response.candidates, request) if response.candidates else None
    if grounding:
        _add_grounding(reading, grounding)
    if grounding and grounding.pays_for_its_input and tool_use[0]:
        notes.append("tool-use tokens of search-grounded rows are not billed")
    elif tool_use[0]:
        _add(counts, _TOOL_USE, tool_use)
    reading.prompt_tokens = prompt[0]
    return reading


def _split(value: Count, other: Count, details: Details, what: str, notes: list[str]) -> _Split:
    if value is None and other is None and details is None:
        return _NOTHING
    return by_modality(count(value, other), details, what, notes)


def _add(counts: list[tuple[int, int]], first_slot: int, split: _Split) -> None:
    total, parts = split
    if parts is None:
        if total:
            counts.append((first_slot, total))
        return
    for index, tokens in enumerate(parts):
        if tokens:
            counts.append((first_slot + index, tokens))


def _add_cached(counts: list[tuple[int, int]], prompt: _Split, cached: _Split, notes: list[str]) -> None:
    if cached[0] > prompt[0]:
        raise BadCountError(f"{cached[0]} cached tokens do not fit in a prompt of {prompt[0]}")
    uncached, inside = without_cached(_parts(prompt), _parts(cached), notes)
    _add(counts, _INPUT, (sum(uncached), uncached))
    _add(counts, _CACHED, (cached[0], inside))


def _parts(split: _Split) -> list[int]:
    total, parts = split
    if parts is not None:
        return parts
    parts = [0] * len(MODALITIES)
    parts[TEXT] = total
    return parts


def _add_grounding(reading: Reading, grounding: Grounding) -> None:
    reading.queries = grounding.queries
    reading.counts += [(slot(kind), 1) for kind in grounding.prompts]
    reading.notes += grounding.notes
