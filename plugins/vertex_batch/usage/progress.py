"""The progress of a scan, reported at a limited rate."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scan has come."""

    bytes_read: int
    bytes_total: int
    rows: int

    def __str__(self) -> str:
        percent = self.bytes_read * 100 // self.bytes_total if self.bytes_total else 100
        return f"{percent} % of {self.bytes_total / 1e6:,.0f} MB, {self.rows:,} rows"


OnProgress = Callable[[Progress], None]


def at_most_every(
    seconds: float, report: OnProgress, clock: Callable[[], float] = time.monotonic
) -> OnProgress:
    """Limit progress reports to one every `seconds`, the first one after that time."""
    last = clock()

    def on_progress(progress: Progress) -> None:
        nonlocal last
        if clock() - last >= seconds:
            last = clock()
            report(progress)

    return on_progress
