"""``vertex-batch export``: writes the cost table in the columns of FOCUS."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from pathlib import Path

from vertex_batch.cli import arguments
from vertex_batch.cli.choice import add_jobs, chosen_jobs
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import replace_file
from vertex_batch.costs import CostTable, FocusVersion, JobFilter, stream_csv
from vertex_batch.errors import count_of

_UNPRICED_SHOWN = 5


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Write the line items of recorded jobs in the columns of the FinOps Open Cost and Usage"
        " Specification (FOCUS), as CSV. Without a selection, all jobs are written. Usage without a price is"
        " left out and reported."
    )
    add_jobs(command)
    command.add_argument(
        "--focus", choices=["1.2", "1.4"], default="1.2", help="version of the specification (default: 1.2)"
    )
    command.add_argument("--output", metavar="FILE", help="the file to write (default: standard output)")
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Write the charges of the chosen jobs as CSV, and report on stderr what has no price."""
    where = chosen_jobs(options, all_if_none=True)
    table = open_table(options)
    lines = stream_csv(table.focus(where, FocusVersion(options.focus)))
    if options.output:
        replace_file(Path(options.output), (some.encode() for some in lines))
    else:
        for some in lines:
            sys.stdout.write(some)
    _report_unpriced(table, where)
    return 0


def _report_unpriced(table: CostTable, where: JobFilter) -> None:
    found = table.unpriced(where, limit=_UNPRICED_SHOWN)
    if not found:
        return
    sys.stderr.write(
        "vertex-batch: usage without a price is not in the export, since FOCUS has no unknown cost. The view"
        " focus_unpriced_usage lists it. Most of it:\n"
    )
    for each in found:
        jobs = count_of(each.jobs, "job")
        sys.stderr.write(f"  {each.model} {each.kind}: {each.tokens:,} in {jobs}: {each.reason}\n")
