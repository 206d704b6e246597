"""The keys of rows: where a row has its key, and whether each key belongs to one row only."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import UNSET

from vertex_batch.errors import count_of

MAX_KEYS = 300_000
"""More than the rows of most jobs. Keys beyond this number are not compared, so that memory is bounded."""
_NONE = (UNSET, None, "")
REQUEST_NAMES = ("request", "body", "instance")
"""Where rows have their request: Gemini and Claude, OpenAI, and text embeddings."""
_MAX_FIELDS, _MAX_SHOWN = 200, 8
_ID = re.compile(r"id|key|\w+_id|\w+_key|[a-z]+Id", re.ASCII)
_SNAKE = re.compile(r"_([a-z0-9])")
_CAMEL = re.compile(r"(?<=[a-z0-9])([A-Z])")
_SHOWABLE = re.compile(r"[\w$ -]{1,80}")


def path_names(path: str) -> tuple[str, ...]:
    """The names in a path such as ``request.labels.ticket``."""
    return tuple(path.split(".")) if path else ()


def value_at(row: object, path: Sequence[str]) -> object:
    """The value at a path; None if there is none. Names inside a request may be in snake or camel case."""
    value = row
    for name in path:
        value = decoded(value)
        if not isinstance(value, dict):
            return None
        value = next((value[n] for n in spellings(name) if n in value), None)
    return value


def key_at(row: Mapping[str, object], path: Sequence[str]) -> object:
    """The key of a row; None if it has none. Text-embedding models echo it inside the instance."""
    value = value_at(row, path)
    return value_at(row, ("instance", *path)) if value is None and "instance" in row else value


def likely_key(row: Mapping[str, object]) -> str:
    """The field beside the request of a row that looks like its id; empty if there is none."""
    if "request" not in row:
        return ""
    ids = (name for name, value in row.items() if _ID.fullmatch(name) and type(value) in (str, int))
    return next(ids, "")


def is_missing(key: object) -> bool:
    """Whether a row has no key, or an empty one, which identifies nothing."""
    return any(key is none for none in _NONE) or key == ""


def key_hint(path: str, row: Mapping[str, object]) -> str:
    """Say which fields a row has that has no key; one of them may have been meant."""
    fields = [field for field in _fields(row) if _SHOWABLE.fullmatch(field.replace(".", ""))]
    nearest = difflib.get_close_matches(path, fields, n=1, cutoff=0.6)
    others = [field for field in fields if field.partition(".")[0] not in REQUEST_NAMES][:_MAX_SHOWN]
    has = ", ".join(f"`{field}`" for field in others) or "no field that may be a key"
    meant = f"did you mean `{nearest[0]}`? The" if nearest else "the"
    return f"{meant} row has {has}"


def lacking_keys(path: str, without: int, rows: int, place: str, hint: str) -> str:
    """Say how many rows have no key, and what becomes of their answers.

    :param place: of the first one.
    :param hint: about it; see `key_hint`.
    """
    if without >= rows:
        return f"None of the {rows:,} rows has the field `{path}`, which `results.key` names; {hint}"
    return (
        f"{without:,} of {rows:,} rows have no field `{path}`, which `results.key` names, so their answers"
        f" are joined by their requests and delivered without a key. The first is {place}; {hint}"
    )


def repeated_keys(path: str, again: int, place: str, message: str) -> str:
    """Say how many rows have the key of an earlier row.

    :param place: of the first one.
    :param message: which key it has.
    """
    many = count_of(again, "row has", "rows have")
    first = f"at {place}" if again == 1 else f"the first at {place}"
    return (
        f"{many} the key of an earlier row, {first} (`{path}` {message}), so it does not identify"
        f" {'its answer' if again == 1 else 'their answers'}"
    )


def decoded(value: object) -> object:
    """A request, which tables hold as JSON inside a string."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError):
            return value
    return value


@lru_cache(4096)
def camel_case(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name)


@lru_cache(1024)
def spellings(name: str) -> tuple[str, ...]:
    """A name as it is written, in camel case and in snake case."""
    snake = _CAMEL.sub(lambda match: f"_{match[1].lower()}", name)
    return tuple(dict.fromkeys((name, camel_case(name), snake)))


class RowKeys:
    """Remembers the keys of rows by their digests.

    :param path: of the key that each row should have; empty: rows need no key.
    :param usual: names of keys that people use; without a path the first one that a row has is used for all
        rows.
    """

    def __init__(self, path: str, usual: Sequence[str] = ()) -> None:
        self._usual = () if path else usual
        self._seen: set[int] = set()
        self.are_needed = bool(path)
        self.path = path

    def of(self, row: Mapping[str, object]) -> object:
        """The key of a row; None if it has none."""
        if not self.path:
            self.path = next((name for name in self._usual if _is_compared(row.get(name))), "")
        return key_at(row, path_names(self.path)) if self.path else None

    def add_new(self, keys: Sequence[object]) -> bool:
        """Remember the keys of several rows if all of them exist and are new; otherwise none of them.

        :returns: whether the rows need no further check.
        """
        if self._is_full:
            return not (self.are_needed and any(none in keys for none in _NONE))
        try:
            new = set(map(hash, keys))
        except TypeError:  # objects or lists
            return False
        if len(new) < len(keys) or not self._seen.isdisjoint(new) or any(hash(none) in new for none in _NONE):
            return False
        self._seen |= new
        return True

    def is_new(self, key: object) -> bool:
        """Whether no earlier row had this key; remembers it. What is not a text or number is always new."""
        if not _is_compared(key) or is_missing(key) or self._is_full:
            return True
        digest = hash(key)
        is_new = digest not in self._seen
        self._seen.add(digest)
        return is_new

    @property
    def _is_full(self) -> bool:
        return len(self._seen) >= MAX_KEYS


def _is_compared(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def _fields(row: Mapping[str, object]) -> Iterator[str]:
    """The paths of some values of a row that may be keys, those at the top first."""
    level: list[tuple[str, object]] = list(row.items())
    count = 0
    while level and count < _MAX_FIELDS:
        yield from (path for path, value in level[:_MAX_FIELDS] if _is_compared(value) and value != "")
        count += len(level)
        level = [
            (f"{path}.{name}", inner)
            for path, value in level[:_MAX_FIELDS]
            if isinstance(value, dict)
            for name, inner in value.items()
        ]
