"""Costs as CSV, for a spreadsheet or for a FinOps tool."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from vertex_batch.costs import GroupTotal, in_full

# A spreadsheet runs a cell that begins with one of these as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LINES_AT_ONCE = 500


def to_csv(by: str, daily: Sequence[GroupTotal]) -> str:
    """Write one line per day and group. Amounts are exact; ``complete`` is whether everything has a price."""
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
    """Write rows as they arrive, so that a year of them needs little memory."""
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
    """Write numbers without an exponent, which some readers take for text, and make text harmless."""
    if isinstance(cell, float):
        return in_full(Decimal(repr(cell)))
    if isinstance(cell, Decimal):
        return in_full(cell)
    return harmless(cell) if isinstance(cell, str) else cell


def harmless(cell: str) -> str:
    """Prevent a spreadsheet from running a name as a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
