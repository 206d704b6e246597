"""The cost of one row: what it adds to the bill of its job, also where prices changed while the job ran."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from vertex_batch.billing.making import make_bill
from vertex_batch.costs import JobFacts
from vertex_batch.pricing import PriceBook, from_proxy
from vertex_batch.results import JobPrices
from vertex_batch.results.costing import RowMeter
from vertex_batch.usage import Scanner, ScanOptions
from vertex_batch.usage.outcomes import Reading
from vertex_batch.usage.reader import read_row

BOOK = PriceBook(from_proxy(None))


def a_row(model: str, time: str = "2026-11-30T22:00:00+00:00", **usage: int) -> bytes:
    counts = {"promptTokenCount": 1000, "candidatesTokenCount": 100, **usage}
    counts["totalTokenCount"] = sum(counts[k] for k in counts if k != "cachedContentTokenCount")
    response = {"usageMetadata": counts, "modelVersion": model}
    return json.dumps({"status": "", "processed_time": time, "response": response}).encode() + b"\n"


def costs(model: str, rows: list[bytes]) -> tuple[list[Decimal | None], Any]:
    """The costs of rows, and the bill of the job with these rows."""
    start, end = datetime(2026, 11, 30, 20, tzinfo=UTC), datetime(2026, 12, 1, 4, tzinfo=UTC)
    facts = JobFacts("demo-project", "global", "1", model=model, start_time=start, end_time=end)
    options = ScanOptions(model, thresholds=BOOK.thresholds(), price_days=facts.price_days(BOOK))
    scanner = Scanner(options)
    scanner.scan(io.BytesIO(b"".join(rows)), "predictions.jsonl")
    bill = make_bill(facts, scanner.result(), BOOK)
    meter = RowMeter(JobPrices.of_bill(bill, BOOK.thresholds()))
    readings = [read_row(row) for row in rows]
    return [meter.cost_of(each).usd for each in readings if isinstance(each, Reading)], bill


def test_a_row_costs_the_price_of_its_day():
    times = ["2026-11-30T23:59:59.9+00:00", "2026-12-01T00:30:00+01:00", "2026-12-01T00:00:00+00:00"]
    found, bill = costs("gemini-4-argon", [a_row("gemini-4-argon", time) for time in times])
    assert found == [Decimal("0.0015"), Decimal("0.0015"), Decimal("0.003")]
    assert sum(cost or 0 for cost in found) == bill.total.amount


@pytest.mark.parametrize("model", ["gemini-2.5-pro", "gemini-2.5-flash", "gemini-3.1-pro-preview"])
def test_rows_of_both_tiers_and_of_all_kinds_add_up_to_the_bill(model):
    rows = [
        a_row(model),
        a_row(model, promptTokenCount=200_001),
        a_row(model, promptTokenCount=300_000, thoughtsTokenCount=7),
        a_row(model, cachedContentTokenCount=400),
    ]
    found, bill = costs(model, rows)
    assert sum(cost or 0 for cost in found) == bill.total.amount > 0


def test_a_model_without_a_price_costs_an_unknown_amount():
    found, bill = costs("unheard-of", [a_row("unheard-of")])
    assert found == [None]
    assert not bill.total.complete
