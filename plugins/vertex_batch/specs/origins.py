"""Tracks where the values of a spec were written, across all files that were merged into it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vertex_batch.specs.document import Document
from vertex_batch.specs.problems import KeyPath, Problem, show_path


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in a file: the document, and the path of a value in it."""

    file: Path
    document: Document
    path: KeyPath = ()

    def below(self, *steps: str | int) -> Origin:
        """Return the place of a value inside this one."""
        return Origin(self.file, self.document, (*self.path, *steps))

    def problem(self, message: str, *, key: bool = False) -> Problem:
        """Make a problem at this place.

        :param key: place it at the key rather than at its value.
        """
        _, place = self.document.locate(self.path, key=key)
        return Problem(place.line, place.column, show_path(self.path), message, str(self.file))


@dataclass(frozen=True, slots=True)
class Values:
    """Keys and values as they were written, each with its origin.

    :param origins: by path. A path that is not in it has the origin of the nearest path around it. The empty
        path is the origin of the whole, and of anything that is missing.
    """

    data: Mapping[str, Any]
    origins: Mapping[KeyPath, Origin]

    @classmethod
    def of(cls, data: Mapping[str, object], origin: Origin) -> Values:
        """Make values that all have one origin."""
        return cls(data, {(): origin})

    def origin(self, path: KeyPath) -> Origin:
        """Return where the value of a path was written."""
        for length in range(len(path), -1, -1):
            if found := self.origins.get(path[:length]):
                return found.below(*path[length:])
        raise KeyError(path)

    def only(self, keys: Collection[str], *, without: bool = False) -> Values:
        """Keep the keys that are in ``keys``; with ``without``, those that are not."""
        kept = {key: value for key, value in self.data.items() if (key in keys) is not without}
        return Values(kept, self.origins)

    def over(self, lower: Values) -> Values:
        """Merge these values over others.

        Mappings are merged key by key; anything else is replaced. An empty value (``null``) removes the lower
        value.
        """
        origins = dict(lower.origins)
        for key in lower.data:
            origins.setdefault((key,), lower.origin((key,)))
        data = self._merge(self.data, lower.data, (), origins)
        origins[()] = self.origins[()]
        return Values(data, origins)

    def _merge(
        self,
        upper: Mapping[str, object],
        lower: Mapping[str, object],
        path: KeyPath,
        origins: dict[KeyPath, Origin],
    ) -> dict[str, object]:
        merged = dict(lower)
        for key, value in upper.items():
            below = merged.get(key)
            if isinstance(value, Mapping) and isinstance(below, Mapping):
                merged[key] = self._merge(value, below, (*path, key), origins)
            elif value is None and key in merged:
                del merged[key]
            else:
                merged[key] = value
                self._set_origin(origins, (*path, key))
        return merged

    def _set_origin(self, origins: dict[KeyPath, Origin], path: KeyPath) -> None:
        """Set a path's origin, and delete the origins of the value that it replaces."""
        for known in [known for known in origins if known[: len(path)] == path]:
            del origins[known]
        origins[path] = self.origin(path)
