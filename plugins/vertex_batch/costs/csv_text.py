"""CSV text of costs, for a spreadsheet or a FinOps tool."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LINES_AT_ONCE = 1000


def stream_csv(rows: Iterable[Sequence[str | int | None]]) -> Iterator[str]:
    """Write rows as they arrive, so that a year of them needs little memory.

    :param rows: their names must be harmless already.
    """
    left = iter(rows)
    while some := list(islice(left, _LINES_AT_ONCE)):
        lines = io.StringIO()
        csv.writer(lines).writerows(some)
        yield lines.getvalue()


def harmless(cell: str) -> str:
    """Prevent a spreadsheet from running a name as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
