"""Files -> blocks of bytes. Those of an object store are fetched ahead, so that no scan waits for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vertex_batch.usage.lines import BLOCK_BYTES

FETCH_BYTES = 2 << 20  # with those ahead about 10 MB, beside the 90 MB of Google's libraries
FETCHES_AHEAD = 3


def is_local(fs: Any) -> bool:
    """Whether an fsspec filesystem is this machine's."""
    return "file" in ((fs.protocol,) if isinstance(fs.protocol, str) else fs.protocol)


def blocks_of(fs: Any, path: str, start: int, end: int, size: int) -> Iterator[bytes]:
    """The bytes of a file from `start` on, in blocks.

    :param end: up to here they are read ahead; the rest, to the end of the file, only as it is asked for.
    """
    if is_local(fs):
        yield from _local_blocks(path, start)
        return
    for data in _fetched(fs, path, start, end):
        yield from (data[at : at + BLOCK_BYTES] for at in range(0, len(data), BLOCK_BYTES))
    for at in range(end, size, BLOCK_BYTES):
        yield fs.cat_file(path, start=at, end=min(at + BLOCK_BYTES, size))


def _local_blocks(path: str, start: int) -> Iterator[bytes]:
    with Path(path).open("rb", buffering=0) as stream:
        stream.seek(start)
        while block := stream.read(BLOCK_BYTES):
            yield block


def _fetched(fs: Any, path: str, start: int, end: int) -> Iterator[bytes]:
    with ThreadPoolExecutor(FETCHES_AHEAD, "fetch") as pool:
        coming: deque[Future[bytes]] = deque()
        for at in range(start, end, FETCH_BYTES):
            coming.append(pool.submit(fs.cat_file, path, start=at, end=min(at + FETCH_BYTES, end)))
            if len(coming) > FETCHES_AHEAD:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
