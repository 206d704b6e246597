"""Read whole rows from an input: all of a small one, of a large one those at places that are spread over
all of it.

Objects are opened by the caller, and only read and sought in. A row that is cut off by the end of what was
read is completed or, beyond the bound, left out with its bytes.
"""

from __future__ import annotations

import gzip
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple, Protocol

from vertex_batch.budgets.rows import RowReader
from vertex_batch.budgets.survey import Place, Survey, Totals, summarize

READ_WHOLE_BYTES = 16 << 20
READ_WHOLE_OBJECTS = 64
PLACES = 32
PLACE_BYTES = 64 << 10
MOST_SAMPLE_BYTES = 32 << 20
"""Rows of ordinary size take `PLACES` times `PLACE_BYTES`; only rows of megabytes take more."""
_BLOCK = 16 << 10
_LARGEST_BLOCK = 1 << 20
_SEED = 20261127
_PACKED = (".gz", ".gzip")


class InputObject(Protocol):
    """An object of the input, such as `inputs.SourceObject`."""

    @property
    def uri(self) -> str: ...

    @property
    def size(self) -> int: ...


Opener = Callable[[str], Any]


def survey_input(
    read: Opener,
    objects: Sequence[InputObject],
    model: str = "",
    long_context_tokens: int | None = None,
    rows: int | None = None,
) -> Survey:
    """Count what is in the input objects.

    :param read: opens an object to read and seek in its bytes.
    :param model: whose rules count the tokens, in any form of its name.
    :param long_context_tokens: where the model's long-context rates begin.
    :param rows: of all objects, where they were counted.
    :raises OSError: an object cannot be read.
    """
    objects = [item for item in objects if item.size]
    totals = Totals(sum(item.size for item in objects), rows)
    reader = RowReader(model, long_context_tokens)
    if any(item.uri.endswith(_PACKED) for item in objects):
        places, complete = _beginnings(read, objects)
        return summarize(places, totals, reader, complete=complete)
    if totals.size <= READ_WHOLE_BYTES and len(objects) <= READ_WHOLE_OBJECTS:
        return summarize((_whole(read, item) for item in objects), totals, reader, complete=True)
    return summarize(_spread(read, objects), totals, reader)


def _whole(read: Opener, item: InputObject) -> Place:
    with read(item.uri) as stream:
        data = stream.read()
    return Place(_filled(data.split(b"\n")), len(data))


def _spread(read: Opener, objects: Sequence[InputObject]) -> Iterator[Place]:
    """Rows at places all over the input, in an order in which any beginning is spread over it, too."""
    chance = random.Random(_SEED)  # noqa: S311 - the same input gives the same sample
    whole = sum(item.size for item in objects)
    if whole <= len(objects) * PLACE_BYTES:  # many small objects: each of them is as likely as any other
        chosen = chance.sample(list(objects), min(len(objects), PLACES))
        yield from (_whole(read, item) for item in chosen)
        return
    width = whole / PLACES
    points = [int((number + chance.random()) * width) for number in range(PLACES)]
    chance.shuffle(points)
    points.append(0)  # in case the others find no row that can be read whole
    left = MOST_SAMPLE_BYTES
    seen: set[tuple[int, int]] = set()
    with ExitStack() as opened:
        streams: dict[int, _Rows] = {}
        for number, point in enumerate(points):
            if seen and (number == PLACES or left <= 0):
                return
            index, offset = _locate(objects, point)
            if index not in streams:
                streams[index] = _Rows(opened.enter_context(read(objects[index].uri)), objects[index].size)
            found = streams[index].at(offset, left if number < PLACES else MOST_SAMPLE_BYTES)
            left -= found.read
            if found.place and (index, found.start) not in seen:
                seen.add((index, found.start))
                yield found.place


def _locate(objects: Sequence[InputObject], point: int) -> tuple[int, int]:
    """The object that has a byte of all the objects' bytes, and where in it."""
    for index, item in enumerate(objects):
        if point < item.size:
            return index, point
        point -= item.size
    return len(objects) - 1, 0


