"""Lines as they come: broken, cut, compressed, odd."""

from __future__ import annotations

import gzip
import io
import json

import pytest

from tests.builders import scan_file
from vertex_batch.storage import BLOCK_BYTES, TOO_LONG, read_lines

MODEL = "gemini-2.5-flash"


@pytest.fixture
def good(row):
    return json.dumps(row({"promptTokenCount": 2})).encode()


def scan(data: bytes):
    return scan_file(io.BytesIO(data), "predictions.jsonl", MODEL)


def total(result):
    return sum(result.tokens.values())


def test_a_byte_order_mark_crlf_and_blank_lines_are_no_matter(good):
    result = scan(b"\xef\xbb\xbf" + good + b"\r\n\r\n\n   \n\t\r\n" + good + b"\r\n")
    assert (result.ok, result.unreadable, total(result)) == (2, 0, 4)


def test_a_last_line_without_newline_counts(good):
    assert scan(good + b"\n" + good).ok == 2


def test_a_cut_last_line_is_unreadable_with_its_number(good):
    result = scan(good + b"\n" + good[:-20])
    assert (result.ok, result.unreadable) == (1, 1)
    assert str(result.problems[0]) == "predictions.jsonl:2: the file ends in the middle of this row"


@pytest.mark.parametrize(
    "bad", [b"{", b"[]", b"null", b"5", b'"x"', b"\xff\xfe", b"{}{}", b"\x00", b"[" * 5000]
)
def test_a_broken_line_is_unreadable_and_hides_no_other(good, bad):
    result = scan(b"\n".join([good, bad, good, b""]))
    assert (result.ok, result.unreadable, total(result)) == (2, 1, 4)
    assert result.problems[0].line == 2


def test_problems_are_counted_all_and_shown_twenty(good):
    result = scan(b"{\n" * 50)
    assert (result.unreadable, len(result.problems)) == (50, 20)


def test_no_problem_repeats_what_a_row_says(row):
    secret = row(response={"usageMetadata": {"promptTokenCount": []}, "text": "SECRET"}, note="SECRET")
    assert "SECRET" not in str(scan(json.dumps(secret).encode()).problems)


def test_gzip_is_read_whatever_the_name_says(good):
    assert scan(gzip.compress((good + b"\n") * 3)).ok == 3


def test_gzip_of_several_members_is_read_to_the_end(good):
    assert scan(gzip.compress(good + b"\n") + gzip.compress(good + b"\n") + b"\0\0").ok == 2


def test_a_cut_gzip_keeps_the_rows_before_the_cut(good):
    lines = b"".join(good[:-1] + f',"n":"{i * 7919}"}}\n'.encode() for i in range(2000))
    result = scan(gzip.compress(lines)[:-400])
    assert 0 < result.ok < 2000
    assert result.unreadable == 1
    assert "ends too early" in result.problems[0].reason
    assert result.problems[0].line == result.ok + 1


def test_a_damaged_gzip_keeps_the_rows_before_the_damage(good):
    whole = bytearray(gzip.compress((good + b"\n") * 10) + gzip.compress(good))
    whole[-8] ^= 0xFF  # the checksum of the second member
    result = scan(bytes(whole))
    assert result.ok >= 10
    assert "damaged" in result.problems[0].reason


def test_rows_longer_than_a_block_are_read(row):
    long = row({"promptTokenCount": 2}, echo="x" * (3 * BLOCK_BYTES))
    assert scan(json.dumps(long).encode() + b"\n" + json.dumps(row()).encode()).ok == 2


def test_a_line_without_end_does_not_fill_the_memory():
    stream = io.BytesIO(b"a\n" + b"x" * (4 * BLOCK_BYTES) + b"\nb\nc")
    lines = [line for block in read_lines(stream, max_line_bytes=BLOCK_BYTES) for line in block.lines]
    assert lines == [b"a\n", TOO_LONG, b"b\n", b"c"]


def test_an_empty_file_has_no_rows():
    assert scan(b"").rows == scan(b"\n\n").rows == 0


def test_a_gzip_is_read_in_blocks_with_few_reads(good):
    class Reads(io.BytesIO):
        sizes: list[int]

        def read(self, size: int | None = -1, /) -> bytes:
            self.sizes.append(-1 if size is None else size)
            return super().read(size)

    packed = gzip.compress((good + b"\n") * 20_000, compresslevel=0)
    stream = Reads(packed)
    stream.sizes = []
    rows = sum(len(block.lines) for block in read_lines(stream))
    assert rows == 20_000
    assert set(stream.sizes) == {BLOCK_BYTES}
    assert len(stream.sizes) <= len(packed) // BLOCK_BYTES + 2
