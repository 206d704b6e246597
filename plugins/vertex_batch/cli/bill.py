"""``vertex-batch bill``: bills any output without a cost table, or shows the bill of a recorded job."""

from __future__ import annotations

import argparse
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from vertex_batch.billing.making import make_bill
from vertex_batch.cli import arguments
from vertex_batch.cli.output import print_json, print_parts
from vertex_batch.cli.paths import find_outputs, scan_outputs
from vertex_batch.cli.progress import scan_progress
from vertex_batch.cli.tables import render_bill
from vertex_batch.costs import Bill, JobFacts, RowCounts, in_full
from vertex_batch.errors import ConfigurationError, OutputMissingError
from vertex_batch.pricing import LineItem, PriceBook, packaged_prices, price_file
from vertex_batch.storage import ENVIRONMENT, named
from vertex_batch.usage import OnProgress, ScanOptions
from vertex_batch.vertex.names import parse_job_name

_SPECS = (".yaml", ".yml")
_MOST_DAYS = timedelta(days=4)
"""After this, rows of a job are not answered: it may wait for 72 hours, and run for 24."""
_OUTPUT_DIRECTORY = re.compile(r"(?:^|/)prediction-[^/]*?-?(\d{4}-\d\d-\d\d)T")


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "With a job: show its bill from the cost table. With a spec: that of its latest job."
        " With paths: read the output of batch prediction jobs and price it, without Airflow, a proxy or a"
        " cost table. All paths together make one bill. If a price is unknown, the total is a lower bound,"
        " printed as 'at least'."
    )
    command.add_argument(
        "paths",
        nargs="+",
        metavar="JOB|SPEC|PATH",
        help="a job's id or PROJECT/LOCATION/ID; a spec; or a file, directory, gs:// URI or quoted glob with"
        " rows in JSON, plain or gzip",
    )
    arguments.add_rates(command, required=True)
    arguments.add_json(command)
    command.add_argument(
        "--jobs",
        type=arguments.count,
        metavar="N",
        help="number of processes that read a large local output (default: all cores)",
    )
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Show a recorded job's bill; or scan, price and print. Unreadable rows are not an error."""
    if _is_job(options.paths):
        from vertex_batch.cli import cost  # noqa: PLC0415 - an output needs neither it nor SQLAlchemy

        named = options.paths[0]
        return cost.run_bill(options, Path(named).stem if named.endswith(_SPECS) else named)
    missing = [f"--{name}" for name in ("model", "location") if not getattr(options, name)]
    if missing:
        raise ConfigurationError(
            f"The bill of an output needs {' and '.join(missing)}: rows may not name the model, and prices"
            " differ between locations. For the bill of a recorded job, give its id alone."
        )
    jobs = options.jobs or os.cpu_count() or 1
    with scan_progress() as on_progress:
        bill = make(
            options.paths,
            options.model,
            options.location,
            options.prices,
            jobs,
            day=options.day,
            on_progress=on_progress,
        )
    if options.json:
        print_json(as_data(bill))
    else:
        print_parts(render_bill(bill))
    return 0


def _is_job(paths: Sequence[str]) -> bool:
    """Whether a job or a spec is named, and not an output."""
    if len(paths) == 1 and paths[0].endswith(_SPECS):
        return True
    if len(paths) > 1 or paths[0].startswith(("gs://", ".", "/")) or Path(paths[0]).exists():
        return False
    try:
        parse_job_name(paths[0])
    except ConfigurationError:
        return False
    return True


def make(
    paths: Sequence[str],
    model: str,
    location: str,
    prices: str | None = None,
    processes: int = 1,
    *,
    day: date | None = None,
    on_progress: OnProgress | None = None,
) -> Bill:
    """Make one bill of all paths.

    :param prices: a price map in LiteLLM's format, used alone. None: the packaged prices.
    :param day: the UTC day on which the job ran, whose rates are used. None: the day in the name of the
        output directory, else today.
    """
    book = price_book(prices)
    ran_on = day or day_in(paths)
    price_days = book.change_days(model, ran_on, ran_on + _MOST_DAYS) if ran_on else ()
    how = ScanOptions(model, thresholds=book.thresholds(), price_days=price_days)
    try:
        with named(", ".join(paths), ENVIRONMENT):
            outputs = find_outputs(paths)
            scan = scan_outputs(outputs, how, processes, on_progress)
    except FileNotFoundError as error:
        raise OutputMissingError(", ".join(paths), f"it does not exist: {error}") from error
    start = datetime.combine(ran_on, time(), UTC) if ran_on else None
    facts = JobFacts("", location, "", model=model, output_directory=", ".join(paths), start_time=start)
    return make_bill(facts, scan, book)


def day_in(paths: Sequence[str]) -> date | None:
    """The day in the names that Vertex AI gives output directories; None if there is none, or several."""
    found = {match[1] for path in paths for match in _OUTPUT_DIRECTORY.finditer(path)}
    try:
        return date.fromisoformat(found.pop()) if len(found) == 1 else None
    except ValueError:
        return None


def as_data(bill: Bill) -> dict[str, object]:
    """The bill as plain data. Money and rates are decimal strings, because JSON's numbers are not exact."""
    total = bill.total
    return {
        "rows": rows_data(bill.rows),
        "line_items": [_item(item) for item in bill.metered],
        "total": {"amount": _text(total.amount), "complete": total.complete},
        "flags": [*bill.flags, *(f"unreadable: {problem}" for problem in bill.problems)],
    }


def rows_data(rows: RowCounts) -> dict[str, int]:
    return {
        "ok": rows.ok,
        "failed": rows.failed,
        "unreadable": rows.unreadable,
        "unrecognized": rows.unrecognized,
    }


def _item(item: LineItem) -> dict[str, object]:
    return {
        "model": item.model,
        "kind": item.kind,
        "modality": item.modality,
        "tier": item.tier,
        "tokens": item.tokens,
        "unit": item.unit,
        "unit_price": _text(item.unit_price_usd),
        "amount": _text(item.amount_usd),
        "basis": item.basis,
        "source": item.source or None,
        "reason": item.reason or None,
    }


def _text(number: Decimal | None) -> str | None:
    return None if number is None else in_full(number)


def price_book(prices: str | None) -> PriceBook:
    """The prices of a file, used alone, or the packaged ones."""
    source = price_file(Path(prices), may_be_empty=True) if prices else packaged_prices()
    return PriceBook([source], max_decimals=None)
