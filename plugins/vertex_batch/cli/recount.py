"""``vertex-batch recount``: recounts recorded jobs from their outputs."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from vertex_batch.billing.outputs import ReadTable
from vertex_batch.billing.recounting import Recounted, Recounter
from vertex_batch.cli import arguments
from vertex_batch.cli.bill import rows_data
from vertex_batch.cli.choice import add_jobs, add_prices, chosen_jobs, chosen_prices
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json
from vertex_batch.cli.paths import open_object_store
from vertex_batch.cli.reprice import summary, total_data
from vertex_batch.costs import Bill
from vertex_batch.storage import ObjectStorage


def describe(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command.description = (
        "Recount the rows of recorded jobs from their outputs, and price them. If an output is"
        " gone, its bill is kept and the exit status is 1. The old line items are kept in"
        " cost_price_history."
    )
    add_jobs(command)
    add_prices(command)
    command.add_argument(
        "--storage",
        metavar="ID",
        help="Airflow connection that reads the outputs (default: the credentials of the environment)",
    )
    command.add_argument("--dry-run", action="store_true", help="only compare; write nothing")
    arguments.add_json(command)
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Recount the jobs and print what changed. Return 1 if an output could not be read."""
    where = chosen_jobs(options)
    table = open_table(options)
    with chosen_prices(options) as (books, client):
        tables = _tables(options.storage)
        recounter = Recounter(client, _storage(options.storage), table, books, read_table=tables)
        jobs = list(recounter.recount(where, dry_run=options.dry_run))
    if options.json:
        print_json(_as_data(jobs, dry_run=options.dry_run))
    else:
        sys.stdout.write(f"{_as_text(jobs)}\n")
    return 1 if any(job.problem for job in jobs) else 0


def _tables(connection: str | None) -> ReadTable | None:
    """The reader of BigQuery tables, which needs an Airflow connection."""
    if not connection:
        return None
    from vertex_batch.hooks.bigquery import read_table  # noqa: PLC0415 - it takes Airflow's seconds

    return lambda uri: read_table(uri, connection)


def _storage(connection: str | None) -> Callable[[], ObjectStorage]:
    if connection:
        from vertex_batch.hooks.storage import open_storage  # noqa: PLC0415 - it takes Airflow's seconds

        return lambda: open_storage(connection)
    return open_object_store


def _as_data(jobs: Sequence[Recounted], *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "jobs": [
            {
                "job": str(job.before.job),
                "before": _bill(job.before),
                "after": _bill(job.after),
                "changed": job.changed,
                "problem": job.problem or None,
            }
            for job in jobs
        ],
    }


def _bill(bill: Bill) -> dict[str, object]:
    rows = bill.rows
    return {
        **total_data(bill.total),
        "rows": {**rows_data(rows), "copied": rows.copied},
    }


def _as_text(jobs: Sequence[Recounted]) -> str:
    lines = [f"{each.before.job}: the bill was kept: {each.problem}" for each in jobs if each.problem]
    lines += [
        f"{each.before.job}: {_line(each.before)} -> {_line(each.after)}" for each in jobs if each.changed
    ]
    return "\n".join([*lines, summary([(job.before.total, job.after.total) for job in jobs])])


def _line(bill: Bill) -> str:
    rows = bill.rows
    counts = f"{rows.ok:,} ok, {rows.failed:,} failed, {rows.unreadable:,} unreadable"
    unrecognized = f", {rows.unrecognized:,} unrecognized" if rows.unrecognized else ""
    return f"{bill.total} ({counts}{unrecognized})"
