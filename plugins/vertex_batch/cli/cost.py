"""``vertex-batch cost``: shows what jobs cost, from the cost table. ``bill`` uses it for recorded jobs."""

from __future__ import annotations

import argparse
from argparse import Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from vertex_batch.budgets import Ledger, StoredEstimate
from vertex_batch.cli import arguments
from vertex_batch.cli.choice import add_days, check_days
from vertex_batch.cli.output import logs_aside, print_json, print_parts, say
from vertex_batch.cli.tables import jobs_table, render_bill, totals_table
from vertex_batch.costs import (
    Bill,
    CostTable,
    GroupTotal,
    JobCost,
    JobFilter,
    RowCounts,
    Total,
    add_totals,
)
from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.names import parse_job_name

_MANY = 10
_LATEST = 20


class MissingCostTableError(ConfigurationError):
    """No run has created the cost table yet, or its path is wrong."""


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Show what jobs cost, from the cost table: totals and jobs. If a price is unknown, the sum is a lower"
        " bound, printed as 'at least'. `vertex-batch bill ID` shows the bill of one job."
    )
    command.add_argument(
        "--by",
        choices=("spec", "day", "model", "team"),
        help="only the totals, by this (default: by spec, and the latest jobs)",
    )
    add_days(command)
    command.add_argument(
        "--limit",
        type=arguments.count,
        metavar="N",
        help="also list the latest N jobs (default: 20 without --by, else 0)",
    )
    arguments.add_json(command)
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show totals and jobs."""
    check_days(options)
    _show_totals(open_table(options), options)
    return 0


def run_bill(options: Namespace, job: str) -> int:
    """Show the recorded bill of a job; see `find_bill` for its names."""
    table = open_table(options)
    bill = find_bill(table, job)
    expected, deliveries = expected_of(table, bill), table.deliveries_of(bill.job)
    if not options.json:
        print_parts(render_bill(bill, expected.beside(bill) if expected else "", deliveries))
        return 0
    # The keys of `usage` are not strings. The line items have the same content.
    data = {name: value for name, value in asdict(replace(bill, usage={})).items() if name != "usage"}
    print_json(
        {
            **data,
            "day": bill.day,
            "total": _total(bill.total),
            "expected": expected.estimate.to_dict() if expected else None,
            "outside_expectation": expected.compare(bill) if expected else "",
            "outcome": expected.outcome(bill) if expected else "",
            "deliveries": [asdict(delivery) for delivery in deliveries],
            **_ratios(bill.saved, bill.rows, bill.per_thousand_rows),
        }
    )
    return 0


def find_bill(table: CostTable, job: str) -> Bill:
    """Find the bill of a job.

    :param job: its id, or any other name that `parse_job_name` reads; or a spec, for its latest job.
    :raises ConfigurationError: no job has that id, or several have.
    """
    found = table.jobs(JobFilter(named=frozenset({parse_job_name(job)})), limit=_MANY)
    if not found and (found := table.jobs(JobFilter(spec=job), limit=1)):
        latest = found[0].job
        run = f" of run {latest.run_id}" if latest.run_id else ""
        say(f"{job} is a spec. This is the bill of its latest job, {latest}{run}:")
    if len(found) > 1:
        names = " and ".join(sorted(str(each.job) for each in found))
        raise ConfigurationError(f"Job {job} is ambiguous: {names}. Use one of these names.")
    bill = table.bill(found[0].job.key) if found else None
    if bill is None:
        from vertex_batch.specs.load import load_specs, working_folder  # noqa: PLC0415 - slow

        is_spec = job in load_specs(working_folder()).specs
        what = f"The spec {job} has no bill yet" if is_spec else f"The cost table has no job {job}"
        raise ConfigurationError(
            f"{what}. A job's cost is recorded when its run ends."
            " `vertex-batch cost --limit 100` lists the latest jobs."
        )
    return bill


def open_table(options: Namespace) -> CostTable:
    """Open the cost table that the options name.

    :raises MissingCostTableError: its file does not exist.
    """
    from sqlalchemy import make_url

    url = options.url
    if not url:
        with logs_aside():
            from vertex_batch.hooks.cost_table import cost_table_url  # noqa: PLC0415 - it takes seconds

            url = cost_table_url(options.cost_connection)
    table = CostTable(url)
    database = make_url(url).database or ""
    # Opening would create the file, and a mistyped path must not look like a table without costs.
    is_file = url.startswith("sqlite") and not database.startswith("file:")
    if is_file and not Path(database).exists():
        raise MissingCostTableError(
            f"There is no cost table at {database}. The first run that ends creates it. If it is elsewhere,"
            " use --url or --connection."
        )
    return table


def expected_of(table: CostTable, bill: Bill) -> StoredEstimate | None:
    """What was expected of a job before it was submitted; None if it was not estimated."""
    return Ledger(table).of_job(bill.job.key)


def _show_totals(table: CostTable, options: Namespace) -> None:
    where = JobFilter(since=options.since, until=options.until)
    by: Literal["spec", "day", "model", "team"] = options.by or "spec"
    limit = options.limit if options.limit is not None else 0 if options.by else _LATEST
    totals = table.totals(by, options.since, options.until)
    jobs = table.jobs(where, limit=limit + 1)
    shown, more = jobs[:limit], len(jobs) > limit
    # The sums are complete only if those of each group are.
    whole = add_totals(group.total for group in totals)
    saved = add_totals(group.saved for group in totals)
    if options.json:
        print_json(
            {
                "by": by,
                "since": options.since,
                "until": options.until,
                "total": _total(whole),
                "saved": _total(saved),
                "totals": [_group(total) for total in totals],
                "jobs": [_job(job) for job in shown],
                "more_jobs": more,
            }
        )
        return
    if not totals and not jobs:
        print_parts("No jobs were billed in this period.")
        return
    print_parts(
        totals_table(totals, by, whole, saved),
        *([jobs_table(shown, more=more)] if limit else []),
    )


def _group(total: GroupTotal) -> dict[str, object]:
    return {
        "group": total.group[0],
        **_total(total.total),
        **_ratios(total.saved, total.rows, total.per_thousand_rows),
        "jobs": total.jobs,
        "tokens": total.tokens,
        "first_day": total.first_day,
        "last_day": total.last_day,
    }


def _job(job: JobCost) -> dict[str, object]:
    return {
        "job": asdict(job.job),
        "rows": asdict(job.rows),
        **_total(job.total),
        **_ratios(job.saved, job.rows, job.per_thousand_rows),
        "tokens": job.tokens,
    }


def _ratios(saved: Total, rows: RowCounts | None, per_thousand_rows: Total | None) -> dict[str, object]:
    return {
        "saved": _total(saved),
        "failed_share": rows.failed_share if rows else None,
        "usd_per_thousand_rows": per_thousand_rows.amount if per_thousand_rows else None,
    }


def _total(total: Total) -> dict[str, object]:
    return {"amount_usd": total.amount, "complete": total.complete}
