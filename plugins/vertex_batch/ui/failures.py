"""Failed rows by reason, in plain words, with the locations of some of them. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from vertex_batch.costs import Bill, Delivery
from vertex_batch.observability.links import storage_url
from vertex_batch.results import Reason, wanted_reasons
from vertex_batch.usage import FailureCause, RowProblem, cause_of, may_pass
from vertex_batch.vertex.resource import STATES_WITH_RESULTS

_MEANINGS = {
    FailureCause.REFUSED: (
        "Google refused the request of the row: a field, a value or a part of it is not allowed"
    ),
    FailureCause.BUSY: "Google had no capacity for the row",
    FailureCause.BROKE: "Google failed while it answered the row",
    FailureCause.LATE: "the answer took too long",
    FailureCause.DENIED: "Google denied access to the model, or to a file that the row names",
    FailureCause.GONE: "the model, or a file that the row names, was not found",
    FailureCause.ENDED: "the job ended before the row was answered",
    FailureCause.SILENT: "Google returned neither an answer nor an error for the row",
}


@dataclass(frozen=True, slots=True)
class FailedRow:
    """Where a failed row is.

    :param url: of its file in Google's console; empty if it is not in Cloud Storage.
    """

    place: str
    url: str


@dataclass(frozen=True, slots=True)
class Failures:
    """Rows that failed for one reason.

    :param reason: as the output has it.
    :param plain: the same in plain words, and whether it helps to send the rows again.
    :param samples: some of them, never their contents.
    """

    reason: str
    plain: str
    rows: int
    samples: Sequence[FailedRow]

    @property
    def more(self) -> int:
        """How many rows are not among the samples."""
        return max(self.rows - len(self.samples), 0)


def group_failures(bill: Bill) -> list[Failures]:
    """Group the failed rows of a bill, the most frequent reason first."""
    folder = bill.job.output_directory
    found = [
        Failures(
            reason,
            in_plain_words(reason),
            count,
            [_place(folder, sample) for sample in bill.failed_samples if sample.reason == reason],
        )
        for reason, count in bill.failed_reasons.items()
    ]
    return sorted(found, key=lambda each: (-each.rows, each.reason))


def main_failure(reasons: Counter[str]) -> str:
    """Say why most rows failed, in plain words if there are some; empty if none failed."""
    reason, _ = next(iter(reasons.most_common(1)), ("", 0))
    return _meaning_of(reason) or reason


def _meaning_of(reason: str) -> str | None:
    """Say what a reason means; None if that is not known."""
    cause = cause_of(reason)
    return _MEANINGS.get(cause) if cause else None


def in_plain_words(reason: str) -> str:
    """Say what a reason means, and whether it helps to send the row again."""
    meaning = _meaning_of(reason)
    following = (
        "It may be answered when it is sent again"
        if may_pass(reason)
        else "It fails again unless it is changed"
    )
    return f"{meaning[0].upper()}{meaning[1:]}. {following}." if meaning else f"{following}."


def count_retried(bill: Bill, deliveries: Sequence[Delivery], reasons: Collection[str]) -> int:
    """Count the rows that a spec's `retry_rows` would send again.

    :param deliveries: of the job. Without any, rows are counted as the bill has them.
    :param reasons: of the spec; see `retried_reasons`.
    """
    wanted = wanted_reasons(reasons, stopped_early=bill.job.state not in STATES_WITH_RESULTS)
    if deliveries:
        return sum(each.reasons.get(reason, 0) for each in deliveries for reason in wanted)
    passing = sum(rows for reason, rows in bill.failed_reasons.items() if may_pass(reason))
    return passing * (Reason.TRANSIENT in wanted) + (bill.rows.missing or 0) * (Reason.MISSING in wanted)


def _place(folder: str, row: RowProblem) -> FailedRow:
    uri = row.file if "://" in row.file else f"{folder.rstrip('/')}/{row.file}"
    return FailedRow(f"{row.file}:{row.line}", storage_url(uri, is_file=True))
