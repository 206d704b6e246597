"""The rows of a job as Vertex's importer reads them: columns, each with one type.

Vertex imports the rows of a batch into BigQuery, and one row that does not fit fails the job before any
row is answered. The limits: 15 levels of records, valid column names, one type per column, no record without
fields. This module walks through a row once for each new shape; `compiled` checks the others.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from vertex_batch.preflight.fields import KINDS, Field, Message

MAX_DEPTH = 15
MAX_COLUMNS = 10_000
"""BigQuery's limit of columns in a table, and the most that are kept in memory."""
MAX_NAME_CHARS = 300
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}", re.ASCII)
_UNSPEAKABLE = re.compile(r'[\x00-\x1f"\\]')


class ReportProblem(Protocol):
    """Reports a problem: the path of a key, a message, and whether it is known to fail the job."""

    def __call__(self, path: str, message: str, /, *, sure: bool = True) -> None: ...


@dataclass(frozen=True, slots=True)
class LowNumber:
    """A number of a record below which the other keys decide whether the row must be checked in Python.

    :param field: its name, in camel case.
    :param below: the limit.
    :param needs_check: decides for a decoded record with a lower number.
    """

    field: str
    below: int
    needs_check: Callable[[msgspec.Struct], bool]


@dataclass(slots=True, eq=False)
class Column:
    """A key of the rows: the kinds of values that it had so far, and its keys or items.

    :param opaque: its value is not checked.
    :param is_item: it describes the items of a list; a list within that list is not checked.
    :param required: a row without it fails alone, so `compiled` must not let it pass.
    :param field: what Google accepts in it; None if that is not known.
    :param is_misspelled: a row with this key is not answered.
    :param low_number: what depends on the value of one of its keys; None if nothing does.
    """

    path: str = ""
    opaque: bool = False
    is_item: bool = False
    required: bool = False
    is_misspelled: bool = False
    field: Field | None = None
    low_number: LowNumber | None = None
    item: Column | None = None
    kinds: set[str] = dataclasses.field(default_factory=set)
    children: dict[str, Column] = dataclasses.field(default_factory=dict)

    @property
    def message(self) -> Message | None:
        """The message type of its values, if it is known."""
        return self.field.message if self.field else None

    def child(self, key: str, *, opaque: bool = False) -> Column:
        """The column of a key; it is created if it is new."""
        found = self.children.get(key)
        if found is None:
            path = f"{self.path}.{key}" if self.path else key
            found = self.children[key] = Column(path, opaque=opaque)
            if self.message:
                name = self.message.name_of(key)
                found.field = self.message.fields[name] if name else None
                found.is_misspelled = name is None and self.message.meant_by(key) is not None
            elif self.field and self.field.is_map and self.field.is_looked_into:
                found.field = self.field.of_value
        return found


class Columns:
    """All columns of the rows of a job so far. It only grows, up to a limit."""

    def __init__(self) -> None:
        self.root = Column()
        self.count = 0
        self.is_full = False
        self.version = 0

    def admit(self, row: Mapping[str, object], report: ReportProblem) -> None:
        """Walk through a row, add its new columns, and report what the importer would refuse."""
        self._record(self.root, row, 0, report)

    def _record(
        self, column: Column, record: Mapping[str, object], depth: int, report: ReportProblem
    ) -> None:
        if not record:
            report(column.path, "is an empty object: remove the key, or put something in it")
            return
        if depth > MAX_DEPTH:
            report(_short(column.path), f"is nested deeper than {MAX_DEPTH} levels")
            return
        for key, value in record.items():
            child = column.children.get(key) or self._new(column, key, report)
            if child is not None and not child.opaque:
                self._value(child, value, depth, report)

    def _value(self, column: Column, value: object, depth: int, report: ReportProblem) -> None:
        if value is None:
            return
        kind = KINDS[type(value)]
        if kind not in column.kinds:
            if column.kinds:
                earlier = " and ".join(sorted(column.kinds))
                report(column.path, f"is {kind} here and {earlier} elsewhere: a key must have one type")
            column.kinds.add(kind)
            self.version += 1
        if type(value) is dict:
            self._record(column, value, depth + 1, report)
        elif type(value) is list and not column.is_item:
            self._items(column, value, depth, report)

    def _items(self, column: Column, items: list[Any], depth: int, report: ReportProblem) -> None:
        for item in items:
            if column.item is None:
                column.item = Column(f"{column.path}[]", is_item=True, field=column.field)
                self.version += 1
            if type(item) is list and "a list" not in column.item.kinds:
                report(column.item.path, "is a list within a list, which BigQuery refuses", sure=False)
            self._value(column.item, item, depth, report)

    def _new(self, column: Column, key: str, report: ReportProblem) -> Column | None:
        if not _NAME.fullmatch(key):
            report(
                f"{column.path}.{key[:80]}".lstrip("."),
                "is not a valid column name: use letters, digits and `_`, and no digit at the beginning",
            )
        if len(key) > MAX_NAME_CHARS or _UNSPEAKABLE.search(key):
            return None  # no decoder can be made for it: each row with this key is checked here
        if self.count >= MAX_COLUMNS:
            if not self.is_full:
                self.is_full = True
                self.version += 1
                keys = f"more than {MAX_COLUMNS:,} different keys: a table cannot have more columns"
                report(column.path, keys, sure=False)
            return None
        self.count += 1
        self.version += 1
        return column.child(key)


def _short(path: str) -> str:
    return path if len(path) <= 200 else f"{path[:200]}..."  # noqa: PLR2004 - enough to find it
