"""Split a byte stream into lines, block by block, in constant memory. Gzip is detected by content."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vertex_batch.storage.streams import ByteStream

BLOCK_BYTES = 128 << 10  # small enough for a block and its lines to fit in the processor's cache
MAX_LINE_BYTES = 64 << 20
BOM = b"\xef\xbb\xbf"
GZIP_MAGIC = b"\x1f\x8b"
GZIP_SUFFIXES = (".gz", ".gzip")
Block = bytes | memoryview
TOO_LONG = b""  # unambiguous: every other line has its newline


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines, with their newlines.

    :param data: the lines in one piece. Empty for a line longer than `MAX_LINE_BYTES`, which was skipped.
    :param cut: the last line has no newline: the file ends there.
    :param damage: why the stream ends here before its end.
    :param skipped: bytes of the line that was skipped.
    """

    data: Block
    cut: bool = False
    damage: str = ""
    skipped: int = 0

    @property
    def size(self) -> int:
        """The size of these lines in the stream, in bytes."""
        return len(self.data) + self.skipped

    @property
    def lines(self) -> list[bytes]:
        """The lines; `TOO_LONG` for one that was skipped."""
        return split_lines(self.data) or [TOO_LONG]


def split_lines(data: Block) -> list[bytes]:
    """Split after each newline, and nowhere else. Several times as fast as `split`."""
    return io.BytesIO(data).readlines()


class DamagedError(Exception):
    """The compressed stream cannot be read further."""


def read_lines(stream: ByteStream, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Lines]:
    """Yield the lines of a stream, plain or gzip; see `lines_of`.

    :param max_line_bytes: a longer line is skipped; an empty `Lines` takes its place.
    """
    return lines_of(unpacked(blocks_in(stream)), max_line_bytes)


def blocks_in(stream: ByteStream) -> Iterator[bytes]:
    """Yield a stream's bytes unchanged."""
    return iter(lambda: stream.read(BLOCK_BYTES), b"")


def lines_of(blocks: Iterator[bytes], max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Lines]:
    """Yield the lines of blocks of bytes.

    A stream that ends in the middle of a line or of its compressed data does not raise: everything that could
    be read is yielded, and the last `Lines` has the reason.
    """
    begun: list[bytes] = []  # a line that continues in the next block
    begun_bytes = 0
    damage = ""
    while True:
        try:
            block = next(blocks, b"")
        except DamagedError as error:
            block, damage = b"", str(error)
        if not block:
            break
        first, ends = block.find(b"\n") + 1, block.rfind(b"\n") + 1
        begun_bytes += first or len(block)
        if begun_bytes > max_line_bytes:
            begun = []
        else:
            begun.append(block[:first] if first else block)
        if not first:
            continue
        line = b"".join(begun)
        yield Lines(line, skipped=0 if line else begun_bytes)
        if first < ends:
            yield Lines(memoryview(block)[first:ends])
        begun, begun_bytes = [block[ends:]], len(block) - ends
    if begun_bytes or damage:
        line = b"".join(begun)
        yield Lines(line, cut=True, damage=damage, skipped=0 if line else begun_bytes)


def lines_between(blocks: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """Reduce blocks to the lines that begin in a range of a file, so that each line is in one range only.

    :param blocks: the bytes of the file from the one before `start`, to its end.
    """
    position, begun = max(start - 1, 0), start == 0
    for block in blocks:
        data = block
        if not begun:  # the end of a line of the range before
            begins = block.find(b"\n") + 1
            position += begins or len(block)
            if position >= end:
                return
            begun, data = begins > 0, block[begins:] if begins else b""
        ends = data.find(b"\n", max(end - 1 - position, 0)) + 1
        if ends:
            yield data[:ends]
            return
        if data:
            yield data
            position += len(data)


def unpacked(blocks: Iterator[bytes], *, keep_bom: bool = False) -> Iterator[bytes]:
    """Decompress gzip, which is recognized by its first bytes, and remove a byte order mark."""
    first = next(blocks, b"")
    if first.startswith(GZIP_MAGIC):
        blocks = _gunzip(blocks, first)
        first = next(blocks, b"")
    first = first if keep_bom else first.removeprefix(BOM)
    if first:
        yield first
    yield from blocks


def _gunzip(blocks: Iterator[bytes], data: bytes) -> Iterator[bytes]:
    """Decompress block by block; `gzip.GzipFile` would lose the data before a damaged place."""
    member = zlib.decompressobj(wbits=31)
    while data:
        try:
            block = member.decompress(data, BLOCK_BYTES)
        except zlib.error as error:
            raise DamagedError(f"the gzip stream is damaged ({error})") from error
        if block:
            yield block
        data = member.unconsumed_tail
        if member.eof:
            data = member.unused_data.lstrip(b"\0")
            data = data or next(blocks, b"")
            member = zlib.decompressobj(wbits=31)
            if not data:
                return
        elif not data:
            data = next(blocks, b"")
    raise DamagedError("the gzip stream ends too early")
