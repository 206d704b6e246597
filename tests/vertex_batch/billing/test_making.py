"""From rows to a bill to the table, with amounts that were computed by hand."""

from __future__ import annotations

import io
import json
from datetime import date
from decimal import Decimal

import pytest

from tests.builders import scan_file
from tests.vertex_batch.costs.conftest import database_url, postgres, table
from vertex_batch.billing.making import make_bill
from vertex_batch.costs import JobFacts, Total
from vertex_batch.pricing import PriceBook, PriceSource, packaged_prices, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import CompletionStats

__all__ = ["database_url", "postgres", "table"]
JOB = JobFacts("demo-project", "us-central1", "17", model="publishers/google/models/gemini-2.5-flash")
TODAY = date(2026, 11, 22)


@pytest.fixture
def book():
    return PriceBook([packaged_prices()])


def answered(**usage):
    return {"status": "", "response": {"modelVersion": "gemini-2.5-flash", "usageMetadata": usage}}


def scanned(*rows):
    data = b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)
    return scan_file(io.BytesIO(data), "predictions.jsonl", JOB.model)


def test_a_night_of_rows_becomes_one_exact_bill(book, table):
    rows = [
        answered(
            promptTokenCount=1000,
            cachedContentTokenCount=800,
            candidatesTokenCount=100,
            thoughtsTokenCount=900,
        ),
        answered(
            promptTokenCount=1000,
            promptTokensDetails=[{"modality": "AUDIO", "tokenCount": 1000}],
            candidatesTokenCount=10,
        ),
        answered(promptTokenCount=1000, candidatesTokenCount=100),
        {"status": "Bad Request", "response": {"usageMetadata": {"promptTokenCount": 10**9}}},
    ]
    stats = CompletionStats(successful_count=3, failed_count=1)
    bill = make_bill(JOB, scanned(*rows), book, stats=stats, input_rows=4)
    # 0.001304 with cache and thoughts, 0.0005125 with audio, 0.00015 + 0.000125 plain
    assert bill.total == Total(Decimal("0.0020915"), complete=True)
    assert bill.flags == ()
    assert (bill.rows.ok, bill.rows.failed, bill.rows.total) == (3, 1, 4)
    table.record(bill)
    assert table.bill(JobId("demo-project", "us-central1", "17")) == bill


def test_flags_tell_all_that_is_odd_and_the_callers_come_first(book):
    silent = PriceSource("model_info", TODAY, problem="the proxy's model_info could not be read: refused")
    scan = scanned(answered(promptTokenCount=1, totalTokenCount=2), b"{")
    bill = make_bill(
        JOB,
        scan,
        PriceBook([silent, *book.sources]),
        stats=CompletionStats(successful_count=2),
        flags=["said before"],
    )
    assert bill.flags == (
        "said before",
        "1 unreadable rows: what they cost is not in the amount",
        "Vertex counts 2 successful rows, the output holds 1",
        "the token counts do not add up to the total (1 row)",
        "the proxy's model_info could not be read: refused",
    )
    assert [problem.line for problem in bill.problems] == [2]


def test_search_queries_make_the_total_an_at_least(book):
    row = answered(promptTokenCount=1000)
    row["response"]["candidates"] = [{"groundingMetadata": {"webSearchQueries": ["a", "b", "c"]}}]
    bill = make_bill(JOB, scanned(row), book)
    assert bill.total == Total(Decimal("0.00015"), complete=False)
    [queries] = [item for item in bill.line_items if item.kind is Kind.SEARCH_QUERY]
    assert (queries.tokens, queries.unit, queries.amount_usd) == (1, "query", None)  # Gemini 2.x: by prompt


def test_a_bill_without_rows_is_nothing(book):
    assert make_bill(JOB, scanned(), book).total == Total(Decimal(0), complete=True)


@pytest.mark.parametrize(
    ("case", "rows", "stats", "lost"),
    [
        ("no row was written", (), {"successful_count": 2}, 2),
        ("one of three", ("ok", "ok"), {"successful_count": 3}, 1),
        (
            "an answer, beside a row that failed",
            ("ok", "failed"),
            {"successful_count": 2, "failed_count": 1},
            1,
        ),
        ("what is missing has failed", ("ok",), {"successful_count": 1, "failed_count": 1}, 0),
        ("Vertex counts a failed row as successful", ("ok", "failed"), {"successful_count": 2}, 0),
        ("a row that cannot be read is unknown for that reason", ("ok", "cut"), {"successful_count": 2}, 0),
        ("more rows than Vertex counts", ("ok", "ok"), {"successful_count": 1}, 0),
        ("Vertex does not know", ("ok",), {"successful_count": -1, "failed_count": -1}, 0),
        ("Vertex does not say", ("ok",), None, 0),
    ],
)
def test_answers_that_vertex_counts_and_the_output_does_not_hold_make_the_total_an_at_least(
    book, case, rows, stats, lost
):
    forms = {"ok": answered(promptTokenCount=1), "failed": {"status": "Bad", "response": {}}, "cut": b"{"}
    counted = CompletionStats(**stats) if stats else None
    bill = make_bill(JOB, scanned(*(forms[row] for row in rows)), book, stats=counted)
    reason = f"Vertex counts {lost} more successful rows than the output holds"
    assert any(reason in item.reason for item in bill.line_items) is bool(lost), case
    assert bill.total.complete is (not lost and "cut" not in rows), case


def test_usage_keeps_the_size_of_rows_so_that_it_can_be_priced_anew(book):
    """A model that gets long-context rates later can be re-priced without its output."""
    bill = make_bill(JOB, scanned(answered(promptTokenCount=300_000)), book)
    assert [item.tier for item in bill.line_items] == ["standard"]
    later = LiteLLMPrices(
        {"gemini-2.5-flash": {"input_cost_per_token_above_200k_tokens": "6e-07"}}, "later", TODAY
    )
    [item] = price(bill.usage, PriceBook([later]), JOB.location)
    assert (item.tier, item.amount_usd) == ("long_context", Decimal("0.09"))
