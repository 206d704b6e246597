"""CSV text of costs, for a spreadsheet or a FinOps tool."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from vertex_batch.costs.questions import GroupTotal

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


def daily_csv(by: str, daily: Sequence[GroupTotal]) -> str:
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
