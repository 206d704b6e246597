"""What commands print: results to standard output; progress to standard error, where somebody looks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def print_json(data: Any) -> None:
    """Print JSON; amounts are exact, as texts."""
    sys.stdout.write(json.dumps(data, indent=2, default=_as_text) + "\n")


def say(text: str) -> None:
    """Tell the person who waits."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def logs_aside() -> AbstractContextManager[Any]:
    """Let Airflow log to standard error instead of standard output, where programs read the result."""
    return redirect_stdout(sys.stderr)


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are done. Nothing is shown in a pipe or a log.

    :returns: a function that takes the bytes of each further piece.
    """
    if not sys.stderr.isatty():
        yield lambda _size: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total or None)
        yield lambda size: progress.advance(task, size)


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no place in JSON")
