"""``vertex-batch bill``: bills any output, without Airflow, a proxy or a cost table."""

from __future__ import annotations

import os
import re
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli.output import print_json
from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import named

_OUTPUT_DIRECTORY = re.compile(r"(?:^|/)prediction-[^/]*?-?(\d{4}-\d\d-\d\d)T")

if TYPE_CHECKING:
    from vertex_batch.costs import Bill, RowCounts
    from vertex_batch.pricing import LineItem, PriceBook
    from vertex_batch.usage import OnProgress


_CREDENTIALS = "of the environment (application default credentials)"


def run(options: Namespace) -> int:
    """Scan, price and print. Unreadable rows are listed on the bill and are not an error."""
    from vertex_batch.cli.progress import progress_bar  # noqa: PLC0415 - so that `validate` is quick

    jobs = options.jobs or os.cpu_count() or 1
    with progress_bar() as on_progress:
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
        _print(bill)
    return 0


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
    from vertex_batch.costs import JobFacts, make_bill  # noqa: PLC0415 - so that `validate` is quick
    from vertex_batch.usage import ScanOptions, find_outputs, scan_outputs  # noqa: PLC0415

    book = price_book(prices)
    thresholds = book.thresholds()
    try:
        with named(", ".join(paths), _CREDENTIALS):
            outputs, how = find_outputs(paths), ScanOptions(model, thresholds=thresholds)
            scan = scan_outputs(outputs, how, processes, on_progress)
    except FileNotFoundError as error:
        raise OutputMissingError(", ".join(paths), f"it does not exist: {error}") from error
    ran_on = day or day_in(paths)
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


def as_data(bill: Bill) -> dict[str, Any]:
    """The bill as plain data. Money and rates are decimal strings, because JSON's numbers are not exact."""
    total = bill.total
    return {
        "rows": rows_data(bill.rows),
        "line_items": [_item(item) for item in bill.metered],
        "total": {"amount": _text(total.amount), "complete": total.complete},
        "flags": [*bill.flags, *(f"unreadable: {problem}" for problem in bill.problems)],
    }


def rows_data(rows: RowCounts) -> dict[str, int]:
    """The row counts as plain data."""
    return {
        "ok": rows.ok,
        "failed": rows.failed,
        "unreadable": rows.unreadable,
        "unrecognized": rows.unrecognized,
    }


def _item(item: LineItem) -> dict[str, Any]:
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
    from vertex_batch.costs import in_full  # noqa: PLC0415

    return None if number is None else in_full(number)


def price_book(prices: str | None) -> PriceBook:
    """The prices of a file, used alone, or the packaged ones."""
    from vertex_batch.pricing import PriceBook, packaged_prices, price_file  # noqa: PLC0415

    source = price_file(Path(prices), may_be_empty=True) if prices else packaged_prices()
    return PriceBook([source], max_decimals=None)


def _print(bill: Bill) -> None:
    from vertex_batch.cli.cost import print_parts  # noqa: PLC0415
    from vertex_batch.cli.tables import render_bill  # noqa: PLC0415 - it brings rich along

    print_parts(render_bill(bill))
