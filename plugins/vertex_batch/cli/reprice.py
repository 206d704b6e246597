"""``vertex-batch reprice``: reprices recorded jobs, or only compares their bills with other prices."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Sequence

from vertex_batch.billing.repricing import Repriced, reprice
from vertex_batch.cli import arguments
from vertex_batch.cli.choice import add_jobs, add_prices, chosen_jobs, chosen_prices
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json
from vertex_batch.costs import Total, usd
from vertex_batch.pricing import add


def describe(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command.description = (
        "Reprice recorded jobs from the tokens in the cost table. Outputs are not read. The old"
        " line items are kept in cost_price_history."
    )
    add_jobs(command)
    add_prices(command)
    command.add_argument(
        "--dry-run", action="store_true", help="only compare the bills with these prices; write nothing"
    )
    arguments.add_json(command)
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Reprice the jobs and print what changed."""
    where = chosen_jobs(options)
    table = open_table(options)
    with chosen_prices(options) as (books, _):
        jobs = list(reprice(table, books.book_of, where, dry_run=options.dry_run))
    if options.json:
        print_json(_as_data(jobs, dry_run=options.dry_run))
    else:
        sys.stdout.write(f"{_as_text(jobs)}\n")
    return 0


def _as_data(jobs: Sequence[Repriced], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "jobs": [
            {
                "job": str(job.job),
                "before": total_data(job.before),
                "after": total_data(job.after),
                "changed": job.changed,
            }
            for job in jobs
        ],
    }


def total_data(total: Total) -> dict[str, object]:
    """A sum as plain data."""
    return {"amount_usd": total.text, "complete": total.complete}


def _as_text(jobs: Sequence[Repriced]) -> str:
    lines = [f"{each.job}: {each.before} -> {each.after}" for each in jobs if each.changed]
    return "\n".join([*lines, summary([(job.before, job.after) for job in jobs])])


def summary(pairs: Sequence[tuple[Total, Total]]) -> str:
    """Summarize how many sums differ, and by how much in total."""
    differ = sum(before != after for before, after in pairs)
    difference = add(each for before, after in pairs for each in (after.amount, -before.amount))
    return f"{differ} of {len(pairs)} jobs differ, by {usd(difference)}"
