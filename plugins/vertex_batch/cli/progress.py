"""A progress bar for long scans, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vertex_batch.usage import OnProgress, at_most_every

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from vertex_batch.usage import Progress

_SECONDS = 0.2


@contextmanager
def progress_bar() -> Iterator[OnProgress | None]:
    """Show bytes, rows and the remaining time while the block runs. Without a terminal, show nothing.

    The bar is drawn by the caller that reports progress, not by a separate thread: with such a thread, the
    processes that read a large output could not be forked.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with _bar() as bar:
        task = bar.add_task("", total=None, rows="")

        def show(progress: Progress) -> None:
            bar.update(
                task,
                total=progress.bytes_total,
                completed=progress.bytes_read,
                rows=f"{progress.rows:,} rows, {_rate(bar, progress.rows):,.0f} rows/s",
            )
            bar.refresh()

        yield at_most_every(_SECONDS, show)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    return Progress(
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=False,
        transient=True,
    )


def _rate(bar: Bar, rows: int) -> float:
    elapsed = bar.tasks[0].elapsed
    return rows / elapsed if elapsed else 0
