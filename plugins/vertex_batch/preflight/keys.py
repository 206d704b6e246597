"""The keys that people use to match answers to rows: each should belong to one row only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import UNSET

MAX_KEYS = 300_000
"""More than the rows of most jobs. Keys beyond this number are not compared, so that memory is bounded."""


class RowKeys:
    """Remembers the keys of rows by their digests.

    :param names: possible names of a row's key; the first one that a row has is used for all rows.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._seen: set[int] = set()
        self.name = ""

    def of(self, row: Mapping[str, Any]) -> object:
        """The key of a row; None if it has none."""
        if not self.name:
            self.name = next((name for name in self._names if _is_key(row.get(name))), "")
        key = row.get(self.name)
        return key if _is_key(key) else None

    def add_new(self, keys: Sequence[Any]) -> bool:
        """Remember the keys of several rows if all of them exist and are new; otherwise none of them.

        :returns: whether the rows need no further check.
        """
        if not self.name or self._is_full:
            return True
        new = set(map(hash, keys))
        if len(new) < len(keys) or not self._seen.isdisjoint(new) or hash(UNSET) in new or hash(None) in new:
            return False
        self._seen |= new
        return True

    def is_new(self, key: object) -> bool:
        """Whether no earlier row had this key; remembers it. A row without a key is always new."""
        if not _is_key(key) or self._is_full:
            return True
        digest = hash(key)
        is_new = digest not in self._seen
        self._seen.add(digest)
        return is_new

    @property
    def _is_full(self) -> bool:
        return len(self._seen) >= MAX_KEYS


def _is_key(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)
