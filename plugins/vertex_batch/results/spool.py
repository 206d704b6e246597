"""A file of texts and numbers that are read again once: answers and carried-over fields.

They are most of a delivery. DuckDB joins and sorts only their places, so that its memory does not depend on
how large an answer is.
"""

from __future__ import annotations

import os
from array import array
from pathlib import Path

_BUFFER_BYTES = 1 << 20
Span = tuple[int, int] | tuple[None, None]
"""The first byte and the number of bytes; None twice for nothing."""
NO_SPAN: Span = (None, None)


class Spool:
    """Append first, then read at any place."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("w+b", buffering=_BUFFER_BYTES)
        self._end = 0

    def add(self, data: bytes) -> Span:
        """Append some bytes; return where they are."""
        start = self._end
        self._stream.write(data)
        self._end += len(data)
        return start, len(data)

    def add_numbers(self, numbers: list[float]) -> Span:
        return self.add(array("d", numbers).tobytes())

    def flush(self) -> None:
        """Make everything readable."""
        self._stream.flush()

    def read(self, start: int, size: int) -> bytes:
        """Read what was appended before the last `flush`."""
        return os.pread(self._stream.fileno(), size, start)

    def read_numbers(self, start: int, size: int) -> list[float]:
        numbers = array("d")
        numbers.frombytes(self.read(start, size))
        return numbers.tolist()

    def close(self) -> None:
        """Close the file; who made its folder removes it."""
        self._stream.close()
