"""A stream of rows -> how many there are, and where to cut it. Constant memory, one pass."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

from vertex_batch.errors import InputUnusableError
from vertex_batch.inputs.limits import JobLimits

BLOCK_BYTES = 4 << 20
PREFETCH_BYTES = 32 << 20
MAX_ROW_BYTES = 64 << 20
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Cut:
    """A range of whole lines of an object's (unpacked) content that fits into one job.

    :param end: the byte behind its last line.
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
    """What an object holds.

    :param size: bytes of its content, unpacked.
    :param cuts: the whole content, in order and without gaps: one where it fits into a job as it is.
    :param packed: it is gzip.
    """

    rows: int
    size: int
    cuts: tuple[Cut, ...]
    packed: bool = False


def measure(stream: BinaryIO, limits: JobLimits, uri: str) -> Measured:
    """Count an object's rows, and cut it into ranges of whole lines that each fit into a job.

    :param uri: for messages.
    :raises InputUnusableError: a row is too long for any job, or the compression is damaged.
    """
    content, packed = unpacked(stream)
    max_rows, max_bytes = limits.max_rows, limits.max_bytes
    cuts: list[Cut] = []
    start = end = rows = 0
    for number, line in enumerate(lines(content, uri), 1):
        length = len(line)
        is_row = not line.isspace()
        if end > start and (end - start + length > max_bytes or (is_row and rows == max_rows)):
            cuts.append(Cut(start, end, rows))
            start, rows = end, 0
        if length > max_bytes:
            raise InputUnusableError(uri, f"line {number} has {length:,} bytes, a job may read {max_bytes:,}")
        end += length
        rows += is_row
    cuts.append(Cut(start, end, rows))
    return Measured(sum(cut.rows for cut in cuts), end, tuple(cuts), packed)


def open_object(fs: Any, uri: str) -> Any:
    """Open an object to be read from its beginning to its end.

    gcsfs fetches ahead, of its own accord up to 256 MB for each object that is open.
    """
    return fs.open(uri, "rb", block_size=BLOCK_BYTES, cache_options={"max_prefetch_size": PREFETCH_BYTES})


def unpacked(stream: BinaryIO) -> tuple[BinaryIO, bool]:
    """Return the stream's content, and whether it had to be unpacked: gzip is known by how it begins."""
    magic = stream.read(len(_GZIP_MAGIC))
    stream.seek(0)
    if magic == _GZIP_MAGIC:
        return cast("BinaryIO", gzip.GzipFile(fileobj=stream)), True
    return stream, False


def lines(stream: BinaryIO, uri: str) -> Iterator[bytes]:
    """Yield each line with its line end; the last may have none.

    :raises InputUnusableError: see `measure`.
    """
    rest = b""
    for block in blocks(stream, uri):
        *whole, rest = (rest + block).split(b"\n")  # splitlines would take CR for a line end
        for line in whole:
            yield line + b"\n"
        if len(rest) > MAX_ROW_BYTES:
            raise InputUnusableError(uri, f"a line is longer than {MAX_ROW_BYTES:,} bytes")
    if rest:
        yield rest


def blocks(stream: BinaryIO, uri: str) -> Iterator[bytes]:
    """Yield the content as it comes.

    :raises InputUnusableError: the compression is damaged.
    """
    try:
        while block := stream.read(BLOCK_BYTES):
            yield block
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise InputUnusableError(uri, f"its gzip compression is damaged ({error})") from error
