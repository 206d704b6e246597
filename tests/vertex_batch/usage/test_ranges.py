"""A file scanned in ranges, by several processes, is the file scanned as a whole."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vertex_batch.usage.ranges import line_ranges, scan_in_processes
from vertex_batch.usage.scan import ScanOptions, scan_file

MODEL = "gemini-2.5-flash"


def whole(path):
    with path.open("rb") as stream:
        return scan_file(stream, path.name, MODEL)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=30), max_size=12), st.integers(1, 60), st.booleans())
def test_ranges_hold_every_byte_once_and_begin_with_a_line(tmp_path, lines, range_bytes, ends):
    content = b"\n".join(lines) + (b"\n" if ends else b"")
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    ranges = line_ranges(str(path), range_bytes)
    assert b"".join(content[r.start : r.end] for r in ranges) == content
    assert all(r.start == 0 or content[r.start - 1 : r.start] == b"\n" for r in ranges)
    assert scan_in_processes([str(path)], ScanOptions(MODEL), 1, range_bytes) == whole(path)


@pytest.mark.parametrize("range_bytes", [100, 1000, 1 << 20])
def test_processes_add_up_to_one_scan_line_numbers_included(tmp_path, row, range_bytes):
    rows = [json.dumps(row({"promptTokenCount": n, "hologram": n % 3})).encode() for n in range(200)]
    rows[50] = b"{broken"
    rows[150] = rows[150][:-5]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(rows))
    result = scan_in_processes([str(path)], ScanOptions(MODEL), 3, range_bytes)
    assert result == whole(path)
    assert [problem.line for problem in result.problems] == [51, 151]


def test_shards_are_one_output_and_lines_are_counted_in_each(tmp_path, row):
    for name, content in (("0.jsonl", b"{}\n{"), ("1.jsonl.gz", gzip.compress(b"{}\n\n{"))):
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / "0.jsonl"), str(tmp_path / "1.jsonl.gz")]
    result = scan_in_processes(paths, ScanOptions(MODEL), 2, 2)
    assert (result.failed, result.unreadable) == (2, 2)
    assert [(p.file, p.line) for p in result.problems] == [("0.jsonl", 2), ("1.jsonl.gz", 3)]
