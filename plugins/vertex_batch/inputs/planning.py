"""Pack objects into the shards of a run, each of which one job reads. Pure.

An object that fits into a job is read in place, not copied, unless a job would read many small ones: these
are joined. One that is too large, or compressed, is written again in pieces of whole lines. The same objects
and limits always give the same shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from vertex_batch.inputs.measuring import Cut, Measured
from vertex_batch.storage import SourceObject, has_wildcard
from vertex_batch.vertex.limits import JobLimits

NAMED_PER_SHARD = 8
"""If a shard has more objects, its list of URIs would be too long, so small ones are joined."""
_JOINED_SHARE = 16
_JOINED_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """The part of one object that a shard reads.

    :param cut: the range of its content.
    :param copied: the range is written again; otherwise the object is read in place.
    :param packed: the object is gzip.
    :param ended: the range ends with a newline; otherwise it takes one more byte if another piece follows.
    """

    source: SourceObject
    cut: Cut
    copied: bool = False
    packed: bool = False
    ended: bool = True

    @property
    def rows(self) -> int:
        """Lines in it that are not blank."""
        return self.cut.rows

    @property
    def size(self) -> int:
        """Bytes that a job reads for it, at most. In place, a byte order mark is read, too."""
        return (self.cut.size if self.copied else self.cut.end) + (not self.ended)


@dataclass(slots=True)
class Shard:
    """The pieces that one job reads."""

    pieces: list[Piece] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.rows += piece.rows
        self.size += piece.size

    def takes(self, piece: Piece, limits: JobLimits) -> bool:
        """Whether the piece fits in addition to those already in the shard."""
        return limits.fits(self.rows + piece.rows, self.size + piece.size)

    @property
    def named(self) -> list[SourceObject]:
        """The objects that are read in place."""
        return [piece.source for piece in self.pieces if not piece.copied]

    @property
    def copied(self) -> list[Piece]:
        """The pieces that are written into the shard's own object, in this order."""
        return [piece for piece in self.pieces if piece.copied]


def make_shards(objects: Iterable[tuple[SourceObject, Measured]], limits: JobLimits) -> list[Shard]:
    """Pack the objects, in the order given, into as few jobs as first-fit finds.

    Pieces of a compressed object go into the last job or a new one, so that it is decompressed once.

    :param objects: measured with the same limits. Those without rows are left out.
    """
    shards: list[Shard] = []
    first_open = 0
    for piece in _pieces(objects, limits):
        while first_open < len(shards) and shards[first_open].rows >= limits.max_rows:
            first_open += 1
        tried = shards[-1:] if piece.packed else shards[first_open:]
        shard = next((each for each in tried if each.takes(piece, limits)), None)
        if shard is None:
            shard = Shard()
            shards.append(shard)
        shard.add(piece)
    return shards


def settle(shards: Sequence[Shard], limits: JobLimits) -> None:
    """Decide which objects are joined, and make one piece of neighboring ranges."""
    for shard in shards:
        many = len(shard.named) > NAMED_PER_SHARD
        below = max(_JOINED_BYTES, limits.max_bytes // _JOINED_SHARE)
        joined = [
            replace(piece, copied=True) if many and piece.source.size < below else piece
            for piece in shard.pieces
        ]
        shard.pieces = _merged(joined)


def needs_no_copy(shards: Sequence[Shard]) -> bool:
    """Whether one job can read everything with the spec's own URIs, so that nothing has to be written."""
    return len(shards) == 1 and not shards[0].copied


def _merged(pieces: Iterable[Piece]) -> list[Piece]:
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and last.source == piece.source and last.cut.end == piece.cut.start:
            cut = Cut(last.cut.start, piece.cut.end, last.rows + piece.rows)
            merged[-1] = replace(piece, cut=cut)
        else:
            merged.append(piece)
    return merged


def _pieces(objects: Iterable[tuple[SourceObject, Measured]], limits: JobLimits) -> Iterator[Piece]:
    for source, found in objects:
        whole = found.whole
        fits = limits.fits(found.rows, whole.end + (not found.ended))
        if fits and not found.packed:
            # A URI with a wildcard character in an object's name would match other objects, too.
            piece = Piece(source, whole, copied=has_wildcard(source.uri), ended=found.ended)
            yield from [piece] if found.rows else []
            continue
        for cut in found.cuts:
            if cut.rows:
                ended = found.ended or cut is not found.cuts[-1]
                yield Piece(source, cut, copied=True, packed=found.packed, ended=ended)
