"""An object as it was listed, and the fingerprint of a listing. Plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vertex_batch.errors import ObjectEncodedError

CLOCK_MARGIN = timedelta(minutes=1)
"""How far the clocks of Cloud Storage and of Vertex may differ. Both are Google's."""


@dataclass(frozen=True, slots=True)
class SourceObject:
    """An object as its store listed it.

    :param size: in bytes, as stored.
    :param version: changes whenever the content does: its generation, or the file system's equivalent.
    :param encoding: its ``Content-Encoding``; empty for an ordinary object.
    :param created: when this version was written, by the clock of Cloud Storage; None in other stores.
    """

    uri: str
    size: int
    version: str = ""
    encoding: str = ""
    created: datetime | None = field(default=None, compare=False)

    def check_readable(self) -> None:
        """Refuse an object whose transferred bytes may differ from its content.

        :raises ObjectEncodedError: it is stored with ``Content-Encoding: gzip``. The store may or may not
            decompress it and ignores ranges, so neither its size nor a part of it is reliable.
        """
        if self.encoding and self.encoding != "identity":
            raise ObjectEncodedError(self.uri, self.encoding)


def without_duplicates(objects: Iterable[SourceObject]) -> list[SourceObject]:
    """Return each object once, by its URI. If two wildcards match it, its rows would be paid for twice."""
    return list({each.uri: each for each in objects}.values())


def written_after(
    objects: Iterable[SourceObject], moment: datetime, margin: timedelta | None = None
) -> list[SourceObject]:
    """Return the objects that were written after a moment, by more than a margin; None: `CLOCK_MARGIN`."""
    latest = moment + (CLOCK_MARGIN if margin is None else margin)
    return [each for each in objects if each.created and each.created > latest]


def fingerprint_of(objects: Iterable[SourceObject]) -> str:
    """The digest of a listing. It changes with the name, size or generation of any object."""
    listed = sorted((each.uri, each.size, each.version) for each in objects)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]