class _Found(NamedTuple):
    """What reading at one point has found.

    :param start: where its rows begin. :param read: how many bytes were read for it.
    """

    place: Place | None
    start: int
    read: int


class _Rows:
    """Reads whole rows of one object at any place."""

    def __init__(self, stream: Any, size: int) -> None:
        self._stream, self._size = stream, size

    def at(self, offset: int, most: int) -> _Found:
        """The rows that begin within `PLACE_BYTES` from here; where none does, the next one, or else the
        first.

        :param most: how many bytes may be read.
        """
        start, read = self._next_row(0 if offset < PLACE_BYTES else offset, most)
        if start is None:
            return _Found(None, 0, read)
        data = bytearray()
        self._stream.seek(start)
        for block in self._blocks(most - read):
            read += len(block)
            searched = max(PLACE_BYTES - 1, len(data))
            data += block
            end = data.find(b"\n", searched)
            if end >= 0:
                del data[end + 1 :]
                break
        else:
            if start + len(data) < self._size:  # the bound was reached within a row
                del data[data.rfind(b"\n") + 1 :]
        rows = _filled(bytes(data).split(b"\n"))
        return _Found(Place(rows, len(data)) if rows else None, start, read)

    def _next_row(self, offset: int, most: int) -> tuple[int | None, int]:
        """Where the first row begins at or after an offset, and how many bytes were read to find it."""
        if offset == 0:
            return 0, 0
        self._stream.seek(offset - 1)
        passed = 0
        for block in self._blocks(most):
            found = block.find(b"\n")
            if found >= 0 and offset + passed + found < self._size:
                return offset + passed + found, passed + found + 1
            passed += len(block)
            if found >= 0:
                break
        reached_end = offset - 1 + passed >= self._size
        return (0 if reached_end else None), passed

    def _blocks(self, most: int) -> Iterator[bytes]:
        """Blocks from here on that grow with the row: a small row costs little, a large one few requests."""
        length, following = PLACE_BYTES, _BLOCK
        while most > 0 and (block := self._stream.read(min(length, most))):
            yield block
            most -= len(block)
            length, following = following, min(2 * following, _LARGEST_BLOCK)


def _beginnings(read: Opener, objects: Sequence[InputObject]) -> tuple[list[Place], bool]:
    """The first rows of packed objects: nothing else of them can be read without what is before it."""
    chance = random.Random(_SEED)  # noqa: S311 - as above
    chosen = chance.sample(list(objects), min(len(objects), PLACES))
    places: list[Place] = []
    complete = len(chosen) == len(objects)
    for item in chosen:
        with read(item.uri) as stream:
            found, ended = _beginning(stream, MOST_SAMPLE_BYTES // len(chosen))
        places += found
        complete &= ended
    return places, complete


def _beginning(stream: Any, most: int) -> tuple[list[Place], bool]:
    """The rows within the first bytes of an object, and whether these are all of it."""
    magic = stream.read(2)
    stream.seek(0)
    packed = magic == b"\x1f\x8b"
    content = gzip.GzipFile(fileobj=stream) if packed else stream
    try:
        data = content.read(most)
        ended = len(data) < most or not content.read(1)
    except (EOFError, zlib.error) as error:
        raise OSError(f"its gzip compression is damaged ({error})") from error
    share = min(1.0, stream.tell() / len(data)) if packed and data else 1.0
    lines = data.split(b"\n")
    if not ended:
        lines.pop()
    places: list[Place] = []
    group: list[bytes] = []
    size = 0
    for line in lines:
        group.append(line)
        size += len(line) + 1
        if size >= PLACE_BYTES:
            places.append(Place(_filled(group), int(size * share) or 1))
            group, size = [], 0
    if group:
        places.append(Place(_filled(group), int(size * share) or 1))
    return places, ended


def _filled(lines: Sequence[bytes]) -> list[bytes]:
    return [line for line in lines if line.strip()]
