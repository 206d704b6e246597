"""What the overview finds unusual, and what not."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from vertex_batch.costs import GroupTotal, JobCost, JobFacts, RowCounts, Total
from vertex_batch.ui.unusual import factor, find_paid_again, find_unusual

TODAY = date(2026, 11, 22)
FINE = RowCounts(ok=1000, failed=3)


def night(back, usd="1", rows=FINE, spec="nightly") -> GroupTotal:
    day = TODAY - timedelta(back)
    return GroupTotal((spec, day), Total(Decimal(usd), complete=True), 1, 1, day, day, rows=rows)


def in_order(days: list[GroupTotal]) -> list[GroupTotal]:
    return sorted(days, key=lambda each: each.group)


WEEK = [night(back) for back in range(1, 9)]


@pytest.mark.parametrize(
    ("days", "briefs"),
    [
        ([*WEEK, night(0)], []),
        ([*WEEK, night(0, "1.99")], []),
        ([*WEEK, night(0, "2.4")], ["2.4 times the usual"]),
        ([night(1), night(2), night(0, "9")], []),  # too little is known
        ([*[night(n, "0.001") for n in range(1, 9)], night(0, "0.009")], []),  # less than a cent more
        ([*WEEK, night(0, rows=RowCounts(ok=95, failed=5))], ["5.0 % failed"]),
        ([*WEEK, night(0, rows=RowCounts(ok=96, failed=4))], []),
        ([*WEEK, night(0, rows=RowCounts(ok=90, unreadable=10))], ["10.0 % failed"]),
        (WEEK, []),  # today's jobs may still come
        ([night(back) for back in range(2, 9)], ["no job"]),
        ([night(back) for back in range(2, 9) if back != 4], []),  # it does not run every day
        ([], []),
    ],
)
def test_the_latest_day_is_compared_with_those_before(days, briefs):
    assert [each.brief for each in find_unusual(in_order(days), TODAY, {})] == briefs


def test_each_spec_has_its_own_limit_of_failed_rows():
    days = in_order([*WEEK, night(0, rows=RowCounts(ok=98, failed=2))])
    for limits, briefs in (
        ({}, []),
        ({"other": Decimal("0.01")}, []),
        ({"nightly": Decimal("0.01")}, ["2.0 % failed"]),
    ):
        assert [each.brief for each in find_unusual(days, TODAY, limits)] == briefs


def test_failures_come_first_and_then_the_largest_amounts():
    days = [*WEEK, night(0, "5")]
    days += [night(back, "100", spec="big") for back in range(1, 9)] + [night(0, "300", spec="big")]
    days += [night(0, "1", RowCounts(ok=1, failed=1), spec="broken")]
    found = find_unusual(in_order(days), TODAY, {})
    assert [(each.spec, each.is_bad) for each in found] == [
        ("broken", True),
        ("big", False),
        ("nightly", False),
    ]
    assert found[1].text == "big cost 300.00 USD, 3.0 times the usual 100.00"


def test_an_amount_that_is_a_lower_bound_is_called_one():
    last = replace(night(0, "5"), total=Total(Decimal(5), complete=False))
    [found] = find_unusual(in_order([*WEEK, last]), TODAY, {})
    assert found.text == "nightly cost at least 5.00 USD, 5.0 times the usual 1.00"
    facts = JobFacts("p", "l", "1", spec="nightly", input_uris=("gs://bucket/in.jsonl",), run_id="one")
    paid = [
        JobCost(replace(facts, run_id=run), FINE, Total(Decimal(1), complete=run == "one"), 1, ())
        for run in ("one", "two")
    ]
    [again] = find_paid_again(paid, {facts.key: 900})
    assert again.text == "nightly: the same input was paid for 2 times, at least 2.00 USD"


@pytest.mark.parametrize(
    ("jobs", "text"),
    [
        ([("one", "SUCCEEDED"), ("one", "SUCCEEDED"), ("two", "SUCCEEDED")], "paid for 3 times, 3.00 USD"),
        ([("one", "FAILED"), ("one", "SUCCEEDED"), ("two", "SUCCEEDED")], "paid for 2 times, 3.00 USD"),
        ([("one", "CANCELLED"), ("two", "SUCCEEDED")], "paid for 2 times, 2.00 USD"),
        ([("one", "SUCCEEDED"), ("one", "SUCCEEDED")], ""),  # who cleared it was told so
    ],
)
def test_each_payment_for_an_input_is_counted(jobs, text):
    facts = JobFacts("p", "l", "1", spec="nightly", input_uris=("gs://bucket/in.jsonl",))
    paid = [
        JobCost(replace(facts, run_id=run, state=state), FINE, Total(Decimal(1), complete=True), 1, ())
        for run, state in jobs
    ]
    found = [each.text for each in find_paid_again(paid, {facts.key: 900})]
    assert found == ([f"nightly: the same input was {text}"] if text else [])


def test_nothing_is_unusual_where_the_usual_is_nothing():
    assert factor(Decimal(5), [Decimal(0)] * 9) is None
