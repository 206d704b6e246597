"""One reading of all jobs that a poller's triggers wait for.

Data flow: the jobs are sorted by creation time and cut into windows of up to `WINDOW_JOBS`, of which some are
read at the same time. For each window, one list call per 100 jobs reads what is active between its first and
its last creation time. A job that is not listed has ended, or the list cannot show it (it lacks our labels,
or was created a moment ago): it is read once by itself, a few at a time. Each reading is delivered as it
arrives. The list of a window stops as soon as single reads are cheaper. So the calls of a sweep are at most a
small multiple of the jobs that are waited for, whatever else is in the project. Pauses after the windows keep
them at `CALLS_PER_SECOND`.

Failure modes:

* A page fails in all of its tries. What was read before is kept. One of the missing jobs is read by itself.
  If that works, the list is at fault: the missing jobs are listed again in two halves, down to single reads.
  If it fails, too, the missing jobs get the error.
* If that error is transient, the proxy or Vertex is in trouble, and the sweep ends: the jobs of the remaining
  windows get the error. A permanent one, such as a 403, stays in its window.
* A listed job cannot be parsed: only the tasks that wait for it get the error.
* A single read fails: only the tasks that wait for that job get the error, until `TROUBLE_AFTER` single reads
  in a row have failed for a transient reason.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vertex_batch.errors import NotFoundError, TransientError, VertexBatchError
from vertex_batch.vertex.client import AsyncBatchClient
from vertex_batch.vertex.labels import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from vertex_batch.vertex.resource import HAS_NOT_ENDED, BatchPredictionJob

Reading = BatchPredictionJob | VertexBatchError

WINDOW_JOBS = 500
# Up to this many jobs, single reads are cheaper than a list, which also returns jobs that are not watched.
READ_ONE_BY_ONE_UP_TO = 2
# Below this, a window whose list fails is not halved any more.
HALVE_DOWN_TO = 20
# If more jobs of a window have ended at once, they are looked for in a list of all states first.
MANY_MISSING = 100
WINDOWS_AT_ONCE = 2
# Single reads, in each window.
READS_AT_ONCE = 8
# The proxy can handle about ten, and has other callers.
CALLS_PER_SECOND = 5.0
TROUBLE_AFTER = 8
# Errors that are delivered before the event loop gets a turn: a trigger writes log lines for some of them.
_DELIVER_AT_ONCE = 200
# Google may show a creation time with fewer digits than it compares.
_ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class PollGroup:
    """Triggers that agree in all of these fields share a poller.

    :param deployment: the value of the label `airflow_deployment`; empty: every deployment's jobs are listed.
    """

    conn_id: str
    project: str
    location: str
    deployment: str = ""
    interval_seconds: float = 60.0

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the jobs that a list call returns."""
        ours = {MANAGED_BY_LABEL: MANAGED_BY}
        return ours | {DEPLOYMENT_LABEL: self.deployment} if self.deployment else ours

    def __str__(self) -> str:
        return f"{self.project}/{self.location}"


@dataclass(eq=False, slots=True)
class WatchedJob:
    """A job that is waited for, and the queues of all that wait for it.

    :ivar created_at: by Vertex's clock; None until it is known.
    :ivar is_listed: whether the list can show it. False once it was seen without our labels.
    """

    job_id: str
    created_at: datetime | None
    is_listed: bool = True
    queues: list[asyncio.Queue[Reading]] = field(default_factory=list)

    def deliver(self, reading: Reading, labels: dict[str, str]) -> None:
        """Pass a reading to all that wait, and keep what it says of how to list the job."""
        if isinstance(reading, BatchPredictionJob):
            self.created_at = reading.create_time
            self.is_listed = labels.items() <= reading.labels.items()
        for queue in self.queues:
            queue.put_nowait(reading)


def windows(jobs: Iterable[WatchedJob]) -> list[Sequence[WatchedJob]]:
    """Cut the jobs into parts to be read one after another. Those that can be listed come first."""
    listed: list[tuple[datetime, WatchedJob]] = []
    single: list[WatchedJob] = []
    for job in jobs:
        if job.is_listed and job.created_at:
            listed.append((job.created_at, job))
        else:
            single.append(job)
    ordered = [job for _, job in sorted(listed, key=lambda each: (each[0], each[1].job_id))]
    return [*_parts(ordered, WINDOW_JOBS), *_parts(single, READS_AT_ONCE)]


def _parts(jobs: Sequence[WatchedJob], size: int) -> list[Sequence[WatchedJob]]:
    return [jobs[start : start + size] for start in range(0, len(jobs), size)]


def window_filter(group: PollGroup, jobs: Collection[WatchedJob], condition: str = "") -> str:
    """Write the filter of a list call that shows these jobs, in Vertex's grammar."""
    created = [job.created_at for job in jobs if job.created_at]
    terms = [
        f'create_time>="{(min(created) - _ROUNDING).isoformat()}"',
        f'create_time<="{(max(created) + _ROUNDING).isoformat()}"',
        *(f'labels.{name}="{value}"' for name, value in group.labels.items()),
    ]
    return " AND ".join([*terms, condition] if condition else terms)


