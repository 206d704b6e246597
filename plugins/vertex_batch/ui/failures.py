"""Failed rows by reason, with the locations of some of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vertex_batch.costs import Bill
from vertex_batch.usage import RowProblem


@dataclass(frozen=True, slots=True)
class Failures:
    """Rows that failed for one reason.

    :param samples: the locations of some of them, never their contents.
    """

    reason: str
    rows: int
    samples: Sequence[RowProblem]


def group_failures(bill: Bill) -> list[Failures]:
    """Group the failed rows of a bill, the most frequent reason first."""
    found = [
        Failures(reason, count, [sample for sample in bill.failed_samples if sample.reason == reason])
        for reason, count in bill.failed_reasons.items()
    ]
    return sorted(found, key=lambda each: (-each.rows, each.reason))
