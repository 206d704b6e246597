"""Scan files, large ones in several processes, each a range of lines. Sums are those of one scan."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

from vertex_batch.usage.lines import GZIP_MAGIC, lines_between, lines_of, unpacked
from vertex_batch.usage.progress import OnProgress, Progress
from vertex_batch.usage.scan import Scanner, ScanOptions
from vertex_batch.usage.sources import blocks_of, is_local
from vertex_batch.usage.types import RowProblem, ScanResult

RANGE_BYTES = 32 << 20
FETCHED_RANGE_BYTES = 64 << 20  # each begins with a wait for the object store


@dataclass(frozen=True, slots=True)
class LineRange:
    """The lines of a file that begin in a range of its bytes; or the whole file, which may be compressed."""

    path: str
    start: int
    end: int
    size: int


def scan_files(
    fs: Any,
    paths: list[str],
    options: ScanOptions,
    processes: int = 1,
    on_progress: OnProgress | None = None,
    *,
    range_bytes: int = 0,
) -> ScanResult:
    """Scan files as one output.

    :param options: without `copies`, which one process has to see all rows for (`scan_in_turn`).
    :param processes: at most so many; a daemonic process, which may have no children, does all by itself.
    :param on_progress: called often, in this thread.
    :param range_bytes: about how much a process takes at a time; smaller files are read whole.
    """
    assert options.copies is None
    wholes = _wholes(fs, paths)
    if processes > 1 and not multiprocessing.current_process().daemon:
        range_bytes = range_bytes or (RANGE_BYTES if is_local(fs) else FETCHED_RANGE_BYTES)
        ranges = [part for whole in wholes for part in line_ranges(fs, whole, range_bytes, processes)]
        if len(ranges) > 1:
            meter = _ProgressMeter(on_progress, sum(whole.size for whole in wholes))
            processes = min(processes, len(ranges))
            with ProcessPoolExecutor(processes, _context(), _begin, (fs, options)) as pool:
                scans = pool.map(_scan_range, ranges)
                return _merged(meter.after_each(zip(ranges, scans, strict=True)))
    return scan_in_turn([(fs, paths)], options, on_progress)


def scan_in_turn(
    outputs: Sequence[tuple[Any, list[str]]], options: ScanOptions, on_progress: OnProgress | None = None
) -> ScanResult:
    """Scan the files of several outputs, each with its filesystem, in this process.

    :param options: `copies` are those between the outputs.
    """
    files = [(fs, whole) for fs, paths in outputs for whole in _wholes(fs, paths)]
    meter = _ProgressMeter(on_progress, sum(whole.size for _, whole in files))
    scanner = Scanner(options)
    of_output = iter(files)
    for _, paths in outputs:
        for fs, whole in islice(of_output, len(paths)):
            blocks = meter.counting(blocks_of(fs, whole.path, 0, whole.size, whole.size), scanner)
            scanner.scan_lines(lines_of(unpacked(blocks)), _name(whole.path))
        if options.copies is not None:
            options.copies.next_output()
    return scanner.result()


def _wholes(fs: Any, paths: list[str]) -> list[LineRange]:
    return [LineRange(path, 0, size, size) for path in paths for size in (fs.size(path),)]


def line_ranges(fs: Any, whole: LineRange, range_bytes: int, processes: int = 1) -> list[LineRange]:
    """Cut a file into ranges of about one size, as many for each process. What is compressed is one range."""
    count = -(-whole.size // range_bytes)
    count = -(-count // processes) * processes if count > 1 else count
    if count < 2 or fs.cat_file(whole.path, start=0, end=2) == GZIP_MAGIC:  # noqa: PLR2004
        return [whole]
    cuts = [whole.size * n // count for n in range(count + 1)]
    return [replace(whole, start=start, end=end) for start, end in pairwise(cuts)]


_process: dict[str, Any] = {}


def _begin(fs: Any, options: ScanOptions) -> None:
    _process.update(fs=fs, options=options)


def _scan_range(part: LineRange) -> tuple[ScanResult, int]:
    """The result of a range, and how many lines it has."""
    fs, scanner = _process["fs"], Scanner(_process["options"])
    blocks = blocks_of(fs, part.path, max(part.start - 1, 0), part.end, part.size)
    if part.end - part.start < part.size:
        blocks = lines_between(blocks, part.start, part.end)
    if part.start == 0:
        blocks = unpacked(blocks)
    lines = scanner.scan_lines(lines_of(blocks), _name(part.path))
    return scanner.result(), lines


_Scans = Iterable[tuple[LineRange, tuple[ScanResult, int]]]


def _merged(scans: _Scans) -> ScanResult:
    """One result; line numbers are those of the file, not of the range."""
    whole = ScanResult()
    lines_before = 0
    for part, (scan, lines) in scans:
        lines_before = lines_before if part.start else 0
        scan.problems = _moved(scan.problems, lines_before)
        scan.failed_samples = _moved(scan.failed_samples, lines_before)
        scan.unrecognized_samples = _moved(scan.unrecognized_samples, lines_before)
        whole = whole.merge(scan)
        lines_before += lines
    return whole


def _moved(rows: list[RowProblem], lines: int) -> list[RowProblem]:
    return [replace(row, line=row.line + lines) for row in rows]


@dataclass(slots=True)
class _ProgressMeter:
    on_progress: OnProgress | None
    total: int
    read: int = 0
    rows: int = 0

    def counting(self, blocks: Iterator[bytes], scanner: Scanner) -> Iterator[bytes]:
        for block in blocks:
            yield block
            self.read += len(block)
            self._tell(scanner.rows)

    def after_each(self, scans: _Scans) -> _Scans:
        for part, scan in scans:
            yield part, scan
            self.read += part.end - part.start
            self.rows += scan[0].rows
            self._tell(self.rows)

    def _tell(self, rows: int) -> None:
        if self.on_progress:
            self.on_progress(Progress(self.read, self.total, rows))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _context() -> multiprocessing.context.BaseContext:
    """Fork where it is safe: it needs no imports anew."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return multiprocessing.get_context("fork" if can_fork else "spawn")
