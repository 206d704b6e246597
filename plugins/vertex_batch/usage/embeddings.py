"""``predictions`` of text-embedding models -> tokens and characters.

Source: Google's price list charges text embeddings by 1,000 characters of input: "Characters are counted by
UTF-8 code points and white space is excluded from the count."
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, UnsetType

from vertex_batch.usage.counting import count, slot
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.rows import Row, decode_anything, decode_instance, decode_prediction
from vertex_batch.usage.types import NO_USAGE, Kind

_INPUT = slot(Kind.INPUT)
_TRUNCATED = "the model cut the text to its limit; all of its characters were counted"


def read(predictions: list[Raw], row: Row[Any]) -> Reading | None:
    """Read the usage of embedded text; None if these are not embeddings.

    :param row: what was predicted; it holds the text.
    """
    embeddings = [decode_prediction(each).embeddings for each in predictions if bytes(each)[:1] == b"{"]
    if predictions and not any(embeddings):
        return None
    statistics = [each.statistics for each in embeddings if each and each.statistics]
    stated = [count(each.token_count, each.token_count_camel) for each in statistics]
    known = [tokens for tokens in stated if tokens is not None]
    characters = _characters(row)
    notes = [] if predictions and len(known) == len(predictions) else [NO_USAGE]
    if any(each.truncated for each in statistics):
        notes.append(_TRUNCATED)
    total = sum(known)
    return Reading(prompt_tokens=total, counts=[(_INPUT, total)], characters=characters, notes=notes)


def characters_of(text: str) -> int:
    """How many characters of a text are billed: its code points, without white space."""
    return len("".join(text.split()))


def _characters(row: Row[Any]) -> int | None:
    content, title = _text_of(row.instance, row.content)
    if not isinstance(content, str):
        return None
    return characters_of(content) + (characters_of(title) if isinstance(title, str) else 0)


def _text_of(instance: Raw | UnsetType, content: Raw | UnsetType) -> tuple[object, object]:
    """The text that was embedded, and its title: of a file's row, or of a table's column."""
    if instance is not UNSET:
        inner = decode_anything(instance)
        if isinstance(inner, str) and inner.lstrip().startswith("{"):
            found = decode_instance(inner)
            return found.content, found.title
        if isinstance(inner, dict):
            return inner.get("content"), inner.get("title")
        return inner, None
    return (None if content is UNSET else decode_anything(content)), None
