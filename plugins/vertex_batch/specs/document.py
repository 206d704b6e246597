"""Parses YAML into plain data that remembers the location of each value.

It uses the parser's events, not a loader. It only constructs strings, numbers, booleans, nulls, lists and
mappings. Nesting and alias expansion are bounded before they cost memory or stack. Every problem has a
location. Scalars have their YAML 1.2 meaning: ``on``, ``yes`` and ``12:30`` are strings.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from vertex_batch.specs.problems import KeyPath, Problem, show_path

MAX_DEPTH = 20
MAX_VALUES = 20_000
_MAX_NUMBER_CHARS = 40
_PLAIN_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_CONSTANTS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII
)
_HINTS = (
    ("scanning an alias", "; a value that begins with `*`, such as a cron expression, needs quotes"),
    ("cannot start any token", "; a value that begins with `@`, `%`, a backquote or a tab needs quotes"),
    ("mapping values are not allowed", "; a value that contains `: ` needs quotes"),
    ("expected node content", "; a `[` or `{` may not be closed"),
    ("did not find expected key", "; a value that begins with `{{` needs quotes around all of it"),
    ("flow sequence", "; a `{{ ... }}` inside `[...]` needs quotes around the whole value"),
    ("flow mapping", "; a value that begins with `{{` needs quotes around all of it"),
)
_NUMBER_START = re.compile(r"[-+.0-9]", re.ASCII)
# libyaml's parser gives the same events as PyYAML's own, ten times faster.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Mark:
    """A location in the text; both numbers start at 1."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """The data of one file, the locations of its values and keys, and the problems of its YAML."""

    data: Any = None
    readable: bool = True
    values: dict[KeyPath, Mark] = field(default_factory=dict)
    keys: dict[KeyPath, Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def locate(self, path: KeyPath, *, key: bool = False) -> tuple[KeyPath, Mark]:
        """Find a path's location, or that of the nearest value around it.

        :param key: the location of the key rather than that of its value.
        """
        if key and path in self.keys:
            return path, self.keys[path]
        for length in range(len(path), 0, -1):
            if path[:length] in self.values:
                return path[:length], self.values[path[:length]]
        return (), self.values.get((), Mark(1, 1))


class _Stop(Exception):  # noqa: N818 - a way out, no error
    """The rest of the file cannot be read."""


@dataclass(frozen=True, slots=True)
class _Built:
    """A value with what it costs to use it again through an alias."""

    value: object
    size: int = 1
    height: int = 0


def read_document(text: str) -> Document:
    """Read YAML text. Problems are in the result; nothing is raised."""
    document = Document()
    builder = _Builder(text, document)
    try:
        document.data = builder.build()
    except _Stop:
        document.readable = False
    return document


class _Builder:
    def __init__(self, text: str, document: Document) -> None:
        self._text = text
        self._document = document
        self._events: Iterator[object] = iter(())
        self._anchors: dict[str, _Built | None] = {}
        self._count = 0

    def build(self) -> object:
        try:
            self._events = yaml.parse(self._text, Loader=_Loader)
            next(self._events)  # the stream's start
            event = next(self._events)
            if isinstance(event, yaml.StreamEndEvent):
                self._stop(Mark(1, 1), "the file is empty")
            built = self._value(next(self._events), (), 0)
            next(self._events)  # the document's end
            event = next(self._events)
            if not isinstance(event, yaml.StreamEndEvent):
                self._stop(_place(event), "a second YAML document begins here: write one spec per file")
        except yaml.MarkedYAMLError as error:
            mark, message = _explain(error)
            self._stop(_mark_place(mark), message)
        except yaml.YAMLError as error:
            self._stop(self._reader_place(error), f"is not YAML: {getattr(error, 'reason', error)}")
        return built.value

    def _value(self, event: Any, path: KeyPath, depth: int) -> _Built:
        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, path, place, depth)
        self._document.values.setdefault(path, place)
        self._spend(1, place, path)
        if depth > MAX_DEPTH:
            self._stop(place, f"is nested deeper than {MAX_DEPTH} levels", path)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            built = _Built(self._scalar(event, path, place))
        else:
            self._refuse_tag(event, path, place)
            is_mapping = isinstance(event, yaml.MappingStartEvent)
            built = self._mapping(path, depth) if is_mapping else self._sequence(path, depth)
        if event.anchor:
            self._anchors[event.anchor] = built
        return built

    def _mapping(self, path: KeyPath, depth: int) -> _Built:
        result: dict[str, object] = {}
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = _place(event)
            if isinstance(event, yaml.MappingStartEvent):
                self._stop(place, "a value that begins with `{{` needs quotes around all of it", path)
            if not isinstance(event, yaml.ScalarEvent):
                self._stop(place, "a key must be a plain word", path)
            key, key_path = event.value, (*path, event.value)
            self._spend(1, place, path)
            first = self._document.keys.setdefault(key_path, place)
            if key == "<<" and event.implicit[0]:
                self._problem(place, "merge keys (`<<`) are not part of YAML 1.2: repeat the keys", path)
            elif key in result:
                self._problem(
                    place, f"is set twice, first in line {first.line}: remove one of the two", key_path
                )
            built = self._value(next(self._events), key_path, depth + 1)
            if key != "<<":
                result.setdefault(key, built.value)
            size, height = size + built.size + 1, max(height, built.height + 1)
        return _Built(result, size, height)

    def _sequence(self, path: KeyPath, depth: int) -> _Built:
        result: list[object] = []
        size, height = 1, 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            built = self._value(event, (*path, len(result)), depth + 1)
            result.append(built.value)
            size, height = size + built.size, max(height, built.height + 1)
        return _Built(result, size, height)

    def _alias(self, anchor: str | None, path: KeyPath, place: Mark, depth: int) -> _Built:
        self._document.values.setdefault(path, place)
        if anchor is None or anchor not in self._anchors:
            self._stop(place, f"there is no anchor `&{anchor}` above this line", path)
        built = self._anchors[anchor]
        if built is None:
            self._stop(place, f"`*{anchor}` is inside its own anchor", path)
        self._spend(built.size, place, path)
        if depth + built.height > MAX_DEPTH:
            self._stop(place, f"is nested deeper than {MAX_DEPTH} levels", path)
        return built

    def _scalar(self, event: Any, path: KeyPath, place: Mark) -> object:
        text: str = event.value
        self._refuse_tag(event, path, place)
        if event.tag or not event.implicit[0]:
            return text
        if text in _CONSTANTS:
            return _CONSTANTS[text]
        return self._number(text, path, place) if _NUMBER_START.match(text) else text

    def _number(self, text: str, path: KeyPath, place: Mark) -> int | float | str:
        if not (is_integer := _INTEGER.fullmatch(text)) and not _FLOAT.fullmatch(text):
            return text
        if len(text) > _MAX_NUMBER_CHARS:
            self._problem(
                place, f"is a number of {len(text)} digits: if it is a string, put it in quotes", path
            )
            return 0
        if is_integer:
            return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if not math.isfinite(number):
            self._problem(place, f"`{text}` is not a number that JSON can represent", path)
            return 0
        return number

    def _refuse_tag(self, event: Any, path: KeyPath, place: Mark) -> None:
        if event.tag and event.tag not in _PLAIN_TEXT_TAGS:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")[:60]
            self._problem(
                place, f"the tag `{tag}` is not allowed: a spec is plain data, so write only the value", path
            )

    def _spend(self, size: int, place: Mark, path: KeyPath) -> None:
        self._count += size
        if self._count > MAX_VALUES:
            self._stop(place, f"the file has more than {MAX_VALUES} values, with aliases expanded", path)

    def _problem(self, place: Mark, message: str, path: KeyPath = ()) -> None:
        self._document.problems.append(Problem(place.line, place.column, show_path(path), message))

    def _stop(self, place: Mark, message: str, path: KeyPath = ()) -> NoReturn:
        self._problem(place, message, path)
        raise _Stop

    def _reader_place(self, error: yaml.YAMLError) -> Mark:
        # libyaml counts bytes, PyYAML characters; a place that is off within a line still leads to it.
        position = getattr(error, "position", None) or 0
        before = self._text.encode()[:position].decode(errors="ignore")
        return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


def _place(event: Any) -> Mark:
    return _mark_place(event.start_mark)


def _mark_place(mark: Any) -> Mark:
    return Mark(mark.line + 1, mark.column + 1) if mark else Mark(1, 1)


def _explain(error: yaml.MarkedYAMLError) -> tuple[object, str]:
    """Report where and why the text is not YAML, with the fix for common causes."""
    what = ": ".join(part for part in (error.context, error.problem) if part)
    # An unclosed quote or bracket is found at the end of the file; where it was opened is what helps.
    unclosed = "end of stream" in what or "did not find expected ',' or" in what
    mark = (error.context_mark if unclosed else None) or error.problem_mark or error.context_mark
    hint = next((hint for cause, hint in _HINTS if cause in what), "")
    return mark, f"is not YAML: {what}{hint}"
