"""Read whole rows from an input: all of a small one, of a large one those that begin in windows spread over
it.

The windows are equally long and are anywhere in the input, so that each row is as likely to begin in one as
any other, however long it is and however the rows are sorted. A window that no row begins in counts, too:
of long rows there are few. A row that reaches beyond its window is completed.
"""

from __future__ import annotations

import random
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from typing import Protocol

from vertex_batch.budgets.rows import RowReader
from vertex_batch.budgets.survey import SampledRows, Survey, Totals, summarize
from vertex_batch.storage import GZIP_MAGIC, GZIP_SUFFIXES, ByteStream, ObjectReader, SourceObject

READ_WHOLE_BYTES = 16 << 20
READ_WHOLE_OBJECTS = 64
WINDOWS = 32
WINDOW_BYTES = 64 << 10
"""Of rows of ordinary size; where rows are longer, a window is as long as a row on average."""
MOST_SAMPLE_BYTES = 48 << 20
"""Windows and rows of ordinary size take about 2 MiB; only rows of megabytes take more."""
_PROBES = 4
_FIRST_BLOCK = 16 << 10
_LARGEST_BLOCK = 1 << 20
_SEED = 20261127
_GZIP_WINDOW = 31


class Store(Protocol):
    """Reads objects, such as `ObjectStorage`."""

    def open(self, item: SourceObject, start: int = 0, end: int | None = None, /) -> ObjectReader:
        """Open an object to read it from a byte on; no byte from ``end`` on is fetched before it is read."""

    def read_each(self, objects: Sequence[SourceObject], /) -> Iterator[tuple[SourceObject, ByteStream]]:
        """Yield each object with its bytes, in order; small ones are fetched many at once."""


def survey_input(
    store: Store,
    objects: Sequence[SourceObject],
    model: str = "",
    long_context_tokens: int | None = None,
    rows: int | None = None,
) -> Survey:
    """Count what is in the input objects.

    :param model: whose rules count the tokens, in any form of its name.
    :param long_context_tokens: where the model's long-context rates begin.
    :param rows: of all objects, where they were counted.
    :raises OSError: an object cannot be read.
    """
    objects = [item for item in objects if item.size]
    totals = Totals(sum(item.size for item in objects), rows)
    reader = RowReader(model, long_context_tokens)
    is_packed = any(item.uri.endswith(GZIP_SUFFIXES) for item in objects)
    if not is_packed and totals.size <= READ_WHOLE_BYTES and len(objects) <= READ_WHOLE_OBJECTS:
        contents = [stream.read() for _, stream in store.read_each(objects)]
        is_packed = any(data.startswith(GZIP_MAGIC) for data in contents)
        if not is_packed:
            return summarize((_place(data) for data in contents), totals, reader, complete=True)
    if is_packed or _is_packed(store, objects[0]):
        places, complete = _beginnings(store, objects)
        return summarize(places, totals, reader, complete=complete, packed=True)
    return summarize(_spread(store, objects, rows), totals, reader)


def _is_packed(store: Store, item: SourceObject) -> bool:
    """Whether an object begins as gzip does, whatever its name."""
    with store.open(item, 0, _FIRST_BLOCK) as stream:
        return stream.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def _place(data: bytes) -> SampledRows:
    return SampledRows(_filled(data.split(b"\n")), len(data))


