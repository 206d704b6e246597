"""Costs by day and group as CSV, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from vertex_batch.costs import GroupTotal, harmless


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
