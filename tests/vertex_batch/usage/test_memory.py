"""A hundred thousand rows take no more memory than one."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc

from tests.builders import scan_file

ROWS = 100_000
ALLOWED_BYTES = 16 << 20


class Endless(io.RawIOBase):
    """A file of many rows that is nowhere in memory; every row has its own id, reason and model text."""

    def __init__(self, template: dict, rows: int) -> None:
        good = json.dumps({**template, "key": "id-%d"}).encode() + b"\n"
        bad = json.dumps({**template, "status": "failed for reason %d"}).encode() + b"\n"
        self._lines = ((good if n % 10 else bad) % n for n in range(rows))
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while len(self._rest) < len(buffer) and (line := next(self._lines, b"")):
            self._rest += line
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def test_a_hundred_thousand_rows_are_added_up_in_flat_memory(row):
    template = row({"promptTokenCount": 3, "candidatesTokenCount": 2})
    stream = io.BufferedReader(Endless(template, ROWS), buffer_size=1 << 16)
    tracemalloc.start()
    try:
        result = scan_file(stream, "f", "gemini-2.5-flash")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (result.ok, result.failed) == (ROWS * 9 // 10, ROWS // 10)
    assert sum(result.tokens.values()) == ROWS * 9 // 10 * 5
    assert sum(result.failed_reasons.values()) == ROWS // 10
    assert len(result.failed_reasons) <= 51
    assert peak < ALLOWED_BYTES


def test_a_small_gzip_of_many_rows_does_not_fill_the_memory(row):
    rows = 30_000
    whole = json.dumps(row(echo="x" * 1000)).encode() + b"\n"
    packed = gzip.compress(whole * rows)
    tracemalloc.start()
    try:
        assert scan_file(io.BytesIO(packed), "f", "m").ok == rows
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(packed) < 1 << 20
    assert peak < ALLOWED_BYTES
