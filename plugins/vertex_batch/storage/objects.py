"""One value for an object that was listed, and the fingerprint of a listing. Plain data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass

from vertex_batch.errors import ObjectEncodedError


@dataclass(frozen=True, slots=True)
class SourceObject:
    """An object as its store listed it.

    :param size: in bytes, as stored.
    :param version: changes whenever its content does: its generation, or what the file system has for it.
    :param encoding: its ``Content-Encoding``; empty for an ordinary object.
    """

    uri: str
    size: int
    version: str = ""
    encoding: str = ""

    def check_readable(self) -> None:
        """Refuse an object whose bytes on the wire are not those of its content.

        :raises ObjectEncodedError: it is stored with ``Content-Encoding: gzip``: the store unpacks it, or
            not, and ignores ranges, so no size and no part of it can be relied on.
        """
        if self.encoding and self.encoding != "identity":
            raise ObjectEncodedError(self.uri, self.encoding)


def without_duplicates(objects: Iterable[SourceObject]) -> list[SourceObject]:
    """Each object once, by its URI: two wildcards may both match it, and its rows would be paid for twice."""
    return list({each.uri: each for each in objects}.values())


def fingerprint_of(objects: Iterable[SourceObject]) -> str:
    """The digest of a listing: equal only while every object has the same name, size and generation."""
    listed = sorted((each.uri, each.size, each.version) for each in objects)
    return hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:32]
