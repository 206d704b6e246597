"""Progress bars on a terminal. Without one, nothing is shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vertex_batch.usage import OnProgress, at_most_every

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from vertex_batch.usage import Progress

_SECONDS = 0.2


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are done.

    :returns: a function to call with the size of each piece.
    """
    if not sys.stderr.isatty():
        yield lambda _size: None
        return
    with _bar("{task.description}") as bar:
        task = bar.add_task(what, total=total or None)
        yield lambda size: bar.advance(task, size)


def with_progress(what: str, total: int, blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield blocks unchanged, and show how many bytes were taken."""
    with byte_progress(what, total) as advance:
        for block in blocks:
            yield block
            advance(len(block))


@contextmanager
def scan_progress() -> Iterator[OnProgress | None]:
    """Show bytes, rows and the remaining time while the block runs.

    The bar is drawn by the caller that reports progress, not by a separate thread: with such a thread, the
    processes that read a large output could not be forked.
    """
    if not sys.stderr.isatty():
        yield None
        return
    with _bar(last="{task.fields[rows]}", auto_refresh=False) as bar:
        task = bar.add_task("", total=None, rows="")

        def show(progress: Progress) -> None:
            elapsed = bar.tasks[0].elapsed
            rate = progress.rows / elapsed if elapsed else 0
            rows = f"{progress.rows:,} rows, {rate:,.0f} rows/s"
            bar.update(task, total=progress.bytes_total, completed=progress.bytes_read, rows=rows)
            bar.refresh()

        yield at_most_every(_SECONDS, show)


def _bar(first: str = "", last: str = "", *, auto_refresh: bool = True) -> Bar:
    """Make a bar that shows the bytes that are done, between two texts."""
    from rich import progress
    from rich.console import Console

    bytes_done = (progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn())
    return progress.Progress(
        *([first] if first else []),
        *bytes_done,
        *([last] if last else []),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        auto_refresh=auto_refresh,
        transient=True,
    )
