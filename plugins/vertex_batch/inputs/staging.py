"""Write shards that cannot be read in place, and samples, to objects that Vertex can read.

An object's name is a digest of its content: the run, the objects' versions, and the ranges. So a retry or a
cleared run finds what was written before, and a changed input never uses an old piece. Nothing is deleted
here: the task of a failed shard may be cleared days later, and its job reads the shard again. The bucket's
lifecycle rule deletes old shards (``docs/specs.md``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from vertex_batch.errors import InputChangedError
from vertex_batch.inputs.planning import Piece, Shard
from vertex_batch.storage import (
    BLOCK_BYTES,
    BOM,
    ByteStream,
    ObjectStorage,
    SourceObject,
    blocks_in,
    unpacked,
)
from vertex_batch.usage.files import STAGED_FOLDER

SHARD_SUFFIX = ".shard.jsonl"


@dataclass(frozen=True, slots=True)
class StagingPlace:
    """Where a run's shards are written.

    :param prefix: a folder, with its scheme.
    :param run_key: distinguishes the runs and tasks that write there.
    """

    prefix: str
    run_key: str

    @classmethod
    def of(cls, output: str, staging: str | None, run_key: str) -> StagingPlace:
        """The prefix of the spec's `staging`, else a folder of its own below the output."""
        return cls(staging or f"{output.rstrip('/')}/{STAGED_FOLDER}/", run_key)

    @property
    def folder(self) -> str:
        return f"{self.prefix.rstrip('/')}/{self.run_key[:16]}/"

    def uri(self, *content: object) -> str:
        """Name an object by its content."""
        digest = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]
        return f"{self.folder}{digest}{SHARD_SUFFIX}"

    def of_copied(self, pieces: Iterable[Piece]) -> str:
        """The URI of the object that the pieces are written into."""
        return self.uri(
            *(
                (each.source.uri, each.source.version, each.source.size, each.cut.start, each.cut.end)
                for each in pieces
            )
        )

    def of_shard(self, shard: Shard) -> tuple[str, ...]:
        """The URIs that a job reads for a shard; at most one of them was written for it."""
        named = tuple(each.uri for each in shard.named)
        return (*named, self.of_copied(shard.copied)) if shard.copied else named


@dataclass(frozen=True, slots=True)
class Staged:
    """What a staging wrote, and what already existed.

    :param written: objects written.
    :param found: objects that already existed.
    :param size: bytes written.
    :param objects: all objects in the run's folder now, by URI.
    """

    written: int = 0
    found: int = 0
    size: int = 0
    objects: tuple[SourceObject, ...] = ()


def stage(storage: ObjectStorage, shards: Iterable[Shard], place: StagingPlace) -> Staged:
    """Write each shard's object that does not exist yet. Streaming, in constant memory.

    :raises InputChangedError: an object has changed since it was measured.
    """
    before = {each.uri: each.size for each in storage.list_below(place.folder)}
    wanted = {place.of_copied(shard.copied): shard.copied for shard in shards if shard.copied}
    # An object of another size is left over from a broken write.
    missing = {uri: pieces for uri, pieces in wanted.items() if before.get(uri) != _size(pieces)}
    unpacking = _Unpacking(storage, [piece for pieces in missing.values() for piece in pieces])
    for uri, pieces in missing.items():
        storage.write(uri, _content(storage, pieces, unpacking))
    return Staged(
        len(missing),
        len(wanted) - len(missing),
        sum(map(_size, missing.values())),
        tuple(storage.list_below(place.folder)),
    )


def exists_with_size(storage: ObjectStorage, uri: str, size: int) -> bool:
    """Whether an object of this name and size exists; another size is left over from a broken write."""
    (found,) = storage.look_up([uri])
    return found is not None and found.size == size


def _content(storage: ObjectStorage, pieces: Iterable[Piece], unpacking: _Unpacking) -> Iterator[bytes]:
    """The pieces' lines; only the last one of all may lack its newline. Whole objects are fetched ahead."""
    newline = b""
    for (is_whole, packed), group in groupby(pieces, lambda each: (_is_whole(each), each.packed)):
        streams: Iterator[tuple[Piece, ByteStream]]
        if packed:
            streams = ((piece, unpacking.at(piece)) for piece in group)
        elif is_whole:
            streams = _whole(storage, list(group))
        else:
            streams = _ranges(storage, group)
        for piece, stream in streams:
            yield newline
            yield from _exactly(stream, piece)
            newline = b"" if piece.ended else b"\n"


def _size(pieces: list[Piece]) -> int:
    """The size of the object that the pieces are written into, in bytes."""
    return sum(piece.size for piece in pieces[:-1]) + pieces[-1].cut.size


def _is_whole(piece: Piece) -> bool:
    return piece.cut.start <= len(BOM) and piece.cut.end == piece.source.size


def _whole(storage: ObjectStorage, pieces: list[Piece]) -> Iterator[tuple[Piece, ByteStream]]:
    found = storage.read_each([piece.source for piece in pieces])
    for piece, (_, stream) in zip(pieces, found, strict=True):
        _skip(stream, piece.cut.start)
        yield piece, stream


def _ranges(storage: ObjectStorage, pieces: Iterable[Piece]) -> Iterator[tuple[Piece, ByteStream]]:
    for piece in pieces:
        with storage.open(piece.source, piece.cut.start, piece.cut.end) as stream:
            yield piece, stream


class _Unpacking:
    """The content of compressed objects. Each is decompressed once; small ones are fetched many at once.

    :param pieces: of all objects, in the order in which they are read.
    """

    def __init__(self, storage: ObjectStorage, pieces: Iterable[Piece]) -> None:
        sources = [source for source, _ in groupby(piece.source for piece in pieces if piece.packed)]
        self._coming = storage.read_each(sources)
        self._source: SourceObject | None = None
        self._stream = _Unpacked(iter(()))

    def at(self, piece: Piece) -> ByteStream:
        """The content from where a piece begins."""
        if self._source != piece.source:
            self._source, packed = next(self._coming)
            self._stream = _Unpacked(unpacked(blocks_in(packed), keep_bom=True))
        assert self._source == piece.source
        assert self._stream.position <= piece.cut.start
        _skip(self._stream, piece.cut.start - self._stream.position)
        return self._stream


class _Unpacked:
    """Blocks as a stream that knows its position."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._rest = blocks, b""
        self.position = 0

    def read(self, size: int = -1, /) -> bytes:
        self._rest = self._rest or next(self._blocks, b"")
        data = self._rest if size < 0 else self._rest[:size]
        self._rest = self._rest[len(data) :]
        self.position += len(data)
        return data


def _skip(stream: ByteStream, length: int) -> None:
    while length > 0 and (data := stream.read(min(length, BLOCK_BYTES))):
        length -= len(data)


def _exactly(stream: ByteStream, piece: Piece) -> Iterator[bytes]:
    left = piece.cut.size
    while left:
        block = stream.read(min(left, BLOCK_BYTES))
        if not block:
            raise InputChangedError([piece.source.uri])
        left -= len(block)
        yield block
