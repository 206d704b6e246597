"""``vertex-batch reconcile``: our bills beside the proxy's, Google's or another price list's figures."""

from __future__ import annotations

import csv
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli.choice import chosen_jobs, open_client
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json
from vertex_batch.cli.reprice import total_data
from vertex_batch.errors import ApiError, ConfigurationError

if TYPE_CHECKING:
    from vertex_batch.costs import Bill, CostTable, JobFilter
    from vertex_batch.costs.reconciling import Compared, Reconciliation

# The proxy costs a batch when it polls, and gives up on one after seven days.
_LATE = timedelta(days=8)
# What LiteLLM says in its place, whatever the status.
_NO_DATABASE = ("Prisma Client", "No connected db", "Database not connected")


def run(options: Namespace) -> int:
    """Compare and print; the exit status is 0 whether there are differences or not."""
    where = chosen_jobs(options)
    table = open_table(options)
    found = _compare(options, table, where)
    if options.json:
        print_json(_as_data(found, options))
    else:
        sys.stdout.write(f"{_as_text(found)}\n")
    return 0


def _compare(options: Namespace, table: CostTable, where: JobFilter) -> Reconciliation:
    from vertex_batch.costs import reconciling  # noqa: PLC0415 - see cli.main
    from vertex_batch.costs.repricing import recorded, reprice  # noqa: PLC0415 - it brings SQLAlchemy along

    if options.prices:
        from vertex_batch.price_books import OneBook  # noqa: PLC0415
        from vertex_batch.pricing import price_file  # noqa: PLC0415

        book = OneBook(price_file(Path(options.prices)))
        repriced = reprice(table, book.of, where, dry_run=True)
        return reconciling.against_prices((job.bill, job.line_items) for job in repriced)
    bills = list(recorded(table, where))
    if options.billing:
        from vertex_batch.lifecycle import JOB_KEY_LABEL  # noqa: PLC0415

        return reconciling.against_billing(bills, _rows(Path(options.billing)), JOB_KEY_LABEL)
    with open_client(options.proxy) as client:
        try:
            return reconciling.against_proxy(bills, _spend_logs(client, bills))
        except ApiError as error:
            if any(words in error.message for words in _NO_DATABASE):
                raise ConfigurationError(
                    f"The proxy of connection {options.proxy!r} has no database, so it has no figures of its"
                    " own. Compare with --billing or --prices."
                ) from error
            raise


def _spend_logs(client: Any, bills: list[Bill]) -> Iterator[dict[str, Any]]:
    """The proxy's cost rows from the first job's beginning to when the last one's would be there."""
    if bills:
        begin = min(bill.job.create_time or bill.recorded_at for bill in bills)
        end = max(bill.recorded_at for bill in bills) + _LATE
        first = datetime.combine(begin.astimezone(UTC).date(), time(), UTC)
        yield from client.spend_logs(first, min(end, datetime.now(UTC)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"ListCost", "BilledCost"} & set(reader.fieldnames or ()):
                raise ConfigurationError(
                    f"{path} is no export in the columns of FOCUS: it has neither ListCost nor BilledCost."
                )
            yield from reader
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read as CSV: {error}") from error


def _as_data(found: Reconciliation, options: Namespace) -> dict[str, Any]:
    from vertex_batch.costs import in_full  # noqa: PLC0415

    return {
        "against": "prices" if options.prices else "billing" if options.billing else "proxy",
        "jobs": [_job(job) for job in found.jobs],
        "models": [
            {
                "model": each.model,
                "jobs": each.jobs,
                "ours_usd": in_full(each.ours),
                "theirs_usd": in_full(each.theirs),
                "difference_usd": in_full(each.theirs - each.ours),
            }
            for each in found.models()
        ],
        "unmatched": {name: in_full(amount) for name, amount in found.unmatched.items()},
    }


def _job(job: Compared) -> dict[str, Any]:
    from vertex_batch.costs import in_full  # noqa: PLC0415

    return {
        "job": str(job.bill.job),
        "model": job.model,
        "ours": total_data(job.bill.total),
        "theirs": total_data(job.theirs) if job.theirs else None,
        "difference_usd": None if job.difference is None else in_full(job.difference),
        "differs": job.differs,
        "why": list(job.why),
    }


def _as_text(found: Reconciliation) -> str:
    from vertex_batch.costs import usd  # noqa: PLC0415

    lines = []
    for job in found.jobs:
        if job.differs:
            theirs = job.theirs or "no figure"
            by = "" if job.difference is None else f", a difference of {usd(job.difference)}"
            lines.append(f"{job.bill.job} ({job.model}): {job.bill.total} here, {theirs} there{by}")
            lines += [f"    {reason}" for reason in job.why]
    for each in found.models():
        lines.append(
            f"{each.model}: {each.jobs} jobs, {usd(each.ours)} here, {usd(each.theirs)} there,"
            f" a difference of {usd(each.theirs - each.ours)}"
        )
    lines += [f"no job of ours: {name}: {usd(amount)}" for name, amount in found.unmatched.items()]
    differ = sum(job.differs for job in found.jobs)
    return "\n".join([*lines, f"{differ} of {len(found.jobs)} jobs differ"])
