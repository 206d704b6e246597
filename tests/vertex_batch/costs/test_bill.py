"""From rows to a bill to the table, with amounts that were computed by hand."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from tests.builders import scan_file
from vertex_batch.costs import JobFacts, Total, make_bill
from vertex_batch.pricing import PriceBook, PriceSource, packaged_prices, price
from vertex_batch.pricing.sources import LiteLLMPrices
from vertex_batch.usage import Kind
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import CompletionStats

JOB = JobFacts("demo-project", "us-central1", "17", model="publishers/google/models/gemini-2.5-flash")
TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("state", "message", "shown"),
    [
        ("CANCELLED", "CANCELED", ""),
        ("CANCELLED", "Cancelled.", ""),
        ("CANCELLED", "quota exceeded", "quota exceeded"),
        ("SUCCEEDED", "", ""),
        ("FAILED", "CANCELED", "CANCELED"),
    ],
)
def test_the_message_of_an_end_is_left_out_if_it_only_repeats_the_state(state, message, shown):
    assert replace(JOB, state=state, error_message=message).end_message == shown


CREATED = datetime(2026, 11, 22, 2, 30, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("earlier", "later", "contradiction"),
    [
        ({}, {}, ""),
        ({"create_time": CREATED}, {"create_time": CREATED}, ""),
        ({"create_time": CREATED}, {"create_time": CREATED.replace(microsecond=0)}, ""),
        ({"create_time": CREATED}, {}, ""),
        (
            {"create_time": CREATED, "job_key": "a", "display_name": "one"},
            {"create_time": CREATED, "job_key": "b", "display_name": "two"},
            "",
        ),
        (
            {"create_time": CREATED, "job_key": "a"},
            {"create_time": CREATED + timedelta(hours=1), "job_key": "a"},
            "it was created at 2026-11-22T03:30:05.123456+00:00, not at 2026-11-22T02:30:05.123456+00:00",
        ),
        ({"job_key": "a"}, {"job_key": "b"}, "its idempotency key is 'b', not 'a'"),
        ({"job_key": "a"}, {"job_key": ""}, ""),
        (
            {"create_time": CREATED, "display_name": "one"},
            {"display_name": "two"},
            "its display name is 'two', not 'one'",
        ),
        ({"run_id": "scheduled", "dag_id": "nightly"}, {"run_id": "adopted", "dag_id": "adopt"}, ""),
    ],
)
def test_facts_of_another_job_with_the_same_id_are_told_from_facts_of_the_same(earlier, later, contradiction):
    assert replace(JOB, **later).contradiction(replace(JOB, **earlier)) == contradiction


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


def test_a_bill_without_rows_is_nothing_and_says_so(book):
    bill = make_bill(JOB, scanned(), book, stats=CompletionStats(successful_count=2))
    assert bill.total == Total(Decimal(0), complete=True)
    assert bill.flags == ("Vertex counts 2 successful rows, the output holds 0",)


def test_usage_keeps_the_size_of_rows_so_that_it_can_be_priced_anew(book):
    """A model that gets long-context rates later can be re-priced without its output."""
    bill = make_bill(JOB, scanned(answered(promptTokenCount=300_000)), book)
    assert [item.tier for item in bill.line_items] == ["standard"]
    later = LiteLLMPrices(
        {"gemini-2.5-flash": {"input_cost_per_token_above_200k_tokens": "6e-07"}}, "later", TODAY
    )
    [item] = price(bill.usage, PriceBook([later]), JOB.location)
    assert (item.tier, item.amount_usd) == ("long_context", Decimal("0.09"))
