"""``vertex-batch bill``: the bill of any output, without Airflow, a proxy or a cost table."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.cli.output import print_json
from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import named

if TYPE_CHECKING:
    from vertex_batch.costs import Bill
    from vertex_batch.pricing import LineItem, PriceBook
    from vertex_batch.usage import OnProgress


_CREDENTIALS = "of the environment (application default credentials)"


def run(options: Namespace) -> int:
    """Scan, price and print. Rows that cannot be read are on the bill, and no error."""
    from vertex_batch.cli.progress import progress_bar  # noqa: PLC0415 - so that `validate` is quick

    jobs = options.jobs or os.cpu_count() or 1
    with progress_bar() as on_progress:
        bill = make(
            options.paths, options.model, options.location, options.prices, jobs, on_progress=on_progress
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
    on_progress: OnProgress | None = None,
) -> Bill:
    """Make one bill of all paths.

    :param prices: a price map in LiteLLM's format, which alone holds; None: the packaged prices.
    """
    from vertex_batch.costs import JobFacts, make_bill  # noqa: PLC0415 - so that `validate` is quick
    from vertex_batch.usage import ScanOptions, find_outputs, scan_outputs  # noqa: PLC0415

    book = _price_book(prices)
    thresholds = book.thresholds()
    try:
        with named(", ".join(paths), _CREDENTIALS):
            outputs, how = find_outputs(paths), ScanOptions(model, thresholds=thresholds)
            scan = scan_outputs(outputs, how, processes, on_progress)
    except FileNotFoundError as error:
        raise OutputMissingError(", ".join(paths), f"it does not exist: {error}") from error
    facts = JobFacts("", location, "", model=model, output_directory=", ".join(paths))
    return make_bill(facts, scan, book)


def as_data(bill: Bill) -> dict[str, Any]:
    """The bill as plain data; money and rates are decimal texts, since JSON's numbers are not exact."""
    total = bill.total
    return {
        "rows": {"ok": bill.rows.ok, "failed": bill.rows.failed, "unreadable": bill.rows.unreadable},
        "line_items": [_item(item) for item in bill.metered],
        "total": {"amount": _text(total.amount), "complete": total.complete},
        "flags": [*bill.flags, *(f"unreadable: {problem}" for problem in bill.problems)],
    }


def _item(item: LineItem) -> dict[str, Any]:
    return {
        "model": item.model,
        "kind": item.kind,
        "modality": item.modality,
        "tier": item.tier,
        "tokens": item.tokens,
        "unit_price": _text(item.unit_price_usd),
        "amount": _text(item.amount_usd),
        "basis": item.basis,
        "source": item.source or None,
        "reason": item.reason or None,
    }


def _text(number: Decimal | None) -> str | None:
    from vertex_batch.costs import in_full  # noqa: PLC0415

    return None if number is None else in_full(number)


def _price_book(prices: str | None) -> PriceBook:
    from vertex_batch.pricing import PriceBook, packaged_prices, price_file  # noqa: PLC0415

    source = price_file(Path(prices), may_be_empty=True) if prices else packaged_prices()
    return PriceBook([source], max_decimals=None)


def _print(bill: Bill) -> None:
    from vertex_batch.cli.cost import print_parts  # noqa: PLC0415
    from vertex_batch.cli.tables import render_bill  # noqa: PLC0415 - it brings rich along

    print_parts(render_bill(bill))
