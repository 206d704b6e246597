"""``vertex-batch export``: writes the cost table in the columns of FOCUS."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from vertex_batch.cli.choice import chosen_jobs
from vertex_batch.cli.cost import open_table
from vertex_batch.costs import CostTable, FocusVersion, JobFilter, stream_csv
from vertex_batch.errors import ConfigurationError

_UNPRICED_SHOWN = 5


def run(options: Namespace) -> int:
    """Write the charges of the chosen jobs as CSV, and report on stderr what has no price."""
    where = chosen_jobs(options, all_if_none=True)
    table = open_table(options)
    lines = stream_csv(table.focus(where, FocusVersion(options.focus)))
    if options.output:
        _write(Path(options.output), lines)
    else:
        for some in lines:
            sys.stdout.write(some)
    _report_unpriced(table, where)
    return 0


def _write(path: Path, lines: Iterable[str]) -> None:
    """Write a file that is complete or absent.

    :raises ConfigurationError: it cannot be written.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            stream.writelines(lines)
        partial.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


def _report_unpriced(table: CostTable, where: JobFilter) -> None:
    found = table.unpriced(where, limit=_UNPRICED_SHOWN)
    if not found:
        return
    sys.stderr.write(
        "vertex-batch: usage without a price is not in the export, since FOCUS has no unknown cost. The view"
        " focus_unpriced_usage lists it. Most of it:\n"
    )
    for each in found:
        jobs = f"{each.jobs:,} {'job' if each.jobs == 1 else 'jobs'}"
        sys.stderr.write(f"  {each.model} {each.kind}: {each.tokens:,} in {jobs}: {each.reason}\n")
