"""Scan files, large ones in several processes, each a range of lines. Sums are those of one scan."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import (
    GZIP_MAGIC,
    ByteStream,
    ObjectReader,
    ObjectStorage,
    SourceObject,
    as_storage,
    blocks_in,
    is_local,
    lines_between,
    lines_of,
    unpacked,
)
from vertex_batch.usage.scan import Scanner, ScanOptions
from vertex_batch.usage.types import RowProblem, ScanResult

RANGE_BYTES = 32 << 20
FETCHED_RANGE_BYTES = 64 << 20  # each begins with a wait for the object store


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan has come."""

    bytes_read: int
    bytes_total: int
    rows: int

    def __str__(self) -> str:
        percent = self.bytes_read * 100 // self.bytes_total if self.bytes_total else 100
        return f"{percent} % of {self.bytes_total / 1e6:,.0f} MB, {self.rows:,} rows"


OnProgress = Callable[[Progress], None]


def at_most_every(
    seconds: float, report: OnProgress, clock: Callable[[], float] = time.monotonic
) -> OnProgress:
    """Limit progress reports to one every `seconds`, the first one after that time."""
    last = clock()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if clock() - last >= seconds:
            last = clock()
            report(progress)

    return on_progress


@dataclass(frozen=True, slots=True)
class LineRange:
    """The lines of a file that begin in a range of its bytes; or the whole file, which may be compressed."""

    source: SourceObject
    start: int
    end: int

    @property
    def size(self) -> int:
        """Of the whole file, in bytes."""
        return self.source.size


def scan_files(
    storage: ObjectStorage | Any,
    files: Sequence[str | SourceObject],
    options: ScanOptions,
    processes: int = 1,
    on_progress: OnProgress | None = None,
    *,
    range_bytes: int = 0,
) -> ScanResult:
    """Scan files as one output.

    :param storage: an object store, or an fsspec filesystem.
    :param files: as they were listed; a path is looked up first.
    :param options: without `copies`, for which one process must read all rows (`scan_in_turn`).
    :param processes: the most processes; a daemonic process, which may not have children, does all the work.
    :param on_progress: called often, in this thread.
    :param range_bytes: about how much a process takes at a time; smaller files are read whole.
    """
    assert options.copies is None
    storage = as_storage(storage)
    sources = _listed(storage, files)
    if processes > 1 and not multiprocessing.current_process().daemon:
        range_bytes = range_bytes or (RANGE_BYTES if is_local(storage.filesystem) else FETCHED_RANGE_BYTES)
        ranges = [part for each in sources for part in _line_ranges(storage, each, range_bytes, processes)]
        if len(ranges) > 1:
            meter = _ProgressMeter(on_progress, sum(each.size for each in sources))
            processes = min(processes, len(ranges))
            with ProcessPoolExecutor(processes, _context(), _begin, (storage, options)) as pool:
                scans = pool.map(_scan_range, ranges)
                return _merged(meter.after_each(zip(ranges, scans, strict=True)))
    return scan_in_turn([(storage, sources)], options, on_progress)


def scan_in_turn(
    outputs: Sequence[tuple[object, Sequence[str | SourceObject]]],
    options: ScanOptions,
    on_progress: OnProgress | None = None,
) -> ScanResult:
    """Scan the files of several outputs, each with its filesystem, in this process.

    :param outputs: each an object store, or an fsspec filesystem, and its files as in `scan_files`.
    :param options: `copies` are those between the outputs.
    """
    stores = [(as_storage(store), each) for store, each in outputs]
    files = [(storage, _listed(storage, each)) for storage, each in stores]
    meter = _ProgressMeter(on_progress, sum(each.size for _, sources in files for each in sources))
    scanner = Scanner(options)
    for storage, sources in files:
        for source, stream in storage.read_each(sources):
            blocks = meter.counting(_blocks(stream), scanner)
            scanner.scan_lines(lines_of(unpacked(blocks)), _name(source.uri))
        if options.copies is not None:
            options.copies.next_output()
    return scanner.result()


def _listed(storage: ObjectStorage, files: Sequence[str | SourceObject]) -> list[SourceObject]:
    """Look up the files that were named by their path only, several at once."""
    paths = [each for each in files if isinstance(each, str)]
    found = dict(zip(paths, storage.look_up(paths), strict=True))
    sources = [(each, found[each] if isinstance(each, str) else each) for each in files]
    for name, source in sources:
        if source is None:
            raise OutputMissingError(str(name), "it no longer exists")
    return [source for _, source in sources if source]


def _line_ranges(
    storage: ObjectStorage, source: SourceObject, range_bytes: int, processes: int = 1
) -> list[LineRange]:
    """Cut a file into ranges of about one size, as many for each process. What is compressed is one range."""
    count = -(-source.size // range_bytes)
    count = -(-count // processes) * processes if count > 1 else count
    if count < 2 or _is_packed(storage, source):  # noqa: PLR2004
        return [LineRange(source, 0, source.size)]
    cuts = [source.size * n // count for n in range(count + 1)]
    return [LineRange(source, start, end) for start, end in pairwise(cuts)]


def _is_packed(storage: ObjectStorage, source: SourceObject) -> bool:
    with storage.open(source, end=len(GZIP_MAGIC)) as stream:
        return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC


_process: dict[str, Any] = {}


def _begin(storage: ObjectStorage, options: ScanOptions) -> None:
    _process.update(storage=storage, options=options)


def _scan_range(part: LineRange) -> tuple[ScanResult, int]:
    """The result of a range, and how many lines it has."""
    storage: ObjectStorage = _process["storage"]
    scanner = Scanner(_process["options"])
    with storage.open(part.source, max(part.start - 1, 0), part.end) as stream:
        blocks = stream.blocks()
        if part.end - part.start < part.size:
            blocks = lines_between(blocks, part.start, part.end)
        if part.start == 0:
            blocks = unpacked(blocks)
        lines = scanner.scan_lines(lines_of(blocks), _name(part.source.uri))
    return scanner.result(), lines


def _blocks(stream: ByteStream) -> Iterator[bytes]:
    return stream.blocks() if isinstance(stream, ObjectReader) else blocks_in(stream)


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
            self._report(scanner.rows)

    def after_each(self, scans: _Scans) -> _Scans:
        for part, scan in scans:
            yield part, scan
            self.read += part.end - part.start
            self.rows += scan[0].rows
            self._report(self.rows)

    def _report(self, rows: int) -> None:
        if self.on_progress:
            self.on_progress(Progress(self.read, self.total, rows))


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _context() -> multiprocessing.context.BaseContext:
    """Fork where it is safe, since a forked process does not import everything again."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and threading.active_count() == 1
    return multiprocessing.get_context("fork" if can_fork else "spawn")
