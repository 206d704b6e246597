"""Write the pieces of objects that are too large for one job, and samples, where Vertex can read them.

A name says what is in it: the run, the object's version, and the range. So a retry or a cleared run finds
what was written before, and a changed input never meets an old piece. Nothing here is deleted: a shard whose
job failed is cleared and read again days later. The bucket's lifecycle rule clears up (``docs/specs.md``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from vertex_batch.errors import InputChangedError
from vertex_batch.inputs.measuring import BLOCK_BYTES, open_object, unpacked
from vertex_batch.inputs.planning import Piece, Shard, SourceObject

SHARD_SUFFIX = ".shard.jsonl"
FOLDER = "_shards"


@dataclass(frozen=True, slots=True)
class StagingPlace:
    """Where a run's shards are written.

    :param prefix: a folder, with its scheme.
    :param run_key: tells the runs and tasks that write there apart.
    """

    prefix: str
    run_key: str

    @classmethod
    def of(cls, output: str, staging: str | None, run_key: str) -> StagingPlace:
        """Below the prefix that the spec names, else in a folder of its own below the output."""
        return cls(staging or f"{output.rstrip('/')}/{FOLDER}/", run_key)

    def uri(self, *content: object) -> str:
        """Name an object by what it holds."""
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
        return f"{self.prefix.rstrip('/')}/{self.run_key[:16]}/{digest}{SHARD_SUFFIX}"

    def of_piece(self, piece: Piece) -> str:
        """The URI that a job reads for a piece: the object itself, or the object that is to be written."""
        if piece.cut is None:
            return piece.source.uri
        return self.uri(
            piece.source.uri, piece.source.version, piece.source.size, piece.cut.start, piece.cut.end
        )


@dataclass(frozen=True, slots=True)
class Staged:
    """How much a staging wrote, and how much it found written.

    :param size: bytes written.
    """

    written: int = 0
    found: int = 0
    size: int = 0


def stage(fs: Any, shards: Iterable[Shard], place: StagingPlace) -> Staged:
    """Write every piece that has to be written and is not there yet. Streaming, in constant memory.

    :param fs: an fsspec file system.
    :raises InputChangedError: an object is shorter than it was when it was measured.
    """
    written = found = size = 0
    for source, pieces in _by_source(shards):
        missing = [piece for piece in pieces if not is_there(fs, place.of_piece(piece), piece.size)]
        found += len(pieces) - len(missing)
        if not missing:
            continue
        with open_object(fs, source.uri) as stream:
            content, packed = unpacked(stream)
            position = 0
            for piece in missing:
                assert piece.cut
                _skip(content, piece.cut.start - position, packed=packed)
                write(fs, place.of_piece(piece), _range(content, piece))
                position = piece.cut.end
        written += len(missing)
        size += sum(piece.size for piece in missing)
    return Staged(written, found, size)


def write(fs: Any, uri: str, content: Iterable[bytes]) -> None:
    """Write an object as a whole or not at all."""
    if getattr(fs, "auto_mkdir", None) is False:  # a local folder; object stores have none
        fs.makedirs(uri.rpartition("/")[0], exist_ok=True)
    target = fs.open(uri, "wb", block_size=2 * BLOCK_BYTES)
    try:
        for block in content:
            target.write(block)
    except BaseException:
        _abandon(target)
        raise
    target.close()


def _abandon(target: Any) -> None:
    """Leave a write unfinished. To close it, as its end of life does, would commit what is there."""
    with suppress(Exception):
        target.discard()
    with suppress(AttributeError):
        target.closed = True


def is_there(fs: Any, uri: str, size: int) -> bool:
    """Whether an object of that name and size exists; one of another size is the remains of a write."""
    try:
        return int(fs.info(uri)["size"]) == size
    except FileNotFoundError:
        return False


def _by_source(shards: Iterable[Shard]) -> list[tuple[SourceObject, list[Piece]]]:
    """The pieces to be written, by object, in the order of its bytes."""
    found: dict[SourceObject, list[Piece]] = {}
    for shard in shards:
        for piece in shard.pieces:
            if piece.cut:
                found.setdefault(piece.source, []).append(piece)
    return list(found.items())


def _skip(stream: BinaryIO, length: int, *, packed: bool) -> None:
    if length and not packed:
        stream.seek(length, 1)
    while packed and length > 0:
        length -= len(stream.read(min(length, BLOCK_BYTES)))


def _range(stream: BinaryIO, piece: Piece) -> Iterator[bytes]:
    left = piece.size
    while left:
        block = stream.read(min(left, BLOCK_BYTES))
        if not block:
            raise InputChangedError([piece.source.uri])
        left -= len(block)
        yield block
