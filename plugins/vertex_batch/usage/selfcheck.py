"""Compare what was read with what Vertex counted and what was sent. A difference is a flag, never silence."""

from __future__ import annotations

from vertex_batch.resource import CompletionStats
from vertex_batch.usage.types import ScanResult


def self_check(scan: ScanResult, stats: CompletionStats | None, input_rows: int | None = None) -> list[str]:
    """Sentences about every count that does not agree; empty where all do.

    :param stats: the job's completion stats; None or -1 counts say nothing, and are not compared.
    :param input_rows: rows of the input, if known. Rows that a job left incomplete have no output.
    """
    flags = []
    if scan.unreadable:
        flags.append(f"{scan.unreadable:,} unreadable rows: what they cost is not in the amount")
    if stats is not None:
        for word, counted, read in (
            ("successful", stats.successful_count, scan.ok),
            ("failed", stats.failed_count, scan.failed),
        ):
            if counted >= 0 and counted != read:
                flags.append(f"Vertex counts {counted:,} {word} rows, the output holds {read:,}")
    if input_rows is not None:
        incomplete = max(stats.incomplete_count, 0) if stats is not None else 0
        if scan.rows + incomplete != input_rows:
            left = f" and {incomplete:,} were left incomplete" if incomplete else ""
            flags.append(f"the input has {input_rows:,} rows, the output holds {scan.rows:,}{left}")
    return flags
