"""The limits of Vertex's importer: what it refuses fails the whole job before any row runs.

The rows are imported as BigQuery records, so its rules apply: names of columns, one type per column, at
most 15 levels of records, and no record without fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

MAX_DEPTH = 15
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_KINDS: dict[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
}


class ImportRefusedError(Exception):
    """The importer refuses the input.

    :param reason: for the reader of the emulator's ledger; Vertex itself does not say.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Column:
    __slots__ = ("children", "item", "kind")

    def __init__(self) -> None:
        self.kind = ""
        self.item = ""
        self.children: dict[str, _Column] = {}


class Importer:
    """Checks the rows of one job; what one row fixes (the type of a key) binds the next.

    :param required: keys that each row must have.
    """

    def __init__(self, required: tuple[str, ...]) -> None:
        self._required = required
        self._root = _Column()
        self._count = 0

    def check(self, line: bytes) -> dict[str, Any]:
        """Decode a line and check it.

        :raises ImportRefusedError: it breaks one of the importer's rules.
        """
        self._count += 1
        try:
            row = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise ImportRefusedError(f"row {self._count} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise ImportRefusedError(f"row {self._count} is not an object")
        for key in self._required:
            if key not in row:
                raise ImportRefusedError(f"row {self._count} has no '{key}'")
        # A row of an earlier job's output brings its response along; the importer takes that as it is.
        rest = {key: row[key] for key in row if key != "response"} if "response" in row else row
        self._record(self._root, rest, 0)
        return row

    def _record(self, column: _Column, record: Mapping[str, Any], depth: int) -> None:
        if not record:
            raise ImportRefusedError(f"row {self._count} holds an empty object")
        if depth > MAX_DEPTH:
            raise ImportRefusedError(f"row {self._count} is nested deeper than {MAX_DEPTH} levels")
        for key, value in record.items():
            child = column.children.get(key)
            if child is None:
                if not _COLUMN.fullmatch(key):
                    raise ImportRefusedError(
                        f"row {self._count} has the key {key!r}, not a valid column name"
                    )
                child = column.children[key] = _Column()
            if value is None:
                continue
            kind = _KINDS[type(value)]
            child.kind = self._one_kind(child.kind, kind, key)
            if kind == "object":
                self._record(child, value, depth + 1)
            elif kind == "array":
                self._array(child, value, key, depth)

    def _array(self, column: _Column, items: list[Any], key: str, depth: int) -> None:
        for item in items:
            if item is None:
                continue
            kind = _KINDS[type(item)]
            column.item = self._one_kind(column.item, kind, f"{key}[]")
            if kind == "object":
                self._record(column, item, depth + 1)

    def _one_kind(self, known: str, kind: str, key: str) -> str:
        if known and known != kind:
            raise ImportRefusedError(f"row {self._count}: '{key}' is {kind}, in earlier rows it is {known}")
        return kind