class Sweep:
    """Reads every job once.

    :param deliver: takes the id of a job and its reading.

    :ivar calls: how many calls it made; a call that was tried several times counts once.
    :ivar read: jobs that Vertex answered for, including those that it does not have any more.
    :ivar failed: jobs whose reading is an error.
    :ivar error: the first of these errors.
    :ivar retry_after_seconds: the longest pause that an error's answer requested.
    """

    def __init__(
        self, group: PollGroup, jobs: Iterable[WatchedJob], deliver: Callable[[str, Reading], None]
    ) -> None:
        self._group, self._deliver = group, deliver
        self._unread = {job.job_id: job for job in jobs}
        self._failed_in_a_row = 0
        self._trouble: VertexBatchError | None = None
        self.calls = self.read = self.failed = 0
        self.error: VertexBatchError | None = None
        self.retry_after_seconds = 0.0

    async def run(self, client: AsyncBatchClient) -> None:
        """Read all jobs. Afterwards each one has had exactly one reading."""
        left = iter(windows(self._unread.values()))

        async def work() -> None:
            for window in left:
                began, before = time.monotonic(), self.calls
                await self._read(client, window)
                if self._trouble:
                    return
                # The calls of the others count, too, so that this is the rate of all.
                pause = (self.calls - before) / CALLS_PER_SECOND - (time.monotonic() - began)
                await asyncio.sleep(max(pause, 0.0))

        async with asyncio.TaskGroup() as reads:
            for _ in range(WINDOWS_AT_ONCE):
                reads.create_task(work())
        if self._trouble:
            await self.fail_unread(self._trouble)

    async def fail_unread(self, error: VertexBatchError) -> None:
        await self._fail(list(self._unread.values()), error)

    async def _fail(self, jobs: Iterable[WatchedJob], error: VertexBatchError) -> None:
        for number, job in enumerate(jobs, 1):
            self._hand_over(job.job_id, error)
            if number % _DELIVER_AT_ONCE == 0:
                await asyncio.sleep(0)

    def _hand_over(self, job_id: str, reading: Reading) -> None:
        del self._unread[job_id]
        if isinstance(reading, VertexBatchError) and not isinstance(reading, NotFoundError):
            self.failed += 1
            self.error = self.error or reading
            asked = getattr(reading, "retry_after_seconds", None) or 0.0
            self.retry_after_seconds = max(self.retry_after_seconds, asked)
        else:
            self.read += 1
        self._deliver(job_id, reading)

    async def _read(self, client: AsyncBatchClient, jobs: Sequence[WatchedJob]) -> None:
        if len(jobs) <= READ_ONE_BY_ONE_UP_TO or not (jobs[0].is_listed and jobs[0].created_at):
            await self._read_singly(client, jobs)
            return
        missing = {job.job_id: job for job in jobs}
        try:
            await self._read_list(client, missing, HAS_NOT_ENDED)
            if len(missing) > MANY_MISSING:
                await self._read_list(client, missing)
        except VertexBatchError as error:
            await self._after_failed_list(client, list(missing.values()), error)
        else:
            await self._read_singly(client, missing.values())

    async def _read_list(
        self, client: AsyncBatchClient, missing: dict[str, WatchedJob], condition: str = ""
    ) -> None:
        """List the window of these jobs, and remove from them those that were read."""
        query = window_filter(self._group, missing.values(), condition)
        calls = 0
        async for page in client.pages(self._group.project, self._group.location, filter=query):
            self.calls, calls = self.calls + 1, calls + 1
            found: dict[str, Reading] = {job.job_id: job for job in page.jobs}
            for job_id, reading in {**found, **page.unreadable}.items():
                if missing.pop(job_id, None):
                    self._hand_over(job_id, reading)
            if calls >= len(missing):
                return

    async def _after_failed_list(
        self, client: AsyncBatchClient, missing: Sequence[WatchedJob], error: VertexBatchError
    ) -> None:
        self.calls += 1
        probed, rest = missing[0], missing[1:]
        reading = await self._get(client, probed)
        self._hand_over(probed.job_id, reading)
        if isinstance(reading, VertexBatchError) and not isinstance(reading, NotFoundError):
            # Of two errors, the one that may pass: a job is given up only for a reason that will not.
            passing = next((each for each in (error, reading) if isinstance(each, TransientError)), None)
            self._trouble = passing
            await self._fail(rest, passing or error)
        elif len(rest) <= HALVE_DOWN_TO:
            await self._read_singly(client, rest)
        else:
            for half in (rest[: len(rest) // 2], rest[len(rest) // 2 :]):
                await self._read_or_fail(client, half)

    async def _read_or_fail(self, client: AsyncBatchClient, jobs: Sequence[WatchedJob]) -> None:
        if self._trouble:
            await self._fail(jobs, self._trouble)
        else:
            await self._read(client, jobs)

    async def _read_singly(self, client: AsyncBatchClient, jobs: Iterable[WatchedJob]) -> None:
        left = iter(list(jobs))

        async def work() -> None:
            for job in left:
                if self._trouble:
                    self._hand_over(job.job_id, self._trouble)
                    continue
                self._hand_over(job.job_id, await self._get(client, job))

        async with asyncio.TaskGroup() as reads:
            for _ in range(READS_AT_ONCE):
                reads.create_task(work())

    async def _get(self, client: AsyncBatchClient, job: WatchedJob) -> Reading:
        self.calls += 1
        try:
            reading = await client.get(self._group.project, self._group.location, job.job_id)
        except VertexBatchError as error:
            self._failed_in_a_row = self._failed_in_a_row + 1 if isinstance(error, TransientError) else 0
            if self._failed_in_a_row >= TROUBLE_AFTER:
                self._trouble = error
            return error
        self._failed_in_a_row = 0
        return reading
