"""Objects with their rows -> the shards of a run, each of which one job reads. Pure.

Objects that fit as they lie are named, never copied; only one that is too large for a job, or packed, is
written anew, in pieces of whole lines. The same objects and limits always give the same shards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from vertex_batch.inputs.limits import JobLimits
from vertex_batch.inputs.measuring import Cut, Measured

_WILDCARDS = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class SourceObject:
    """An input object.

    :param size: in bytes.
    :param version: changes whenever its content does: its generation, or a hash.
    """

    uri: str
    size: int
    version: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """What a shard reads of one object.

    :param cut: the range to be written anew; None: the object is read as it lies.
    """

    source: SourceObject
    rows: int
    size: int
    cut: Cut | None = None


@dataclass(slots=True)
class Shard:
    """What one job reads."""

    pieces: list[Piece] = field(default_factory=list)
    rows: int = 0
    size: int = 0

    def add(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.rows += piece.rows
        self.size += piece.size

    def takes(self, piece: Piece, limits: JobLimits) -> bool:
        """Whether the piece fits beside what is there."""
        return len(self.pieces) < limits.max_files and limits.fits(
            self.rows + piece.rows, self.size + piece.size
        )


def make_shards(objects: Iterable[tuple[SourceObject, Measured]], limits: JobLimits) -> list[Shard]:
    """Lay the objects, in the order given, into as many jobs as it takes.

    :param objects: measured with the same limits. Those without rows are left out.
    """
    shards: list[Shard] = []
    for piece in _pieces(objects):
        if not shards or not shards[-1].takes(piece, limits):
            shards.append(Shard())
        shards[-1].add(piece)
    return shards


def fits_as_it_lies(shards: Sequence[Shard]) -> bool:
    """Whether one job reads everything, and nothing has to be written: the spec's own URIs will do."""
    return len(shards) == 1 and all(piece.cut is None for piece in shards[0].pieces)


def without_doubles(objects: Iterable[SourceObject]) -> list[SourceObject]:
    """Each object once, by its URI: two wildcards may both find it, and its rows would be paid for twice."""
    return list({each.uri: each for each in objects}.values())


def literal_wildcard_problem(uri: str) -> str | None:
    """Say why no job can read an object of exactly this name; None where one can.

    Vertex reads brackets as a wildcard, also in the name of an object that exists, and the job fails after it
    was created.
    """
    if "[" not in uri:
        return None
    pattern = uri.replace("[", "?").replace("]", "?")
    return (
        "its name contains `[` or `]`, which Vertex reads as a wildcard, so the job would not find it: rename"
        f" the object, or write `{pattern}`, in which each `?` matches one character"
    )


def _pieces(objects: Iterable[tuple[SourceObject, Measured]]) -> Iterator[Piece]:
    for source, measured in objects:
        # Named one by one, an object with a wildcard's character in its name would stand for others, too.
        as_it_lies = len(measured.cuts) == 1 and not measured.packed and not _WILDCARDS & set(source.uri)
        if as_it_lies:
            if measured.rows:
                yield Piece(source, measured.rows, measured.size)
            continue
        yield from (Piece(source, cut.rows, cut.size, cut) for cut in measured.cuts if cut.rows)
