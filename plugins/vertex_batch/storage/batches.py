"""Read many objects in order: small ones whole, many requests at once; large ones as streams."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from vertex_batch.storage.objects import SourceObject
from vertex_batch.storage.streams import ByteStream, ObjectReader, fetch_whole

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SMALL_BYTES = 4 << 20
REQUESTS_AT_ONCE = 24
BYTES_AHEAD = 32 << 20


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
