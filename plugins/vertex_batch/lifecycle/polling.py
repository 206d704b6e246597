"""One poller for all triggers that wait on the same proxy, project and location with the same interval.

A triggerer may hold thousands of triggers. One request a minute from each would be far more than the proxy
can handle. One list call reads a hundred jobs. `sweeping` says how they are read, and what a failure means.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import datetime

from vertex_batch.errors import VertexBatchError
from vertex_batch.lifecycle.sweeping import PollGroup, Reading, Sweep, WatchedJob
from vertex_batch.vertex.client import AsyncBatchClient

log = logging.getLogger(__name__)

Connect = Callable[[], Awaitable[AsyncBatchClient]]


def next_poll_seconds(
    interval_seconds: float, failures: int, jitter: float, retry_after_seconds: float = 0.0
) -> float:
    """Back off while polls fail: doubled per failure up to ten times, then spread by ``jitter`` in 0..1.

    :param retry_after_seconds: what the server requested. The pause is never shorter, up to one hour.
    """
    backed_off = interval_seconds * min(1 << min(failures, 4), 10)
    return max(backed_off * (0.9 + 0.2 * jitter), min(retry_after_seconds, 3600.0))


class SharedPoller:
    """Reads the jobs of a group as long as at least one is watched."""

    def __init__(self, group: PollGroup, connect: Connect, on_idle: Callable[[], None]) -> None:
        self._group = group
        self._connect = connect
        self._on_idle = on_idle
        self._jobs: dict[str, WatchedJob] = {}
        self._failures = 0
        self._task: asyncio.Task[None] | None = None

    async def watch(self, job_id: str, *, created_at: datetime | None) -> AsyncGenerator[Reading, None]:
        """Yield each reading of one job until the caller closes the generator.

        :param created_at: by Vertex's clock. If it is not known, the job is first read by itself.
        """
        job = self._jobs.setdefault(job_id, WatchedJob(job_id, created_at))
        readings: asyncio.Queue[Reading] = asyncio.Queue()
        job.queues.append(readings)
        if self._task is None:
            # In a context of its own: what the poller logs must not be in the log of the first task.
            self._task = asyncio.create_task(
                self._run(), name=f"vertex-batch-poller-{self._group}", context=contextvars.Context()
            )
        try:
            while True:
                yield await readings.get()
        finally:
            job.queues.remove(readings)
            if not job.queues:
                del self._jobs[job_id]
            if not self._jobs:
                self._on_idle()
                # At once: a watcher that arrives before the cancelled task has ended must start a new one.
                idle, self._task = self._task, None
                if idle:
                    idle.cancel()

    async def _run(self) -> None:
        """Sweep again and again. The interval is from the start of a sweep to the start of the next one."""
        async with contextlib.AsyncExitStack() as stack:
            client: AsyncBatchClient | None = None
            pause = self._seconds_to_next(is_first=True)
            while self._jobs:
                await asyncio.sleep(pause)
                began = time.monotonic()
                sweep = Sweep(self._group, self._jobs.values(), self._deliver)
                try:
                    if client is None:
                        client = await stack.enter_async_context(await self._connect())
                    await sweep.run(client)
                except VertexBatchError as error:
                    await sweep.fail_unread(error)
                except Exception as error:
                    # If the poller died without a report, every task would wait forever.
                    log.exception("Polling %s failed with an unexpected error", self._group)
                    await sweep.fail_unread(VertexBatchError(str(error)))
                self._failures = self._failures + 1 if sweep.failed and not sweep.read else 0
                took = time.monotonic() - began
                self._report(sweep, took)
                due = self._seconds_to_next(sweep.retry_after_seconds)
                # A server counts Retry-After from its answer.
                pause = max(due - took, min(sweep.retry_after_seconds, due))

    def _report(self, sweep: Sweep, seconds: float) -> None:
        """Log one line for a sweep, however many jobs it could not read."""
        jobs = sweep.read + sweep.failed
        if sweep.error:
            log.warning(
                "Could not read %d of %d jobs in %s: %s", sweep.failed, jobs, self._group, sweep.error
            )
        log.debug("Read %d jobs in %s with %d calls in %.1f s", jobs, self._group, sweep.calls, seconds)

    def _deliver(self, job_id: str, reading: Reading) -> None:
        # Its last watcher may have left during the sweep.
        if job := self._jobs.get(job_id):
            job.deliver(reading, self._group.labels)

    def _seconds_to_next(self, retry_after_seconds: float = 0.0, *, is_first: bool = False) -> float:
        # Spreads the pollers that start, or start again, at the same moment. Between them a sweep is on time.
        spread = is_first or self._failures > 0
        jitter = random.random() if spread else 0.5  # noqa: S311
        return next_poll_seconds(self._group.interval_seconds, self._failures, jitter, retry_after_seconds)


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
