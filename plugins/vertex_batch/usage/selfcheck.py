"""Compare the rows read with Vertex's counts and with the input. Every difference becomes a flag."""

from __future__ import annotations

from vertex_batch.errors import count_of
from vertex_batch.usage.types import ScanResult
from vertex_batch.vertex.resource import CompletionStats

_NAMED = 5


def self_check(scan: ScanResult, stats: CompletionStats | None, input_rows: int | None = None) -> list[str]:
    """Sentences about every count that does not agree; empty where all do.

    :param stats: the job's completion stats; None or -1 counts say nothing, and are not compared.
    :param input_rows: rows of the input, if known. Rows that have no output are always reported, also if
        Vertex counts them as incomplete.
    """
    flags = []
    if scan.unreadable:
        flags.append(f"{scan.unreadable:,} unreadable rows: what they cost is not in the amount")
    flags += unrecognized_flags(scan)
    if stats is not None:
        for word, counted, read in (
            ("successful", stats.successful_count, scan.ok),
            ("failed", stats.failed_count, scan.failed),
        ):
            if counted >= 0 and counted != read:
                flags.append(f"Vertex counts {counted:,} {word} rows, the output holds {read:,}")
    incomplete = max(stats.incomplete_count, 0) if stats is not None else 0
    counted_as = f"Vertex counts {incomplete:,} rows as incomplete" if incomplete else ""
    if input_rows is None:
        return [*flags, f"{counted_as}: they have no output"] if incomplete else flags
    if (missing := input_rows - scan.rows) or incomplete:
        what = [f"the input has {input_rows:,} rows, the output holds {scan.rows:,}"]
        what += [f"{missing:,} are missing"] if missing > 0 else []
        flags.append("; ".join(filter(None, (*what, counted_as))))
    return flags


def unrecognized_flags(scan: ScanResult) -> list[str]:
    """Name the rows in no known output format, and an input that was taken for an output."""
    if not scan.unrecognized:
        return []
    first = scan.unrecognized_samples[:_NAMED]
    places = ", ".join(f"{row.file}:{row.line}" for row in first)
    more = ", ..." if scan.unrecognized > len(first) else ""
    rows = count_of(scan.unrecognized, "unrecognized row")
    reasons = "; ".join(list(scan.unrecognized_reasons)[:_NAMED])
    flags = [f"{rows} ({places}{more}): what they cost is not in the amount. {reasons}"]
    if scan.is_input:
        flags.append("all rows are requests without answers: this is the input of a job, not its output")
    return flags
