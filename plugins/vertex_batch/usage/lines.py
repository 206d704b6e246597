"""A byte stream -> its lines, a block at a time, in constant memory. Plain or gzip, by its content."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK_BYTES = 128 << 10  # a block and its lines stay in the processor's cache
MAX_LINE_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"


TOO_LONG = b""  # no other line is empty, since each has its newline


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines, with their newlines.

    :param lines: `TOO_LONG` stands for a line longer than `MAX_LINE_BYTES`, which was skipped.
    :param cut: the last of them has no newline: the file ends there.
    :param damage: why the stream ends here although more was to come.
    """

    lines: list[bytes | bytearray]
    cut: bool = False
    damage: str = ""


class _DamagedError(Exception):
    """The compressed stream cannot be read further."""


def read_lines(stream: BinaryIO, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Lines]:
    """Yield the lines of a stream; a byte order mark and gzip are taken off.

    A stream that ends in the middle of a line or of its compression is not an error here: what could be read
    is yielded, and the last `Lines` says what is wrong.
    """
    begun, begun_bytes = bytearray(), 0  # a line that goes on in the next block
    damage = ""
    blocks = _blocks(stream)
    while True:
        try:
            block = next(blocks, b"")
        except _DamagedError as error:
            block, damage = b"", str(error)
        if not block:
            break
        # Several times as fast as split, which looks at one byte after the other.
        lines: list[bytes | bytearray] = list(io.BytesIO(block).readlines())
        begun_bytes += len(lines[0])
        if begun_bytes <= max_line_bytes:
            begun += lines[0]
        else:
            begun = bytearray()
        if not lines[0].endswith(b"\n"):
            continue
        lines[0], begun, begun_bytes = begun, bytearray(), 0
        if not block.endswith(b"\n"):
            begun += lines.pop()
            begun_bytes = len(begun)
        yield Lines(lines)
    if begun_bytes or damage:
        yield Lines([begun], cut=True, damage=damage)


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    first = stream.read(BLOCK_BYTES)
    if first.startswith(_GZIP_MAGIC):
        blocks = _gunzip(stream, first)
        first = next(blocks, b"")
    else:
        blocks = iter(lambda: stream.read(BLOCK_BYTES), b"")
    first = first.removeprefix(_BOM)
    if first:
        yield first
    yield from blocks


def _gunzip(stream: BinaryIO, data: bytes) -> Iterator[bytes]:
    """Decompress block by block; `gzip.GzipFile` would lose what precedes a damaged place."""
    member = zlib.decompressobj(wbits=31)
    while data:
        try:
            block = member.decompress(data, BLOCK_BYTES)
        except zlib.error as error:
            raise _DamagedError(f"the gzip stream is damaged ({error})") from error
        if block:
            yield block
        data = member.unconsumed_tail
        if member.eof:
            data = member.unused_data.lstrip(b"\0")
            data = data or stream.read(BLOCK_BYTES)
            member = zlib.decompressobj(wbits=31)
            if not data:
                return
        elif not data:
            data = stream.read(BLOCK_BYTES)
    raise _DamagedError("the gzip stream ends too early")
