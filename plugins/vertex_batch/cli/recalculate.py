"""``vertex-batch reprice`` and ``vertex-batch recount``: recalculate the bills of recorded jobs."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from vertex_batch.billing.outputs import ReadTable
from vertex_batch.billing.recounting import Recounter
from vertex_batch.billing.repricing import reprice
from vertex_batch.cli import arguments
from vertex_batch.cli.bill import rows_data
from vertex_batch.cli.choice import add_jobs, add_prices, chosen_jobs, chosen_prices
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json, total_data
from vertex_batch.cli.paths import open_object_store
from vertex_batch.costs import Bill, Total, usd
from vertex_batch.pricing import add
from vertex_batch.storage import ObjectStorage


def describe_reprice(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Reprice recorded jobs from the tokens in the cost table. Outputs are not read. The old"
        " line items are kept in cost_price_history."
    )
    add_jobs(command)
    add_prices(command)
    _add_rest(command, "only compare the bills with these prices; write nothing")
    command.set_defaults(run=run_reprice)


def describe_recount(command: argparse.ArgumentParser) -> None:
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
    _add_rest(command, "only compare; write nothing")
    command.set_defaults(run=run_recount)


def _add_rest(command: argparse.ArgumentParser, dry_run: str) -> None:
    command.add_argument("--dry-run", action="store_true", help=dry_run)
    arguments.add_json(command)
    arguments.add_table(command)


def run_reprice(options: Namespace) -> int:
    where = chosen_jobs(options)
    table = open_table(options)
    with chosen_prices(options) as (books, _):
        jobs = list(reprice(table, books.book_of, where, dry_run=options.dry_run))
    if options.json:
        data = [
            {
                "job": str(job.job),
                "before": total_data(job.before),
                "after": total_data(job.after),
                "changed": job.changed,
            }
            for job in jobs
        ]
        print_json({"dry_run": options.dry_run, "jobs": data})
    else:
        lines = [f"{each.job}: {each.before} -> {each.after}" for each in jobs if each.changed]
        _print(lines, [(job.before, job.after) for job in jobs])
    return 0


def run_recount(options: Namespace) -> int:
    """Recount the jobs and print what changed. Return 1 if an output could not be read."""
    where = chosen_jobs(options)
    table = open_table(options)
    open_storage, read_table = _outputs(options.storage)
    with chosen_prices(options) as (books, client):
        recounter = Recounter(client, open_storage, table, books, read_table=read_table)
        jobs = list(recounter.recount(where, dry_run=options.dry_run))
    if options.json:
        data = [
            {
                "job": str(job.before.job),
                "before": _bill_data(job.before),
                "after": _bill_data(job.after),
                "changed": job.changed,
                "problem": job.problem or None,
            }
            for job in jobs
        ]
        print_json({"dry_run": options.dry_run, "jobs": data})
    else:
        lines = [f"{each.before.job}: the bill was kept: {each.problem}" for each in jobs if each.problem]
        lines += [
            f"{each.before.job}: {_bill(each.before)} -> {_bill(each.after)}" for each in jobs if each.changed
        ]
        _print(lines, [(job.before.total, job.after.total) for job in jobs])
    return 1 if any(job.problem for job in jobs) else 0


def _outputs(connection: str | None) -> tuple[Callable[[], ObjectStorage], ReadTable | None]:
    """Open the object store, and the reader of BigQuery tables, which needs an Airflow connection."""
    if not connection:
        return open_object_store, None
    from vertex_batch.hooks.bigquery import read_table  # noqa: PLC0415 - it takes Airflow's seconds
    from vertex_batch.hooks.storage import open_storage  # noqa: PLC0415

    return lambda: open_storage(connection), lambda uri: read_table(uri, connection)


def _bill_data(bill: Bill) -> dict[str, object]:
    return {**total_data(bill.total), "rows": {**rows_data(bill.rows), "copied": bill.rows.copied}}


def _bill(bill: Bill) -> str:
    rows = bill.rows
    counts = f"{rows.ok:,} ok, {rows.failed:,} failed, {rows.unreadable:,} unreadable"
    unrecognized = f", {rows.unrecognized:,} unrecognized" if rows.unrecognized else ""
    return f"{bill.total} ({counts}{unrecognized})"


def _print(lines: Sequence[str], totals: Sequence[tuple[Total, Total]]) -> None:
    """Print the changes, how many sums differ, and by how much in total.

    :param totals: of each job, before and after.
    """
    differ = sum(before != after for before, after in totals)
    difference = add(each for before, after in totals for each in (after.amount, -before.amount))
    summary = f"{differ} of {len(totals)} jobs differ, by {usd(difference)}"
    sys.stdout.write("".join(f"{line}\n" for line in (*lines, summary)))
