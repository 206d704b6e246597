"""Count the rows of a stream and find where it may be cut. Constant memory, one pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from vertex_batch.errors import InputUnusableError
from vertex_batch.storage import (
    BOM,
    GZIP_MAGIC,
    MAX_LINE_BYTES,
    TOO_LONG,
    ByteStream,
    Lines,
    blocks_in,
    lines_of,
    unpacked,
)
from vertex_batch.vertex.limits import JobLimits

CUTS_PER_JOB = 8
"""An object is cut into pieces of an eighth of a job, so that they fill the jobs well."""
_ANSWER_KEYS = (b'"responseId"', b'"response_id"')


@dataclass(frozen=True, slots=True)
class Cut:
    """A range of whole lines of an object's (decompressed) content that fits into one job.

    :param end: the byte after its last line.
    :param rows: lines in it that are not blank.
    """

    start: int
    end: int
    rows: int

    @property
    def size(self) -> int:
        """Its length in bytes."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Measured:
    """The content of an object.

    :param size: bytes of its content, decompressed.
    :param cuts: the whole content, in order and without gaps, after a byte order mark.
    :param packed: it is gzip.
    :param ended: its last line has a newline.
    :param answered: a row has a ``responseId``: the object is, or may be, the output of a job.
    :param problem: why no job can read it; empty if a job can.
    """

    rows: int
    size: int
    cuts: tuple[Cut, ...]
    packed: bool = False
    ended: bool = True
    answered: bool = False
    problem: str = ""

    @property
    def whole(self) -> Cut:
        """The whole content as one range."""
        return Cut(self.cuts[0].start, self.cuts[-1].end, self.rows)

    def check(self, uri: str) -> None:
        """Refuse an object that no job can read.

        :raises InputUnusableError: a row is too long for any job, or the compression is damaged.
        """
        if self.problem:
            raise InputUnusableError(uri, self.problem)


class Measurer:
    """Counts the rows of one object while a caller reads them, and finds where it may be cut."""

    def __init__(self, limits: JobLimits) -> None:
        self._max_bytes = limits.max_bytes
        self._rows_a_cut = max(1, limits.max_rows // CUTS_PER_JOB)
        self._bytes_a_cut = max(1, limits.max_bytes // CUTS_PER_JOB)
        self._cuts: list[Cut] = []
        self._start = self._end = self._rows = self._line = 0
        self._packed = self._answered = False
        self._ended, self._problem = True, ""

    def lines(self, stream: ByteStream) -> Iterator[Lines]:
        """Yield the lines of an object, each block after counting it."""
        blocks = blocks_in(stream)
        first = next(blocks, b"")
        self._packed = first.startswith(GZIP_MAGIC)
        for block in lines_of(unpacked(chain([first], blocks), keep_bom=True)):
            self._add(block)
            yield block

    def result(self) -> Measured:
        """The counts, once all lines were read."""
        cuts = (*self._cuts, Cut(self._start, self._end, self._rows))
        rows = sum(cut.rows for cut in cuts)
        return Measured(rows, self._end, cuts, self._packed, self._ended, self._answered, self._problem)

    def _add(self, block: Lines) -> None:
        if block.damage:
            self._problem = self._problem or f"its gzip compression is damaged ({block.damage})"
        elif block.data == TOO_LONG:
            self._line += 1
            self._end += block.skipped
            self._rows += 1
            self._problem = self._problem or f"a line is longer than {MAX_LINE_BYTES:,} bytes"
        else:
            self._count(block)

    def _count(self, block: Lines) -> None:
        data = bytes(block.data)
        self._answered = self._answered or may_be_answered(data)
        if not self._end and data.startswith(BOM):
            self._start = self._end = len(BOM)
            data = data[len(BOM) :]
        start, end, rows = self._start, self._end, self._rows
        for line in Lines(data).lines if data else ():
            length, is_row = len(line), not line.isspace()
            full = end - start + length > self._bytes_a_cut or (is_row and rows == self._rows_a_cut)
            if full and end > start:
                self._cuts.append(Cut(start, end, rows))
                start, rows = end, 0
            self._line += 1
            if length > self._max_bytes and not self._problem:
                limit = f"a job may read at most {self._max_bytes:,}"
                self._problem = f"line {self._line} has {length:,} bytes, {limit}"
            end += length
            rows += is_row
        self._start, self._end, self._rows = start, end, rows
        self._ended = not block.cut


def may_be_answered(data: bytes) -> bool:
    """Whether one of these rows seems to have an answer already, judging by its bytes."""
    return any(key in data for key in _ANSWER_KEYS)


def rows_in(stream: ByteStream, uri: str) -> Iterator[bytes]:
    """Yield each line of an object with its newline; the last may have none.

    :raises InputUnusableError: see `Measured.check`.
    """
    for block in lines_of(unpacked(blocks_in(stream))):
        if block.damage:
            raise InputUnusableError(uri, f"its gzip compression is damaged ({block.damage})")
        if block.data == TOO_LONG:
            raise InputUnusableError(uri, f"a line is longer than {MAX_LINE_BYTES:,} bytes")
        yield from block.lines
