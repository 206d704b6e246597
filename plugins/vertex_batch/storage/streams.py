"""Read objects in order, in bounded memory: large ones in ranges a little ahead, many small ones at once."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from vertex_batch.errors import InputChangedError
from vertex_batch.storage.faults import named_read
from vertex_batch.storage.lines import BLOCK_BYTES
from vertex_batch.storage.listing import is_local, path_of
from vertex_batch.storage.objects import SourceObject

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

FETCH_BYTES = 2 << 20  # with those ahead about 10 MB, in addition to the 90 MB of Google's libraries
FETCHES_AHEAD = 3
_UPLOAD_BYTES = 8 << 20
SMALL_BYTES = 4 << 20
REQUESTS_AT_ONCE = 24
BYTES_AHEAD = 32 << 20


class ByteStream(Protocol):
    """The interface of a stream: only `read`, which is the same for every kind of file.

    `io.BytesIO`, an open file, fsspec's files and `ObjectReader` all satisfy it. ``readline`` is left out on
    purpose: fsspec's does not take a size.
    """

    def read(self, size: int = -1, /) -> bytes: ...


class ObjectReader:
    """Reads an object from its first byte, or from `start`, to its end. Use it as a context manager.

    :param source: as it was listed. Its size is not looked up again; another generation of it is not read.
    :param start: the first byte to read.
    :param end: the byte after the last one that is fetched ahead; later bytes are fetched as they are read.
    :param conn_id: the connection, for messages.
    """

    def __init__(
        self,
        fs: AbstractFileSystem,
        source: SourceObject,
        start: int = 0,
        end: int | None = None,
        *,
        conn_id: str = "",
    ) -> None:
        source.check_readable()
        ahead = source.size if end is None else min(end, source.size)
        self._blocks = _blocks(fs, source, start, ahead, conn_id)
        self._rest = b""

    def read(self, size: int = -1, /) -> bytes:
        """Read bytes.

        :param size: how many; fewer are returned only at the end. Negative: all that are left.
        :raises InputChangedError: the object was deleted or overwritten since it was listed.
        :raises StorageUnavailableError: the store failed; for other errors see `faults.named`.
        """
        parts, have = [self._rest], len(self._rest)
        while size < 0 or have < size:
            block = next(self._blocks, b"")
            if not block:
                break
            parts.append(block)
            have += len(block)
        data = b"".join(parts) if len(parts) > 1 else parts[0]
        size = have if size < 0 else size
        self._rest = data[size:]
        return data[:size]

    def blocks(self) -> Iterator[bytes]:
        """Yield the rest in blocks of an efficient size."""
        if self._rest:
            rest, self._rest = self._rest, b""
            yield rest
        yield from self._blocks

    def close(self) -> None:
        self._blocks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def fetch_whole(fs: AbstractFileSystem, source: SourceObject, conn_id: str = "") -> bytes:
    """Read an object with one request.

    :raises InputChangedError: the object was deleted or overwritten since it was listed.
    """
    source.check_readable()
    path = path_of(fs, source.uri)
    with named_read(source.uri, conn_id):
        data: bytes = fs.cat_file(path, **_pinned(fs, source))
    if len(data) != source.size:
        raise InputChangedError([source.uri])
    return data


def _blocks(
    fs: AbstractFileSystem, source: SourceObject, start: int, end: int, conn_id: str
) -> Generator[bytes, None, None]:
    path = path_of(fs, source.uri)
    with named_read(source.uri, conn_id):
        if is_local(fs):
            yield from _local(path, start)
            return
        for data in _fetched(fs, path, source, start, end):
            yield from (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))
        for at in range(max(start, end), source.size, BLOCK_BYTES):
            yield _range(fs, path, source, at, min(at + BLOCK_BYTES, source.size))


def _local(path: str, start: int) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(start)
        while block := stream.read(BLOCK_BYTES):
            yield block


def _fetched(
    fs: AbstractFileSystem, path: str, source: SourceObject, start: int, end: int
) -> Iterator[bytes]:
    if end - start <= FETCH_BYTES:
        if start < end:
            yield _range(fs, path, source, start, end)
        return
    with ThreadPoolExecutor(FETCHES_AHEAD, "fetch") as pool:
        coming: deque[Future[bytes]] = deque()
        try:
            for at in range(start, end, FETCH_BYTES):
                coming.append(pool.submit(_range, fs, path, source, at, min(at + FETCH_BYTES, end)))
                if len(coming) > FETCHES_AHEAD:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for each in coming:
                each.cancel()


def _range(fs: AbstractFileSystem, path: str, source: SourceObject, start: int, end: int) -> bytes:
    data: bytes = fs.cat_file(path, start=start, end=end, **_pinned(fs, source))
    if len(data) != end - start:
        raise InputChangedError([source.uri])
    return data


def _pinned(fs: AbstractFileSystem, source: SourceObject) -> dict[str, str]:
    """Read exactly the generation that was listed."""
    return {"generation": source.version} if hasattr(fs, "call") and source.version else {}


def read_each(
    fs: AbstractFileSystem, objects: Sequence[SourceObject], conn_id: str = ""
) -> Iterator[tuple[SourceObject, ByteStream]]:
    """Yield each object with its bytes, in the order given.

    Read each stream before taking the next one. An empty object takes no request. At most `REQUESTS_AT_ONCE`
    requests are active, and at most `BYTES_AHEAD` bytes wait to be read.

    :raises ObjectEncodedError: see `SourceObject.check_readable`.
    :raises InputChangedError: an object was deleted or overwritten since it was listed.
    """
    if len(objects) == 1:
        yield from _one(fs, objects[0], conn_id)
        return
    coming: deque[tuple[SourceObject, Future[bytes] | None]] = deque()
    waiting = at = 0
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, "read") as pool:
        try:
            while coming or at < len(objects):
                while at < len(objects) and _may_fetch(len(coming), waiting, objects[at]):
                    small = 0 < objects[at].size <= SMALL_BYTES
                    fetch = pool.submit(fetch_whole, fs, objects[at], conn_id) if small else None
                    coming.append((objects[at], fetch))
                    waiting += objects[at].size if small else 0
                    at += 1
                source, fetch = coming.popleft()
                if fetch is None:
                    yield from _one(fs, source, conn_id)
                else:
                    data = fetch.result()
                    waiting -= source.size
                    yield source, io.BytesIO(data)
        finally:
            for _, fetch in coming:
                if fetch is not None:
                    fetch.cancel()


def _may_fetch(ahead: int, waiting: int, following: SourceObject) -> bool:
    return ahead == 0 or (
        ahead < REQUESTS_AT_ONCE and waiting + min(following.size, SMALL_BYTES) <= BYTES_AHEAD
    )


def _one(
    fs: AbstractFileSystem, source: SourceObject, conn_id: str
) -> Iterator[tuple[SourceObject, ByteStream]]:
    if not source.size:
        yield source, io.BytesIO()
        return
    with ObjectReader(fs, source, conn_id=conn_id) as stream:
        yield source, stream


def blocks_of(path: Path) -> Iterator[bytes]:
    """The content of a local file, a few megabytes at a time."""
    with path.open("rb") as stream:
        while block := stream.read(_UPLOAD_BYTES):
            yield block
