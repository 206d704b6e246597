"""How commands print: results to standard output, messages to standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, redirect_stdout
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vertex_batch.errors import (
    ConfigurationError,
    ProxyUnreachableError,
    StorageAccessError,
    StorageUnavailableError,
    VertexBatchError,
)

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from vertex_batch.costs import Total

# In a pipe or a log, lines are not wrapped at the default 80 columns.
_WIDE = 160
_WIDEST = 10_000
_CONTROLS = dict.fromkeys({*range(32), *range(127, 160)} - {ord("\n")})
# The columns that a table leaves out on a narrow terminal, the least needed first.
_SPARE_COLUMNS = ("not read", "saved", "saved by batch", "days", "tokens", "run", "rows ok", "model")


_HINT = "VERTEX_BATCH_UNREACHABLE_HINT"
"""What to say where the proxy or the object store does not answer, such as how they are started here."""
_DEMO = Path(".local/demo/env")


def text_of(error: VertexBatchError) -> str:
    """The message of an error, with the hint of this environment if a service does not answer."""
    is_down = isinstance(error, ProxyUnreachableError | StorageUnavailableError)
    hint = os.environ.get(_HINT, "") if is_down else ""
    if is_down or isinstance(error, StorageAccessError):
        hint += "".join(f"Or {each}." for each in demo_hint())
    return f"{error} {hint}".rstrip()


def demo_hint() -> list[str]:
    """How this shell gets the settings of the demo, if one was started here; empty if it has them."""
    is_outside = _HINT not in os.environ and _DEMO.is_file()
    return [f"run `source {_DEMO}` first, for the demo"] if is_outside else []


def print_json(data: object) -> None:
    """Print JSON. Amounts are exact decimal strings."""
    sys.stdout.write(json.dumps(data, indent=2, default=_as_text) + "\n")


def total_data(total: Total) -> dict[str, object]:
    return {"amount_usd": total.text, "complete": total.complete}


def print_parts(*parts: RenderableType) -> None:
    """Print tables and texts. No id is broken, since half of one cannot be copied.

    A table of jobs or totals has a line for each of its rows. On a terminal it leaves out columns that do not
    fit; elsewhere its lines are as long as needed. Everything else is wrapped between words.
    """
    from rich.measure import Measurement
    from rich.table import Table

    for part in parts:
        console = _console()
        if isinstance(part, Table) and sys.stdout.isatty():
            _fit(part, console)
        measured = Measurement.get(console, console.options.update(width=_WIDEST), part)
        least = measured.maximum if isinstance(part, Table) else measured.minimum
        (_console(least) if least > console.width else console).print(part)


def _fit(table: Table, console: Console) -> None:
    """Leave columns out until the table fits, and say which."""
    from rich.measure import Measurement

    left_out = []
    wide = console.options.update(width=_WIDEST)
    for name in _SPARE_COLUMNS:
        if Measurement.get(console, wide, table).maximum <= console.width:
            break
        kept = [column for column in table.columns if column.header != name]
        if len(kept) < len(table.columns):
            table.columns = kept
            left_out.append(name)
    if left_out:
        note = f"Not shown, for lack of width: {', '.join(left_out)}. --json has all of it."
        table.caption = " ".join(filter(None, (str(table.caption or ""), note)))


def _console(width: int | None = None) -> Console:
    from rich.console import Console, ConsoleOptions
    from rich.segment import Segment

    class Harmless(Console):
        """Leaves out control characters, which a job's name or note may have."""

        def render(self, part: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for text, style, control in super().render(part, options):
                yield Segment(text if control else harmless(text), style, control)

    return Harmless(highlight=False, width=width or (None if sys.stdout.isatty() else _WIDE))


def harmless(text: str) -> str:
    """Leave out the characters with which a text controls a terminal."""
    return text.translate(_CONTROLS)


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def ask(question: str) -> str:
    """Ask the user on the terminal. Return the line, in lower case; empty if there is none."""
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower()


def logs_aside() -> AbstractContextManager[TextIO]:
    """Send Airflow's logs to standard error, because programs read the result from standard output."""
    return redirect_stdout(sys.stderr)


def replace_file(path: Path, blocks: Iterable[bytes]) -> None:
    """Write a file completely or not at all.

    :raises ConfigurationError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        try:
            with partial.open("wb") as stream:
                stream.writelines(blocks)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Nothing was written."
        ) from error


def _as_text(value: object) -> object:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
