"""A proxy in front of the object store: it counts requests and bytes by task process and object, and delays.

It streams in both directions and keeps no body. The path of a task's request begins with ``/task-PID``; see
`tools.night.task_listener`.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self, TypeVar
from urllib.parse import parse_qs, unquote

from local.stack.ports import LOOPBACK

_HEAD_LIMIT = 1 << 20
_CHUNK_BYTES = 1 << 18
_TASK = re.compile(r"/task-(\d+)(/.*)")
_OBJECT = re.compile(r"/(?:(download|upload)/)?storage/v1/b/([^/]+)/o(?:/(.+))?")

T = TypeVar("T")


class Kind(StrEnum):
    """What a request asks for."""

    READ = "read"
    STAT = "stat"
    LIST = "list"
    WRITE = "write"
    OTHER = "other"


@dataclass(frozen=True)
class Traffic:
    """Whose requests these are, and to what.

    :param pid: the task process; 0 where it is not a task's.
    :param uri: the object, as ``gs://bucket/name``; the bucket alone for lists; else empty.
    """

    pid: int
    kind: Kind
    uri: str


@dataclass
class Count:
    """How much traffic there was.

    :ivar sent: bytes of the request bodies.
    :ivar received: bytes of the answers' bodies.
    """

    requests: int = 0
    sent: int = 0
    received: int = 0


class StoreProxy:
    """Runs in a thread of its own, from `start` to `stop`.

    :ivar latency_seconds: how long each request waits before it is passed on.
    """

    def __init__(self) -> None:
        self.latency_seconds = 0.0
        self._target = 0
        self._counts: defaultdict[Traffic, Count] = defaultdict(Count)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store proxy", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self._thread.start()
        self._server = self._call(
            asyncio.start_server(self._serve, LOOPBACK, 0, limit=_HEAD_LIMIT, backlog=1024)
        )
        self.url = f"http://{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lead_to(self, port: int) -> None:
        """Set the port of the object store, which is chosen after the proxy's."""
        self._target = port

    def take(self) -> Mapping[Traffic, Count]:
        """Return what was counted since the last call."""
        return self._call(self._take())

    async def _take(self) -> Mapping[Traffic, Count]:
        counts, self._counts = self._counts, defaultdict(Count)
        return counts

    async def _close(self) -> None:
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        to_store: asyncio.StreamWriter | None = None
        try:
            store, to_store = await asyncio.open_connection(LOOPBACK, self._target, limit=_HEAD_LIMIT)
            while await self._exchange(client, to_client, store, to_store):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side has gone: so does the other
        except asyncio.CancelledError:
            if self._server.is_serving():
                raise
        finally:
            for writer in (to_client, to_store):
                if writer is not None:
                    writer.close()

    async def _exchange(
        self,
        client: asyncio.StreamReader,
        to_client: asyncio.StreamWriter,
        store: asyncio.StreamReader,
        to_store: asyncio.StreamWriter,
    ) -> bool:
        """Pass one request on, and its answer back; return False when the connection ends."""
        try:
            request = Head(await client.readuntil(b"\r\n\r\n"))
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return False
        method, target, _ = request.first.split(" ", 2)
        pid, path = _whose(target)
        count = self._counts[Traffic(pid, *_what(method, path))]
        count.requests += 1
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        to_store.write(request.replaced(target, path))
        async for piece in _body(client, request, bodiless=False, until_end=False):
            count.sent += len(piece)
            to_store.write(piece)
            await to_store.drain()
        answer = Head(await store.readuntil(b"\r\n\r\n"))
        front = f"{self.url}/task-{pid}" if pid else self.url
        to_client.write(answer.with_location(self.url, front))
        bodiless = method == "HEAD" or answer.first.split(" ")[1] in {"204", "304"}
        async for piece in _body(store, answer, bodiless=bodiless, until_end=True):
            count.received += len(piece)
            to_client.write(piece)
            await to_client.drain()
        return not (request.closes or answer.closes)


class Head:
    """The head of a request or an answer."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.first, *lines = content.decode("latin-1").rstrip("\r\n").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        self._fields = {name.strip().lower(): value.strip() for name, _, value in pairs}

    @property
    def closes(self) -> bool:
        return self._fields.get("connection", "").lower() == "close"

    @property
    def chunked(self) -> bool:
        return "chunked" in self._fields.get("transfer-encoding", "").lower()

    @property
    def length(self) -> int | None:
        text = self._fields.get("content-length")
        return int(text) if text is not None else None

    def replaced(self, target: str, path: str) -> bytes:
        """The head with another path in its first line."""
        return self._content.replace(target.encode("latin-1"), path.encode("latin-1"), 1)

    def with_location(self, url: str, front: str) -> bytes:
        """The head with a ``Location`` that leads where the client's other requests go."""
        location = self._fields.get("location", "")
        if front == url or not location.startswith(url):
            return self._content
        moved = front + location.removeprefix(url)
        return self._content.replace(location.encode("latin-1"), moved.encode("latin-1"), 1)


async def _body(reader: asyncio.StreamReader, head: Head, *, bodiless: bool, until_end: bool) -> Any:
    """Yield the raw pieces of a body."""
    if bodiless:
        return
    if head.chunked:
        async for piece in _chunks(reader):
            yield piece
        return
    left = head.length
    if left is None and not until_end:
        return
    while left is None or left:
        piece = await reader.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES))
        if not piece:
            if left is None:
                return
            raise asyncio.IncompleteReadError(b"", left)
        left = None if left is None else left - len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> Any:
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        if not size:
            while line != b"\r\n":  # trailers
                yield line
                line = await reader.readuntil(b"\r\n")
            yield line
            return
        yield line
        left = size + 2
        while left:
            piece = await reader.read(min(left, _CHUNK_BYTES))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            yield piece


def _whose(target: str) -> tuple[int, str]:
    """The process that a request is of, and its path without that."""
    match = _TASK.fullmatch(target)
    return (int(match[1]), match[2]) if match else (0, target)


def _what(method: str, path: str) -> tuple[Kind, str]:
    """What a request asks for, and of which object."""
    place, _, query = path.partition("?")
    match = _OBJECT.fullmatch(place)
    if match is None:
        return (Kind.WRITE if method in {"POST", "PUT"} and place.startswith("/upload/") else Kind.OTHER), ""
    where, bucket, name = match.groups()
    parameters = parse_qs(query)
    uri = f"gs://{unquote(bucket)}/{unquote(name or (parameters.get('name') or [''])[0])}"
    if where == "upload":
        return Kind.WRITE, uri
    if method != "GET":
        return Kind.OTHER, uri
    if name is None:
        return Kind.LIST, uri
    return (Kind.READ if where or "media" in parameters.get("alt", ()) else Kind.STAT), uri
