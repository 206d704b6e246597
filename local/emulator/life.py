"""The life of a job: one task that walks it through its states, whether anybody looks or not.

The import happens before RUNNING: where it fails, the job goes from PENDING to FAILED and no row has run.
The output is written before the terminal state is shown, so a reader of SUCCEEDED finds the files.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections import Counter
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Event

from .jobs import CancelCall, Job, Progress, format_time
from .notice import Notice
from .script import Settings, Step
from .states import TERMINAL
from .work import JobFailure, Spool, Work

SYSTEM_ERROR = (13, "System error. Please try this operation again.")
CANCELED = (1, "CANCELED")
# The output directory's time is near the start of the job, and is neither its create nor its start time.
_DIRECTORY_LAG = timedelta(milliseconds=417)


@dataclass
class Surroundings:
    """What a life needs of the world around it."""

    settings: Settings
    notice: Notice
    executor: Executor


class Life:
    """Drives one job. `run` is its task; `cancel` and `release` come from outside.

    :ivar incomplete: the digests of the input lines that the job left incomplete, once it has ended.
    """

    def __init__(self, job: Job, work: Work | None, around: Surroundings) -> None:
        self.job = job
        self.work = work
        self.incomplete: Counter[bytes] = Counter()
        self._around = around
        self._steps = job.scenario.timeline or around.settings.timeline
        self._spool: Spool | None = None
        self._cancelled = Event()
        self._wake = asyncio.Event()
        self._abandoned = Event()
        first = self._steps[0].state if self._steps else "PENDING"
        # The work is done before RUNNING is shown, and the output written before an end is.
        self._enter("PENDING" if first == "RUNNING" or first in TERMINAL else first)

    def cancel(self) -> int:
        """Take a cancel call; the HTTP status to answer with."""
        job = self.job
        status = 400 if job.is_terminal else 200
        job.cancel_calls.append(CancelCall(datetime.now(UTC), job.state, status))
        if status == 200 and not self._cancelled.is_set():  # noqa: PLR2004
            self._cancelled.set()
            job.progress = job.progress.stopped()
            self._enter("CANCELLING")
            self._wake.set()
        return status

    def release(self) -> None:
        """End the present step now, whether it is held or timed."""
        self._wake.set()

    def abandon(self) -> None:
        """Let go of the work; the job is to be forgotten."""
        self._abandoned.set()

    async def run(self) -> None:
        """Live."""
        try:
            await self._live()
        except JobFailure as failure:
            self._end("FAILED", (failure.code, failure.message), failure.note)
        except Exception as error:  # noqa: BLE001 - a broken emulator must show up as a failed job, not as a hang
            traceback.print_exc(file=sys.stderr)
            self._end("FAILED", SYSTEM_ERROR, f"the emulator failed: {error!r}")
        finally:
            self._abandoned.set()
            if self._spool is not None:
                self._spool.close()

    async def _live(self) -> None:
        scenario = self.job.scenario
        await self._walk()
        if self.job.state == "CANCELLING":
            await self._pause(scenario.cancel.seconds)
            end, share = scenario.cancel.end, self.job.progress.share()
            if end == "SUCCEEDED":
                share = 1.0
        else:
            end, share = scenario.end, scenario.finished
        await self._finish(end, share)

    async def _walk(self) -> None:
        """Go through the timeline, up to its end or to the first cancel."""
        share = 0.0
        timed = sum(step.seconds or 0 for step in self._steps if step.state == "RUNNING")
        for index, step in enumerate(self._steps):
            if step.state == "RUNNING" and self._spool is None:
                await self._import()
            if self._cancelled.is_set():
                return
            if step.state == "RUNNING":
                share = self._start_rows(step, share, timed)
            # A terminal state is entered at the end alone, once the output is written.
            if (index or step.state != self.job.state) and step.state not in TERMINAL:
                self._enter(step.state)
            await self._pause(step.seconds)
            self.job.progress = self.job.progress.stopped()
            if self._cancelled.is_set():
                return

    def _start_rows(self, step: Step, share: float, timed: float) -> float:
        scenario = self.job.scenario
        if step.seconds is None:
            last = max(share, scenario.finished_held)
            self.job.progress = Progress(last, last)
        else:
            last = (
                min(scenario.finished, share + scenario.finished * step.seconds / timed) if timed else share
            )
            self.job.progress = Progress(share, last, seconds=step.seconds / self._around.settings.speed)
        return last

    async def _pause(self, seconds: float | None) -> None:
        """Wait out a step, or until a release or a cancel ends it."""
        self._wake.clear()
        timeout = None if seconds is None else seconds / self._around.settings.speed
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._wake.wait()

    async def _import(self) -> None:
        """Read the input and make the rows, in a worker thread; a cancel does not wait for it."""
        if self.work is None:
            raise JobFailure(12, "The emulator reads and writes object storage only, not BigQuery.")
        loop = asyncio.get_running_loop()
        abandoned = self._abandoned
        work = loop.run_in_executor(self._around.executor, self.work.prepare, abandoned)
        work.add_done_callback(partial(_settle, abandoned))
        # Work that was abandoned may end much later. It must not end the pause that the job is in by then.
        work.add_done_callback(lambda _: None if abandoned.is_set() else self._wake.set())
        while not work.done() and not self._cancelled.is_set():
            self._wake.clear()
            await self._wake.wait()
        if self._cancelled.is_set():
            self._abandoned.set()
            return
        self._spool = self.job.counted = work.result()
        time = format_time(datetime.now(UTC) + _DIRECTORY_LAG, 6)
        prefix = self.work.output_prefix.rstrip("/")
        self.job.output_directory = f"{prefix}/prediction-model-{time}"

    async def _finish(self, end: str, share: float) -> None:
        if end == "SUCCEEDED" and self._spool is None:  # cancelled in the queue, and yet it ran
            self._abandoned = Event()
            self._cancelled.clear()
            await self._import()
        if self._spool is not None and self.work is not None:
            self.job.progress = Progress(share, share)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(
                self._around.executor,
                self.work.export,
                self._spool,
                self.job.output_directory,
                self.job.finished_rows,
            )
            self.incomplete = self._spool.incomplete(self.job.finished_rows)
        scenario = self.job.scenario
        errors = {
            "FAILED": (
                scenario.error_code or SYSTEM_ERROR[0],
                scenario.error_message or SYSTEM_ERROR[1],
            ),
            "CANCELLED": CANCELED,
        }
        self._end(end, errors.get(end))

    def _end(self, state: str, error: tuple[int, str] | None, note: str = "") -> None:
        if error:
            self.job.error = {"code": error[0], "message": error[1]}
        self.job.note = note
        self._enter(state)

    def _enter(self, state: str) -> None:
        self.job.enter(state)
        self._around.notice.changed()


def _settle(abandoned: Event, work: asyncio.Future[Spool]) -> None:
    """Take the result of abandoned work."""
    if abandoned.is_set() and not work.cancelled() and work.exception() is None:
        work.result().close()
