"""How commands print: results to standard output, messages and progress to standard error."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from typing import Any


def print_json(data: Any) -> None:
    """Print JSON. Amounts are exact decimal strings."""
    sys.stdout.write(json.dumps(data, indent=2, default=_as_text) + "\n")


def say(text: str) -> None:
    """Print a message for the user."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def logs_aside() -> AbstractContextManager[Any]:
    """Send Airflow's logs to standard error, because programs read the result from standard output."""
    return redirect_stdout(sys.stderr)


@contextmanager
def byte_progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes are done. Nothing is shown without a terminal.

    :returns: a function to call with the size of each piece.
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


def at_least_one(text: str) -> int:
    """Read an option's number of things to show."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"`{text}` is not a whole number of 1 or more")
    return int(text)


def _as_text(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
