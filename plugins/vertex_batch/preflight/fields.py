"""The fields of a request that Google accepts: their names, kinds and values.

`request_types.json` has the names and kinds, from Vertex's discovery document; what that document does not
say, such as ranges, is in the tables below. A name or value that is not known here may belong to a later API,
so it is only a doubt; a misspelled one is certain to fail.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from vertex_batch.usage.rows import camel

GENERATION, EMBEDDING = "GenerateContentRequest", "EmbedContentRequest"
KINDS: Mapping[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
    list: "a list",
    type(None): "null",
}
"""The kinds of JSON values, in words."""
_NUMBERS = frozenset({"int32", "int64", "integer", "float", "double"})
_MIME_TYPES = ("text/plain", "application/json", "text/x.enum")

# A turn of `contents` is a Content whose role Google checks; it ignores the role of a system instruction.
_TURN = "Turn"
_ROLES = ("user", "model", "function")
_RANGES: Mapping[tuple[str, str], tuple[float, float]] = {
    ("GenerationConfig", "temperature"): (0, 2),
    ("GenerationConfig", "topP"): (0, 1),
    ("GenerationConfig", "candidateCount"): (1, 8),
    ("GenerationConfig", "maxOutputTokens"): (1, 2**31 - 1),
    ("GenerationConfig", "presencePenalty"): (-2, 2),
    ("GenerationConfig", "frequencyPenalty"): (-2, 2),
}
_MAX_ITEMS = {("GenerationConfig", "stopSequences"): 5}
_PATTERNS = {("FileData", "fileUri"): r"^(gs|https?)://"}
_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)


@dataclass(frozen=True, slots=True)
class FieldGroup:
    """Fields of a message of which exactly one must have a value.

    :param unless: if a message has one of these fields, it needs none of the group.
    """

    names: tuple[str, ...]
    unless: tuple[str, ...] = ()


# The groups that each message must have. A part with a thought signature may have no data.
_GROUPS: Mapping[str, tuple[FieldGroup, ...]] = {
    "Part": (FieldGroup(_DATA, unless=("thoughtSignature", "audioTranscription")),),
    "Blob": (FieldGroup(("mimeType",)),),
    _TURN: (FieldGroup(("parts",)),),
}
_FILLED = {(_TURN, "parts")}


@dataclass(frozen=True, slots=True)
class Field:
    """What a field accepts.

    :param kind: ``string``, ``boolean``, a kind of number, ``enum``, ``choice`` (like an enum, but no other
        value is ever accepted), ``any`` (not checked), or the name of a message.
    :param values: the values of an enum or a choice; the known values of a string.
    :param limits: of a number, both included.
    :param pattern: a regular expression that is found in a valid string; empty: any string is valid.
    """

    kind: str
    is_repeated: bool = False
    is_map: bool = False
    values: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    max_items: int | None = None
    pattern: str = ""
    is_filled: bool = False

    @property
    def is_number(self) -> bool:
        return self.kind in _NUMBERS

    @property
    def is_whole_number(self) -> bool:
        return self.kind in {"int32", "int64", "integer"}

    @property
    def message(self) -> Message | None:
        """The message type of its values; None for any other field and for a map itself."""
        return None if self.is_map else messages().get(self.kind)

    @property
    def of_value(self) -> Field:
        """What each value of a map accepts."""
        return Field(self.kind)

    @property
    def is_looked_into(self) -> bool:
        return self.kind != "any"

    def knows(self, value: str) -> bool:
        """Whether a text is one of the values. Google ignores the case of an enum's value."""
        if self.kind == "choice":
            return not value or value in self.values
        return value in self.values or (self.kind == "enum" and value.upper() in self.values)


@dataclass(frozen=True)
class Message:
    """The fields of a message, by their names in camel case."""

    name: str
    fields: Mapping[str, Field]
    groups: tuple[FieldGroup, ...] = ()

    @cached_property
    def _by_letters(self) -> dict[str, str]:
        return {_letters(name): name for name in self.fields}

    def name_of(self, key: str) -> str | None:
        """The field that a key names, in camel case or snake case; None if there is none."""
        if key in self.fields:
            return key
        name = camel(key)
        return name if name in self.fields and snake(name) == key else None

    def meant_by(self, key: str) -> str | None:
        """The field that a key misspells: one letter or the separators differ."""
        if (name := self._by_letters.get(_letters(key))) is not None:
            return name
        return next((name for name in self.fields if is_misspelled(key, name)), None)

    def like(self, key: str) -> str | None:
        """The field most similar to a key, for a hint."""
        return next(iter(difflib.get_close_matches(camel(key), self.fields, n=1)), None)


@cache
def messages() -> Mapping[str, Message]:
    """All messages of a request, by name."""
    types = json.loads(Path(__file__).with_name("request_types.json").read_text())["types"]
    types[_TURN] = {**types["Content"], "role": "choice"}
    types[GENERATION] = {**types[GENERATION], "contents": f"repeated {_TURN}", "model": "string"}
    return {
        name: Message(
            name, {key: _field(name, key, text) for key, text in fields.items()}, _GROUPS.get(name, ())
        )
        for name, fields in types.items()
    }


def _field(message: str, name: str, text: str) -> Field:
    place = (message, name)
    is_repeated, is_map = text.startswith("repeated "), text.startswith("map ")
    kind, _, values = text.removeprefix("repeated ").removeprefix("map ").partition(" ")
    known = tuple(values.split("|")) if values else ()
    if kind == "choice":
        known = _ROLES
    elif place == ("GenerationConfig", "responseMimeType"):
        known = _MIME_TYPES
    return Field(
        kind,
        is_repeated,
        is_map,
        known,
        _RANGES.get(place),
        _MAX_ITEMS.get(place),
        _PATTERNS.get(place, ""),
        place in _FILLED,
    )


@cache
def snake(name: str) -> str:
    return re.sub(r"(?<!^)([A-Z])", lambda found: f"_{found[1].lower()}", name)


def is_misspelled(text: str, right: str) -> bool:
    """Whether one letter is missing, added, wrong or swapped with its neighbor.

    >>> is_misspelled("contnets", "contents"), is_misspelled("topN", "topP")
    (True, False)
    """
    if min(len(text), len(right)) < 5 or abs(len(text) - len(right)) > 1:  # noqa: PLR2004 - see the docstring
        return False
    start = next((n for n, (a, b) in enumerate(zip(text, right, strict=False)) if a != b), None)
    if start is None:
        return len(text) != len(right)
    one, other = text[start:], right[start:]
    return (
        one[1:] == other[1:]
        or one[1:] == other
        or one == other[1:]
        or (one[:2] == other[1::-1] and one[2:] == other[2:])
    )


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
