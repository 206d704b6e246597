"""A file scanned in ranges, by several processes, is the file scanned as a whole."""

from __future__ import annotations

import gzip
import json
import multiprocessing
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.builders import scan_file
from vertex_batch.storage import lines_between
from vertex_batch.usage.parallel import Progress, at_most_every, scan_files
from vertex_batch.usage.scan import ScanOptions

MODEL = "gemini-2.5-flash"
LOCAL = fsspec.filesystem("file")


def whole(path):
    with path.open("rb") as stream:
        return scan_file(stream, path.name, MODEL)


@given(
    st.lists(st.sampled_from([b"", b"a", b"\xef\xbb\xbfb", b"cc" * 9]) | st.binary(max_size=9), max_size=12),
    st.integers(1, 60),
    st.integers(1, 9),
)
def test_ranges_hold_every_line_once_whatever_the_blocks(lines, range_bytes, block_bytes):
    content = b"\n".join(lines)

    def between(start, end):
        begins = max(start - 1, 0)
        blocks = (content[n : n + block_bytes] for n in range(begins, len(content), block_bytes))
        return b"".join(lines_between(blocks, start, end))

    begins = [0, *(n + 1 for n, byte in enumerate(content) if byte == ord("\n"))]
    for start in range(0, len(content), range_bytes):
        end = min(start + range_bytes, len(content))
        own = [content[n:].partition(b"\n") for n in begins if start <= n < end]
        assert between(start, end) == b"".join(line + newline for line, newline, _ in own)


@pytest.mark.parametrize("range_bytes", [100, 1000, 1 << 20])
def test_processes_add_up_to_one_scan_line_numbers_included(tmp_path, row, range_bytes):
    rows = [json.dumps(row({"promptTokenCount": n, "hologram": n % 3})).encode() for n in range(200)]
    rows[0] = b"\xef\xbb\xbf" + rows[0]
    rows[50] = b"{broken"
    rows[60] = b'{"status":"no"}'
    rows[120] = b'{"instance":{},"prediction":"id"}'
    rows[150] = rows[150][:-5]
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join(rows))
    result = scan_files(LOCAL, [str(path)], ScanOptions(MODEL), 3, range_bytes=range_bytes)
    assert result == whole(path)
    assert [problem.line for problem in result.problems] == [51, 151]
    assert [sample.line for sample in result.failed_samples] == [61]
    assert [sample.line for sample in result.unrecognized_samples] == [121]


def test_shards_are_one_output_and_lines_are_counted_in_each(tmp_path, row):
    for name, content in (("0.jsonl", b"{}\n{"), ("1.jsonl.gz", gzip.compress(b"{}\n\n{"))):
        (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / "0.jsonl"), str(tmp_path / "1.jsonl.gz")]
    result = scan_files(LOCAL, paths, ScanOptions(MODEL), 2, range_bytes=2)
    assert (result.unrecognized, result.unreadable) == (2, 2)
    assert [(p.file, p.line) for p in result.unrecognized_samples] == [("0.jsonl", 1), ("1.jsonl.gz", 1)]
    assert [(p.file, p.line) for p in result.problems] == [("0.jsonl", 2), ("1.jsonl.gz", 3)]


def test_progress_is_told_up_to_the_end_by_one_process_or_several(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_bytes((json.dumps(row()).encode() + b"\n") * 100)
    size = path.stat().st_size
    for processes in (1, 2):
        told: list[Progress] = []
        scan_files(LOCAL, [str(path)], ScanOptions(MODEL), processes, told.append, range_bytes=size // 3)
        assert told[-1] == Progress(size, size, 100)
        assert [each.bytes_read for each in told] == sorted(each.bytes_read for each in told)


def _scan_as_a_daemon(path, sender):
    sender.send(scan_files(LOCAL, [path], ScanOptions(MODEL), 2, range_bytes=100).rows)


def test_a_daemonic_process_which_may_have_no_children_scans_by_itself(tmp_path, row):
    path = tmp_path / "rows.jsonl"
    path.write_bytes((json.dumps(row()).encode() + b"\n") * 10)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.Process(target=_scan_as_a_daemon, args=(str(path), sender), daemon=True)
    process.start()
    assert receiver.poll(60)
    assert receiver.recv() == 10
    process.join()


def test_progress_is_passed_on_at_most_every_so_many_seconds():
    told, now = list[Any](), iter([0, 29, 30, 30, 31, 60, 60])
    on_progress = at_most_every(30, told.append, clock=lambda: next(now))
    for n in range(4):
        on_progress(Progress(n, 4_000_000, n))
    assert [progress.rows for progress in told] == [1, 3]
    assert str(Progress(1_500_000, 4_000_000, 1234)) == "37 % of 4 MB, 1,234 rows"
