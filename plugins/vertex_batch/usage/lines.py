"""A byte stream -> its lines, a block at a time, in constant memory. Plain or gzip, by its content."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Lines:
    """Consecutive lines, without their newlines.

    :param lines: None stands for a line longer than `MAX_LINE_BYTES`, which was skipped.
    :param cut: the last of them has no newline: the file ends there.
    :param damage: why the stream ends here although more was to come.
    """

    lines: list[bytes | None]
    cut: bool = False
    damage: str = ""


class _DamagedError(Exception):
    """The compressed stream cannot be read further."""


def read_lines(stream: BinaryIO, max_line_bytes: int = MAX_LINE_BYTES) -> Iterator[Lines]:
    """Yield the lines of a stream; a byte order mark and gzip are taken off.

    A stream that ends in the middle of a line or of its compression is not an error here: what could be read
    is yielded, and the last `Lines` says what is wrong.
    """
    rest, skipping, damage = b"", False, ""
    blocks = _blocks(stream)
    while True:
        try:
            block = next(blocks, b"")
        except _DamagedError as error:
            block, damage = b"", str(error)
        if not block:
            break
        data = rest + block
        if skipping:  # the rest of an overlong line
            end = data.find(b"\n")
            if end < 0:
                rest = b""
                continue
            data, skipping = data[end + 1 :], False
        lines: list[bytes | None] = list(data.split(b"\n"))
        rest = lines.pop() or b""
        if len(rest) > max_line_bytes:
            lines.append(None)
            rest, skipping = b"", True
        if lines:
            yield Lines(lines)
    if rest or damage:
        yield Lines([rest], cut=True, damage=damage)


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