def _spread(store: Store, objects: Sequence[SourceObject], rows: int | None) -> Iterator[SampledRows]:
    """The rows of windows all over the input, in an order in which any beginning is spread over it, too."""
    chance = random.Random(_SEED)  # noqa: S311 - the same input gives the same sample
    whole = sum(item.size for item in objects)
    if whole <= len(objects) * WINDOW_BYTES:  # many small objects: each of them is as likely as any other
        chosen = chance.sample(list(objects), min(len(objects), WINDOWS))
        yield from (_place(stream.read()) for _, stream in store.read_each(chosen))
        return
    windows = _Windows(store, objects)
    row_bytes = whole // rows if rows else windows.probe([chance.randrange(whole) for _ in range(_PROBES)])
    width = min(whole, max(WINDOW_BYTES, row_bytes))
    count = max(2, min(WINDOWS, MOST_SAMPLE_BYTES // (2 * width), whole // width))
    points = [int((number + chance.random()) * whole / count) for number in range(count)]
    chance.shuffle(points)
    places = [place for point in points if (place := windows.at(point, width))]
    if any(place.rows for place in places):
        yield from places
    elif first := windows.first():
        yield first


class _Windows:
    """Reads whole rows anywhere in the bytes of all objects, one after another, and round from the last to
    the first.
    """

    def __init__(self, store: Store, objects: Sequence[SourceObject]) -> None:
        self._store, self._objects = store, objects
        self._ends = list(accumulate(item.size for item in objects))
        self._left = MOST_SAMPLE_BYTES

    def at(self, point: int, width: int) -> SampledRows | None:
        """The rows that begin in a window; None where it has one that cannot be read within the bound."""
        rows: list[bytes] = []
        left = width
        index, start = self._locate(point)
        while left > 0:
            stop = min(self._objects[index].size, start + left)
            found = self._begin_between(index, start, stop)
            if found is None:
                return None
            rows += found
            left -= stop - start
            index, start = (index + 1) % len(self._objects), 0
        return SampledRows(rows, width)

    def first(self) -> SampledRows | None:
        """The first row of all, where windows have found none."""
        self._left = MOST_SAMPLE_BYTES
        rows = self._begin_between(0, 0, 1)
        return SampledRows(rows, len(rows[0]) + 1) if rows else None

    def probe(self, points: Sequence[int]) -> int:
        """How long rows are, more or less, by some of them."""
        self._left = MOST_SAMPLE_BYTES // 4
        lengths = [self._length(*self._locate(point)) for point in points]
        self._left = MOST_SAMPLE_BYTES
        return sum(lengths) // len(lengths)

    def _locate(self, point: int) -> tuple[int, int]:
        """The object that has a byte of all the objects' bytes, and where in it."""
        index = bisect_right(self._ends, point)
        return index, point - (self._ends[index - 1] if index else 0)

    def _begin_between(self, index: int, start: int, stop: int) -> list[bytes] | None:
        """The rows of an object that begin at ``start`` or later and before ``stop``, to the end of the
        last.
        """
        before = max(0, start - 1)  # a row begins at `start` if a line ends before it
        width = stop - before
        data = bytearray()
        for block in self._blocks(index, before, width):
            searched = max(width - 1, len(data))
            data += block
            if start and len(data) >= width - 1 and data.find(b"\n", 0, width - 1) < 0:
                return []  # one row fills the whole window
            end = data.find(b"\n", searched)
            if end >= 0:
                del data[end + 1 :]
                break
        else:
            if before + len(data) < self._objects[index].size:  # the bound was reached
                return None
        first = data.find(b"\n") + 1 if start else 0
        return [] if start and not first else _filled(bytes(data[first:]).split(b"\n"))

    def _length(self, index: int, start: int) -> int:
        """Of the row that begins next, or of what is left where none does."""
        length, started = 0, start == 0
        for block in self._blocks(index, start, _FIRST_BLOCK):
            rest = block
            if not started:
                found = block.find(b"\n")
                started, rest = found >= 0, block[found + 1 :] if found >= 0 else b""
            end = rest.find(b"\n") if started else -1
            length += len(rest) if end < 0 else end
            if end >= 0:
                break
        return length or self._objects[index].size - start

    def _blocks(self, index: int, start: int, length: int) -> Iterator[bytes]:
        """Blocks from here on, which grow: a small row costs little, a large one few requests."""
        following = _FIRST_BLOCK
        with self._store.open(self._objects[index], start, start + length) as stream:
            while self._left > 0 and (block := stream.read(min(length, self._left))):
                self._left -= len(block)
                yield block
                length, following = following, min(2 * following, _LARGEST_BLOCK)


def _beginnings(store: Store, objects: Sequence[SourceObject]) -> tuple[list[SampledRows], bool]:
    """The first rows of packed objects: nothing else of them can be read without what is before it."""
    chance = random.Random(_SEED)  # noqa: S311 - as above
    chosen = chance.sample(list(objects), min(len(objects), WINDOWS))
    places: list[SampledRows] = []
    complete = len(chosen) == len(objects)
    most = MOST_SAMPLE_BYTES // len(chosen)
    for fits, items in groupby(chosen, lambda item: item.size <= most):
        group = list(items)
        streams = store.read_each(group) if fits else _opened(store, group, most)
        for _, stream in streams:
            found, ended = _beginning(stream, most)
            places += found
            complete &= ended
    return places, complete


def _opened(
    store: Store, objects: Iterable[SourceObject], most: int
) -> Iterator[tuple[SourceObject, ByteStream]]:
    for item in objects:
        with store.open(item, 0, most) as stream:
            yield item, stream


def _beginning(stream: ByteStream, most: int) -> tuple[list[SampledRows], bool]:
    """The rows within the first bytes of an object, unpacked, and whether these are all of it."""
    data, share, ended = _unpacked(stream, most)
    lines = data.split(b"\n")
    if not ended:
        lines.pop()
    places: list[SampledRows] = []
    group: list[bytes] = []
    size = 0
    for number, line in enumerate(lines, 1):
        group.append(line)
        size += len(line) + 1
        if size >= WINDOW_BYTES or number == len(lines):
            places.append(SampledRows(_filled(group), int(size * share) or 1))
            group, size = [], 0
    return places, ended


def _unpacked(stream: ByteStream, most: int) -> tuple[bytes, float, bool]:
    """The first bytes of an object's content, how many bytes of the object each of them takes, and whether
    they are all.

    :raises OSError: the compression is damaged.
    """
    data, read, unpacker = bytearray(), 0, None
    while len(data) < most and (block := stream.read(_FIRST_BLOCK)):
        if not read and block.startswith(GZIP_MAGIC):
            unpacker = zlib.decompressobj(_GZIP_WINDOW)
        read += len(block)
        if unpacker is None:
            data += block
            continue
        try:
            while block and len(data) < most:
                data += unpacker.decompress(block, most - len(data))
                block = unpacker.unconsumed_tail
                if unpacker.eof:  # another member may follow
                    block = unpacker.unused_data.lstrip(b"\x00")
                    unpacker = zlib.decompressobj(_GZIP_WINDOW) if block else unpacker
        except zlib.error as error:
            raise OSError(f"its gzip compression is damaged ({error})") from error
    ended = len(data) < most
    if ended and unpacker and not unpacker.eof:
        raise OSError("its gzip compression is damaged (it ends too early)")
    return bytes(data[:most]), min(1.0, read / len(data)) if unpacker and data else 1.0, ended


def _filled(lines: Sequence[bytes]) -> list[bytes]:
    return [line for line in lines if line.strip()]
