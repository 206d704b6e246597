"""The rows of the night: the same ones every time, and made fast enough for gigabytes."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_PROSE = (
    "the order arrived late and the box was open when the courier rang"
    " please confirm the refund of our last invoice before the month ends"
    " screen battery hinge charger cable account address delivery warranty"
)
_WORDS = _PROSE.split()
_TEXT_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20
_MULTIPLIER = 2654435761  # Knuth's; spreads consecutive numbers over 32 bits
_START = b'{"key":"%08d","request":{"contents":[{"role":"user","parts":['
_END = b']}],"generationConfig":{"temperature":0.2}}}\n'
_TEXT = b'{"text":"R\xc3\xa9sum\xc3\xa9:\\n%b"}'
_PICTURE = b'{"text":"What is in it?"},{"inlineData":{"mimeType":"image/png","data":"%b"}}'


@dataclass(frozen=True)
class Rows:
    """Rows of one kind.

    :param mean_bytes: of a line; each is between half and one and a half of it.
    :param pictures: the line is an inline picture, not text.
    """

    mean_bytes: int
    pictures: bool = False

    def lines(self, first: int, count: int) -> Iterator[bytes]:
        """Make the lines with the keys from ``first`` on."""
        part = _PICTURE if self.pictures else _TEXT
        fixed = len(_START % 0 + part % b"" + _END)
        pool = self._pool()
        base = self.mean_bytes // 2 - fixed % 4
        for number in range(first, first + count):
            spread = number * _MULTIPLIER & 0xFFFFFFFF
            size = max(4, base + (spread * self.mean_bytes >> 32) - fixed) & ~3
            start = spread % _TEXT_BYTES & ~3
            yield b"%b%b%b" % (_START % number, part % pool[start : start + size], _END)

    def _pool(self) -> bytes:
        chance = random.Random(11)  # noqa: S311 - the same every time
        size = _TEXT_BYTES + 2 * self.mean_bytes
        if self.pictures:
            return base64.b64encode(chance.randbytes(size))
        return " ".join(chance.choices(_WORDS, k=size // 3)).encode()[:size]


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to pieces of about a megabyte."""
    held: list[bytes] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _PIECE_BYTES:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress pieces with gzip."""
    packer = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        if found := packer.compress(piece):
            yield found
    yield packer.flush()
