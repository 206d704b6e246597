"""One poller for all triggers that wait on the same proxy, project and location.

A triggerer may hold a thousand triggers. One request a minute from each would be 17 requests a second, and
the proxy can handle about ten. One list call reads a hundred jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vertex_batch.errors import VertexBatchError
from vertex_batch.lifecycle.waiting import next_poll_seconds
from vertex_batch.vertex.client import AsyncBatchClient
from vertex_batch.vertex.labels import MANAGED_BY, MANAGED_BY_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob

log = logging.getLogger(__name__)

Reading = BatchPredictionJob | VertexBatchError
Connect = Callable[[], Awaitable[AsyncBatchClient]]

# Up to this many jobs, single reads are cheaper than a list, which also returns jobs that are not watched.
READ_ONE_BY_ONE_UP_TO = 2
_CLOCK_SKEW = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class PollGroup:
    """Triggers that agree in all of these fields share a poller."""

    conn_id: str
    project: str
    location: str


@dataclass(eq=False, slots=True)
class _Watcher:
    job_id: str
    created_at: datetime | None
    interval_seconds: float
    readings: asyncio.Queue[Reading] = field(default_factory=asyncio.Queue)


class SharedPoller:
    """Reads the jobs of a group as long as at least one is watched."""

    def __init__(self, group: PollGroup, connect: Connect, on_idle: Callable[[], None]) -> None:
        self._group = group
        self._connect = connect
        self._on_idle = on_idle
        self._watchers: list[_Watcher] = []
        self._failures = 0
        self._retry_after_seconds = 0.0
        self._task: asyncio.Task[None] | None = None

    async def watch(
        self, job_id: str, *, created_at: datetime | None, interval_seconds: float
    ) -> AsyncGenerator[Reading, None]:
        """Yield each reading of one job until the caller closes the generator."""
        watcher = _Watcher(job_id, created_at, interval_seconds)
        self._watchers.append(watcher)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"vertex-batch-poller-{self._group}")
        try:
            while True:
                yield await watcher.readings.get()
        finally:
            self._watchers.remove(watcher)
            if not self._watchers:
                self._on_idle()
                # At once: a watcher that arrives before the cancelled task has ended must start a new one.
                idle, self._task = self._task, None
                if idle:
                    idle.cancel()

    async def _run(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            client: AsyncBatchClient | None = None
            while self._watchers:
                await asyncio.sleep(self._pause_seconds())
                watchers = list(self._watchers)
                try:
                    if client is None:
                        client = await stack.enter_async_context(await self._connect())
                    readings = await self._read(client, watchers)
                except VertexBatchError as error:
                    readings = dict.fromkeys((w.job_id for w in watchers), error)
                except Exception as error:
                    # If the poller died without a report, every task would wait forever.
                    log.exception("Polling %s failed with an unexpected error", self._group)
                    readings = dict.fromkeys((w.job_id for w in watchers), VertexBatchError(str(error)))
                failed = all(isinstance(reading, VertexBatchError) for reading in readings.values())
                self._failures = self._failures + 1 if failed else 0
                self._retry_after_seconds = max(
                    (getattr(reading, "retry_after_seconds", None) or 0.0 for reading in readings.values()),
                    default=0.0,
                )
                for watcher in watchers:
                    watcher.readings.put_nowait(readings[watcher.job_id])

    def _pause_seconds(self) -> float:
        interval = min(watcher.interval_seconds for watcher in self._watchers)
        jitter = random.random()  # noqa: S311 - spreads load
        return next_poll_seconds(interval, self._failures, jitter, self._retry_after_seconds)

    async def _read(self, client: AsyncBatchClient, watchers: list[_Watcher]) -> dict[str, Reading]:
        wanted = {watcher.job_id for watcher in watchers}
        readings: dict[str, Reading] = {}
        if len(wanted) > READ_ONE_BY_ONE_UP_TO:
            readings.update(await self._read_by_list(client, wanted, watchers))
        for job_id in sorted(wanted - readings.keys()):
            try:
                readings[job_id] = await client.get(self._group.project, self._group.location, job_id)
            except VertexBatchError as error:
                readings[job_id] = error
        return readings

    async def _read_by_list(
        self, client: AsyncBatchClient, wanted: set[str], watchers: list[_Watcher]
    ) -> dict[str, BatchPredictionJob]:
        found: dict[str, BatchPredictionJob] = {}
        query = f'labels.{MANAGED_BY_LABEL}="{MANAGED_BY}"'
        created = [watcher.created_at for watcher in watchers if watcher.created_at]
        if len(created) == len(watchers):
            query += f' AND create_time>="{(min(created) - _CLOCK_SKEW).isoformat()}"'
        async for job in client.list(self._group.project, self._group.location, filter=query):
            if job.job_id in wanted:
                found[job.job_id] = job
            if len(found) == len(wanted):
                break
        return found


# Triggers run in one event loop per triggerer process; each test creates its own loop.
_pollers: dict[tuple[int, PollGroup], SharedPoller] = {}


def shared_poller(group: PollGroup, connect: Connect) -> SharedPoller:
    """Return the running loop's poller for a group. All callers share the first caller's connection."""
    key = (id(asyncio.get_running_loop()), group)

    def forget() -> None:
        _pollers.pop(key, None)

    if key not in _pollers:
        _pollers[key] = SharedPoller(group, connect, on_idle=forget)
    return _pollers[key]
