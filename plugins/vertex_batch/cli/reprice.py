"""``vertex-batch reprice``: reprices recorded jobs, or only compares their bills with other prices."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from vertex_batch.billing.repricing import Repriced, reprice
from vertex_batch.cli.choice import chosen_jobs, chosen_prices
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json
from vertex_batch.costs import Total, usd
from vertex_batch.pricing import add


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


def _as_data(jobs: Sequence[Repriced], *, dry_run: bool) -> dict[str, Any]:
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


def total_data(total: Total) -> dict[str, Any]:
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
