"""Which call goes wrong, and how: the faults in force, and the answers that are held."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .matching import applies
from .notice import Notice
from .script import Fault, JobFacts, Operation


@dataclass
class Armed:
    """A fault in force, and how often it can still happen."""

    fault: Fault
    left: int | None


@dataclass
class Hold:
    """A call whose answer waits for its release."""

    id: int
    op: Operation
    stored: bool
    job_id: str
    released: asyncio.Event = field(default_factory=asyncio.Event)
    reset: bool = False

    def entry(self) -> dict[str, Any]:
        """What the admin API says of it."""
        return {"hold": self.id, "op": self.op.value, "stored": self.stored, "job": self.job_id}


class FaultBook:
    """The faults in force, in the order in which they were set."""

    def __init__(self, notice: Notice, seed: int) -> None:
        self._notice = notice
        self._ids = count(1)
        self.holds: dict[int, Hold] = {}
        self.armed: list[Armed] = []
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Restart the random sequence."""
        self._chance = random.Random(f"faults:{seed}")  # noqa: S311 - has to be repeatable

    def add(self, fault: Fault) -> None:
        """Put a fault in force."""
        self.armed.append(Armed(fault, fault.times))

    def clear(self) -> None:
        """Take all faults out of force. What is held stays held."""
        self.armed.clear()

    def draw(self, op: Operation, facts: JobFacts | None) -> Fault | None:
        """The fault that happens to this call, if any does."""
        for armed in self.armed:
            fault = armed.fault
            if armed.left == 0 or fault.op not in (op, Operation.ANY) or not applies(fault.match, facts):
                continue
            if fault.probability < 1 and self._chance.random() >= fault.probability:
                continue
            if armed.left is not None:
                armed.left -= 1
            return fault
        return None

    async def hold(self, op: Operation, job_id: str, *, stored: bool) -> Hold:
        """Wait until a test lets the call continue."""
        hold = Hold(next(self._ids), op, stored, job_id)
        self.holds[hold.id] = hold
        self._notice.changed()
        try:
            await hold.released.wait()
        finally:
            del self.holds[hold.id]
            self._notice.changed()
        return hold

    def release(self, hold_id: int | None = None, *, reset: bool = False) -> int:
        """Let one held call continue, or all of them.

        :param reset: its connection is reset instead of answered.
        """
        chosen = [hold for hold in self.holds.values() if hold_id in (None, hold.id)]
        for hold in chosen:
            hold.reset = reset
            hold.released.set()
        return len(chosen)
