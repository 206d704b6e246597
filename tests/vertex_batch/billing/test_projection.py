from __future__ import annotations

import random
import statistics
from decimal import Decimal

import pytest

from vertex_batch.billing.projection import project
from vertex_batch.costs import Bill, JobFacts, RowCounts
from vertex_batch.pricing import LineItem
from vertex_batch.usage import Kind, Modality, Tier


def bill(*amounts: tuple[Kind, str | None]) -> Bill:
    items = [
        LineItem("m", kind, Modality.TEXT, Tier.STANDARD, 1, None, Decimal(usd) if usd else None)
        for kind, usd in amounts
    ]
    return Bill(JobFacts("p", "l", "1"), RowCounts(), items)


def costs(*amounts: str) -> list[Decimal]:
    return [Decimal(amount) for amount in amounts]


def test_the_amount_is_the_sample_s_for_each_row_and_adds_up_by_kind():
    projected = project(bill((Kind.INPUT, "1"), (Kind.OUTPUT, "3")), costs("1", "2", "1", "0"), 100)
    assert projected.amount_usd == 100
    assert projected.by_kind == {"input": 25, "output": 75}


def test_the_standard_error_is_that_of_a_draw_without_putting_back():
    # By hand: mean 1, variance 2/3; 100 * sqrt(2/3 / 4 * 96/100) = 40.
    projected = project(bill((Kind.INPUT, "4")), costs("1", "2", "1", "0"), 100)
    assert projected.standard_error_usd == 40
    assert projected.range_usd == (Decimal("21.6"), Decimal("178.4"))
    assert "standard error 40.00 USD" in str(projected)


def test_a_sample_of_everything_leaves_no_doubt():
    projected = project(bill((Kind.INPUT, "3")), costs("1", "2"), 2)
    assert (projected.amount_usd, projected.standard_error_usd) == (3, 0)
    assert "the sample is the whole input" in str(projected)


def test_one_row_says_nothing_of_the_spread_and_none_says_nothing():
    assert project(bill((Kind.INPUT, "3")), costs("3"), 10).standard_error_usd is None
    assert project(bill(), [], 10) is None


def test_what_has_no_price_makes_it_an_at_least():
    assert "at least" in str(project(bill((Kind.INPUT, "3"), (Kind.OUTPUT, None)), costs("1", "2"), 10))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_stated_range_holds_the_true_cost_about_nineteen_times_in_twenty(seed):
    chance = random.Random(seed)
    population = [Decimal(chance.randrange(1, 1000)) / 1000 for _ in range(2000)]
    truth, held = sum(population), 0
    for _ in range(300):
        drawn = chance.sample(population, 100)
        low, high = project(bill((Kind.INPUT, str(sum(drawn)))), drawn, 2000).range_usd
        held += low <= truth <= high
    assert 0.90 < held / 300 < 0.99
    assert statistics.fmean(map(float, population)) == pytest.approx(0.5, abs=0.05)
