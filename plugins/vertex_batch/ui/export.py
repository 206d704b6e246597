"""Spend as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vertex_batch.costs import GroupTotal

# A spreadsheet takes a cell that begins so for a formula, and runs it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def to_csv(by: str, daily: Sequence[GroupTotal]) -> str:
    """Write one line for each day and group. Amounts are exact; ``complete`` says if all is priced."""
    lines = io.StringIO()
    writer = csv.writer(lines)
    writer.writerow(["day", by, "jobs", "tokens", "amount_usd", "complete"])
    for each in sorted(daily, key=lambda each: (each.group[1], each.group[0])):
        name, day = each.group
        complete = "yes" if each.total.complete else "no"
        writer.writerow([day, harmless(name), each.jobs, each.tokens, each.total.text, complete])
    return lines.getvalue()


def harmless(cell: str) -> str:
    """Keep a spreadsheet from running a name."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
