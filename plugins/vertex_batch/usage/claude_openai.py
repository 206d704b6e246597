"""``usage`` of Claude and of OpenAI-style answers -> counts."""

from __future__ import annotations

from vertex_batch.usage.counting import MODALITIES, BadCountError, count, slot
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.rows import MessageUsage
from vertex_batch.usage.types import CacheTtl, Kind, Modality

_INPUT = slot(Kind.INPUT)
_CACHED = slot(Kind.CACHED_INPUT)
_WRITE_5M = slot(Kind.CACHE_WRITE, CacheTtl.FIVE_MINUTES)
_WRITE_1H = slot(Kind.CACHE_WRITE, CacheTtl.ONE_HOUR)
_OUTPUT = slot(Kind.OUTPUT)
_THOUGHTS = slot(Kind.THOUGHTS)
_QUERIES = slot(Kind.SEARCH_QUERY)
_AUDIO = MODALITIES.index(Modality.AUDIO)  # so far are audio's slots from text's


def read(usage: MessageUsage) -> Reading | None:
    """Read one row's usage in either of the two formats; None if it has no counts."""
    if usage.input_tokens is not None or usage.output_tokens is not None:
        return _claude(usage)
    if usage.prompt_tokens is not None or usage.completion_tokens is not None:
        return _openai(usage)
    return None


def _claude(usage: MessageUsage) -> Reading:
    """Claude's input excludes what was read from and written to the cache, unlike Gemini's prompt."""
    notes: list[str] = []
    fresh = count(usage.input_tokens) or 0
    cached = count(usage.cache_read_input_tokens) or 0
    write_5m, write_1h = _cache_writes(usage, notes)
    output = count(usage.output_tokens) or 0
    searches = usage.server_tool_use and count(usage.server_tool_use.web_searches)
    counts = [
        (_INPUT, fresh),
        (_CACHED, cached),
        (_WRITE_5M, write_5m),
        (_WRITE_1H, write_1h),
        (_OUTPUT, output),
        (_QUERIES, searches or 0),
    ]
    return Reading(prompt_tokens=fresh + cached + write_5m + write_1h, counts=counts, notes=notes)


def _cache_writes(usage: MessageUsage, notes: list[str]) -> tuple[int, int]:
    total = count(usage.cache_creation_input_tokens)
    parts = usage.cache_creation
    write_5m = (parts and count(parts.five_minutes)) or 0
    write_1h = (parts and count(parts.one_hour)) or 0
    if total is None:
        return write_5m, write_1h
    if parts and write_5m + write_1h != total:
        notes.append(
            "the cache-write details do not add up to the count; the rest was taken as 5-minute writes"
        )
    if write_1h > total:
        raise BadCountError(f"{write_1h} one-hour cache writes do not fit in {total} cache writes")
    return total - write_1h, write_1h


def _openai(usage: MessageUsage) -> Reading:
    """OpenAI's counts include their details: the prompt includes cached, the completion reasoning tokens."""
    prompt = count(usage.prompt_tokens) or 0
    completion = count(usage.completion_tokens) or 0
    details = usage.prompt_tokens_details
    cached = (details and count(details.cached_tokens)) or 0
    inside = usage.completion_tokens_details
    reasoning = (inside and count(inside.reasoning_tokens)) or 0
    if cached > prompt or reasoning > completion:
        raise BadCountError("the details of the token counts are larger than the counts")
    # What of the cached part is audio is not said: audio is taken from the rest.
    heard = min((details and count(details.audio_tokens)) or 0, prompt - cached)
    spoken = min((inside and count(inside.audio_tokens)) or 0, completion - reasoning)
    counts = [
        (_INPUT, prompt - cached - heard),
        (_INPUT + _AUDIO, heard),
        (_CACHED, cached),
        (_OUTPUT, completion - reasoning - spoken),
        (_OUTPUT + _AUDIO, spoken),
        (_THOUGHTS, reasoning),
    ]
    total = count(usage.total_tokens)
    odd = total is not None and total != prompt + completion
    notes = ["the token counts do not add up to the total"] if odd else []
    return Reading(prompt_tokens=prompt, counts=counts, notes=notes)
