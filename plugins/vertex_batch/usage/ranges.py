"""Scan large local files in several processes, each a range of whole lines. Sums are those of one scan."""

from __future__ import annotations

import io
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from vertex_batch.usage.scan import Scanner, ScanOptions
from vertex_batch.usage.types import ScanResult

RANGE_BYTES = 32 << 20
_LOOK_BYTES = 1 << 20
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class LineRange:
    """The bytes of whole lines of a file."""

    path: str
    start: int
    end: int


class _RangeReader(io.RawIOBase):
    """A stream of one range, as if it were a file."""

    def __init__(self, stream: BinaryIO, line_range: LineRange) -> None:
        super().__init__()
        self._stream, self._left = stream, line_range.end - line_range.start
        stream.seek(line_range.start)

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data


def scan_in_processes(
    paths: list[str], options: ScanOptions, processes: int, range_bytes: int = RANGE_BYTES
) -> ScanResult:
    """Scan local files as one output.

    :param options: without `copies`, which one process has to see all rows for.
    :param range_bytes: about how much a process takes at a time; smaller files are read whole.
    """
    assert options.copies is None
    ranges = [r for path in paths for r in line_ranges(path, range_bytes)]
    if processes < 2 or len(ranges) < 2:  # noqa: PLR2004 - one process, or work for one
        scans = [_scan_range(r, options) for r in ranges]
    else:
        with ProcessPoolExecutor(min(processes, len(ranges)), _context()) as pool:
            scans = list(pool.map(_scan_range, ranges, [options] * len(ranges)))
    return _merged(zip(ranges, scans, strict=True))


def line_ranges(path: str, range_bytes: int = RANGE_BYTES) -> list[LineRange]:
    """Cut a file into ranges of whole lines. What is compressed is one range."""
    size = Path(path).stat().st_size
    with Path(path).open("rb") as stream:
        if size <= range_bytes or stream.read(2) == _GZIP_MAGIC:
            return [LineRange(path, 0, size)]
        cuts = [0]
        while cuts[-1] + range_bytes < size:
            cut = _after_newline(stream, cuts[-1] + range_bytes, size)
            while _begins_like_a_file(stream, cut):
                cut = _after_newline(stream, cut + 1, size)
            cuts.append(cut)
    if cuts[-1] < size:
        cuts.append(size)
    return [LineRange(path, start, end) for start, end in pairwise(cuts)]


def _begins_like_a_file(stream: BinaryIO, position: int) -> bool:
    """Whether a line begins with what would be taken off, or unpacked, at the beginning of a file."""
    stream.seek(position)
    return stream.read(3).startswith((_BOM, _GZIP_MAGIC))


def _after_newline(stream: BinaryIO, position: int, size: int) -> int:
    """Where the first line begins that does so at `position` or later; the file's end if none does."""
    position -= 1  # a newline just before means that a line begins here
    while position < size:
        stream.seek(position)
        found = stream.read(_LOOK_BYTES).find(b"\n")
        if found >= 0:
            return position + found + 1
        position += _LOOK_BYTES
    return size


def _scan_range(line_range: LineRange, options: ScanOptions) -> tuple[ScanResult, int]:
    scanner = Scanner(options)
    with Path(line_range.path).open("rb", buffering=0) as stream:
        lines = scanner.scan(_RangeReader(stream, line_range), Path(line_range.path).name)  # type: ignore[arg-type]
    return scanner.result(), lines


def _merged(scans: Iterator[tuple[LineRange, tuple[ScanResult, int]]]) -> ScanResult:
    """One result; line numbers are those of the file, not of the range."""
    whole = ScanResult()
    lines_before, path = 0, ""
    for line_range, (scan, lines) in scans:
        lines_before = lines_before if line_range.path == path else 0
        path = line_range.path
        scan.problems = [replace(p, line=p.line + lines_before) for p in scan.problems]
        whole = whole.merge(scan)
        lines_before += lines
    return whole


def _context() -> multiprocessing.context.BaseContext:
    """Fork where it is safe: it needs no imports anew."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return multiprocessing.get_context("fork" if can_fork else "spawn")
