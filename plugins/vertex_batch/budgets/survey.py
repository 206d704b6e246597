"""What a job's input holds, before anybody has paid for reading it: rows, text, pictures, stated limits.

A small input is read whole. Of a large one the beginnings of its objects are read and scaled up by their
size, and the result says so. Nothing of a row is kept but counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from math import ceil
from typing import Any, Protocol

READ_WHOLE_BYTES = 16 << 20
SAMPLED_OBJECTS = 16
SAMPLE_BYTES = 1 << 20
BYTES_PER_TOKEN = 4
"""Of UTF-8 text; Google's own rule of thumb is four characters a token."""
TOKENS_PER_IMAGE = 258
"""Of a picture up to 384 pixels wide and high; a larger one is several of them."""
_MOST_OUTPUT_TOKENS = 1 << 20
_MOST_CANDIDATES = 8
_DEEPEST = 60
# Keys whose values are no part of a prompt.
_NOT_TEXT = frozenset(
    {
        "role",
        "mimeType",
        "mime_type",
        "fileUri",
        "file_uri",
        "data",
        "id",
        "custom_id",
        "key",
        "model",
        "method",
    }
)
_MEDIA = ("inlineData", "inline_data", "fileData", "file_data")


class InputObject(Protocol):
    """An object of the input, such as `inputs.SourceObject`."""

    @property
    def uri(self) -> str: ...

    @property
    def size(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Survey:
    """Counts over all rows of an input.

    :param rows: lines that hold something. :param size: bytes of all objects.
    :param exact: every row was read; else the counts are scaled up from a sample.
    :param text_tokens: what its text comes to, a token for each four bytes.
    :param long_text_tokens: those of `text_tokens` in rows that are billed at long-context rates.
    :param images: pictures in it.
    :param limited_output_tokens: sum of the rows' ``maxOutputTokens``.
    :param unlimited_rows: rows that state none. :param uncountable_rows: rows with video, audio or documents.
    """

    rows: int = 0
    size: int = 0
    exact: bool = True
    text_tokens: int = 0
    long_text_tokens: int = 0
    images: int = 0
    limited_output_tokens: int = 0
    unlimited_rows: int = 0
    uncountable_rows: int = 0

    def scaled(self, size: int) -> Survey:
        """What the whole holds if it is like this sample of it; counts are rounded up."""
        factor = Fraction(size, self.size) if self.size else Fraction(0)
        counts: dict[str, Any] = {name: ceil(getattr(self, name) * factor) for name in _COUNTS}
        return Survey(size=size, exact=False, **counts)


Opener = Callable[[str], Any]
_COUNTS = tuple(f.name for f in fields(Survey) if f.name not in {"size", "exact"})


def survey_input(
    read: Opener, objects: Sequence[InputObject], long_context_tokens: int | None = None
) -> Survey:
    """Count what is in the input objects.

    :param read: opens an object to read its bytes.
    :param long_context_tokens: where the model's long-context rates begin.
    :raises OSError: an object cannot be read.
    """
    whole = sum(item.size for item in objects)
    if whole <= READ_WHOLE_BYTES:
        return count(_rows(read, objects, None), whole, long_context_tokens)
    step = max(1, len(objects) // SAMPLED_OBJECTS)
    chosen = objects[::step][:SAMPLED_OBJECTS]
    lines = list(_rows(read, chosen, SAMPLE_BYTES))
    sample = count(lines, sum(len(line) + 1 for line in lines), long_context_tokens)
    return sample.scaled(whole)


def count(rows: Iterable[bytes], size: int, long_context_tokens: int | None = None) -> Survey:
    """Add up rows. A row that is no JSON counts by its length; the job will say what is wrong with it."""
    total: dict[str, Any] = dict.fromkeys(_COUNTS, 0)
    for line in rows:
        row = _Row()
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            row.text = len(line)
        else:
            row.walk(data, 0)
        tokens = ceil(row.text / BYTES_PER_TOKEN)
        long = long_context_tokens is not None and tokens > long_context_tokens
        total["rows"] += 1
        total["text_tokens"] += tokens
        total["long_text_tokens"] += tokens if long else 0
        total["images"] += row.images
        total["limited_output_tokens"] += row.most_output or 0
        total["unlimited_rows"] += row.most_output is None
        total["uncountable_rows"] += row.uncountable
    return Survey(size=size, **total)


class _Row:
    """One row's counts, gathered while it is walked."""

    def __init__(self) -> None:
        self.text = 0
        self.images = 0
        self.most_output: int | None = None
        self.uncountable = False

    def walk(self, value: Any, depth: int, key: str = "") -> None:
        if depth > _DEEPEST:
            return
        if isinstance(value, str):
            self.text += 0 if key in _NOT_TEXT else len(value.encode("utf-8", "surrogatepass"))
        elif isinstance(value, list):
            for inner in value:
                self.walk(inner, depth + 1, key)
        elif isinstance(value, dict):
            for name, inner in value.items():
                self._entry(name, inner, depth)

    def _entry(self, name: str, value: Any, depth: int) -> None:
        if name in _MEDIA and isinstance(value, dict):
            mime = str(value.get("mimeType") or value.get("mime_type") or "")
            if mime.startswith("image/"):
                self.images += 1
            else:
                self.uncountable = True
        elif name in ("generationConfig", "generation_config") and isinstance(value, dict):
            self._limit(value)
        elif name in ("max_tokens", "max_completion_tokens"):
            self.most_output = _whole(value, _MOST_OUTPUT_TOKENS)
        else:
            self.walk(value, depth + 1, name)

    def _limit(self, config: dict[str, Any]) -> None:
        tokens = _whole(config.get("maxOutputTokens", config.get("max_output_tokens")), _MOST_OUTPUT_TOKENS)
        if tokens is not None:
            answers = _whole(config.get("candidateCount", config.get("candidate_count")), _MOST_CANDIDATES)
            self.most_output = tokens * (answers or 1)
        schema = config.get("responseSchema", config.get("response_schema"))
        self.walk(schema, 0)


def _whole(value: Any, most: int) -> int | None:
    """A count as a row states it; None where it states none that can be."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 < value <= most
    return value if is_count else None


def _rows(read: Opener, objects: Iterable[InputObject], most: int | None) -> Iterator[bytes]:
    """The rows of each object; of its beginning alone where ``most`` bytes are set."""
    for item in objects:
        with read(item.uri) as stream:
            data = stream.read() if most is None else stream.read(most)
        lines = data.split(b"\n")
        if most is not None and len(data) == most and len(lines) > 1:
            lines.pop()  # it was cut off
        yield from (line for line in lines if line.strip())
