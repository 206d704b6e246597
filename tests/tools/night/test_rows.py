from __future__ import annotations

import gzip
import json

import pytest

from tools.night.rows import Rows, joined, packed


@pytest.mark.parametrize(
    ("rows", "count"),
    [(Rows(400), 2000), (Rows(3_500), 500), (Rows(1_500_000, pictures=True), 8)],
    ids=["short", "usual", "pictures"],
)
def test_rows_are_json_with_their_key_and_about_as_long_as_asked(rows, count):
    lines = list(rows.lines(5, count))
    found = [json.loads(line) for line in lines]
    assert [int(row["key"]) for row in found] == list(range(5, 5 + count))
    assert all(row["request"]["contents"][0]["parts"] for row in found)
    assert len({len(line) for line in lines}) > min(count, 30) / 2
    assert sum(map(len, lines)) / count == pytest.approx(rows.mean_bytes, rel=0.2)
    assert lines == list(rows.lines(5, count))


def test_lines_are_joined_to_pieces_and_packed():
    lines = list(Rows(2_000).lines(0, 2_000))
    pieces = list(joined(lines))
    assert len(pieces) == 4
    assert gzip.decompress(b"".join(packed(pieces))) == b"".join(lines)
