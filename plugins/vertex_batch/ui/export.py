"""Costs as CSV, for a spreadsheet or for a FinOps tool."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from vertex_batch.costs import GroupTotal, in_full

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LINES_AT_ONCE = 500


def to_csv(by: str, daily: Sequence[GroupTotal]) -> str:
    """Write one line for each day and group. Amounts are exact; ``complete`` says if all is priced."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["day", by, "jobs", "tokens", "amount_usd", "complete", "saved_usd", "saved_complete"])
    for each in sorted(daily, key=lambda each: (each.group[1], each.group[0])):
        name, day = each.group
        amounts = (
            text
            for total in (each.total, each.saved)
            for text in (total.text, "yes" if total.complete else "no")
        )
        writer.writerow([day, harmless(name), each.jobs, each.tokens, *amounts])
    return lines.getvalue()


def stream_csv(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Write rows as they come, so that a year of them needs no memory."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    for number, row in enumerate(rows, 1):
        writer.writerow([_cell(cell) for cell in row])
        if number % _LINES_AT_ONCE == 0:
            yield lines.getvalue()
            lines.seek(0)
            lines.truncate()
    yield lines.getvalue()


def _cell(cell: Any) -> Any:
    """A number without an exponent, which some readers take for a text; a text that is harmless."""
    if isinstance(cell, float):
        return in_full(Decimal(repr(cell)))
    if isinstance(cell, Decimal):
        return in_full(cell)
    return harmless(cell) if isinstance(cell, str) else cell


def harmless(cell: str) -> str:
    """Keep a spreadsheet from running a name."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
