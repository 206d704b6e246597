"""The numbers behind the chart."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from vertex_batch.costs import GroupTotal, Total
from vertex_batch.ui.chart import HEIGHT, WIDTH, draw, round_up
from vertex_batch.ui.periods import Days, last_month, read_period, so_far_last_month
from vertex_batch.ui.spend import MAX_SERIES, add_groups
from vertex_batch.ui.spend import arrange as arrange_groups

DAYS = [date(2026, 11, 1) + timedelta(n) for n in range(3)]


def arrange(days, daily):
    return arrange_groups(Days(days[0], days[-1]), add_groups(daily), daily)


def spent(name, day, amount, *, complete=True) -> GroupTotal:
    return GroupTotal((name, day), Total(Decimal(amount), complete), 1, 1, day, day)


def test_bars_stand_on_each_other_and_stay_in_the_drawing():
    spend = arrange(DAYS, [spent("a", DAYS[0], "3"), spent("b", DAYS[0], "2", complete=False)])
    bars = draw(spend).bars
    assert [bar.number for bar in bars] == [1, 2, -1]
    assert bars[0].box.y + bars[0].box.height == HEIGHT
    assert bars[1].box.y + bars[1].box.height == pytest.approx(bars[0].box.y)
    assert all(bar.box.y >= 0 and bar.box.x + bar.box.width <= WIDTH for bar in bars)


def test_what_has_no_colour_of_its_own_is_added_up_as_others():
    spend = arrange(DAYS, [spent(f"g{n}", DAYS[1], str(n)) for n in range(1, 9)])
    assert [series.name for series in spend.series] == ["g8", "g7", "g6", "g5", "g4", "3 others"]
    assert len(spend.series) == MAX_SERIES + 1
    assert sum(series.total.amount for series in spend.series) == spend.total.amount == 36


def test_a_day_of_which_nothing_has_a_price_is_marked():
    spend = arrange(DAYS, [spent("a", DAYS[0], "0", complete=False)])
    assert [bar.number for bar in draw(spend).bars] == [-1]


@pytest.mark.parametrize(
    ("amount", "top"), [("0", "1"), ("1", "1"), ("1.01", "2"), ("0.0021", "0.0025"), ("600", "1000")]
)
def test_the_axis_ends_on_a_round_number(amount, top):
    assert round_up(Decimal(amount)) == Decimal(top)


def test_last_month_is_compared_to_the_same_day_also_where_it_is_shorter():
    assert so_far_last_month(date(2026, 3, 31)).until == date(2026, 2, 28)
    assert last_month(date(2026, 1, 5)).since == date(2025, 12, 1)


def test_the_usual_period_is_the_last_thirty_days():
    assert read_period("", "", date(2026, 11, 22)).length == 30


def test_a_long_period_is_shown_by_week_and_no_day_is_lost():
    period = Days(date(2026, 1, 1), date(2026, 12, 31))
    daily = [spent("a", day, "1") for day in map(date.fromordinal, range(739617, 739617 + 365))]
    assert (daily[0].group[1], daily[-1].group[1]) == (period.since, period.until)
    spend = arrange_groups(period, add_groups(daily), daily)
    assert len(spend.days) == 53
    assert {total.amount for total in spend.totals.values()} == {7, 1}
    assert spend.total.amount == 365
    assert period.end_of(spend.days[-1]) == period.until


def test_the_rest_may_be_added_up_by_the_database():
    groups = [spent(f"g{n}", DAYS[0], str(n)) for n in range(1, 9)]
    whole = arrange(DAYS, groups)
    others = GroupTotal((DAYS[0],), Total(Decimal(6), complete=True), 3, 1, DAYS[0], DAYS[0])
    named = [each for each in groups if each.total.amount > 3]
    parts = arrange_groups(Days(DAYS[0], DAYS[-1]), add_groups(groups), named, [others])
    assert parts == whole
