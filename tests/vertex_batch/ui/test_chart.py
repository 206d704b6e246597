"""The numbers behind the chart."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from importlib import resources

import pytest

from vertex_batch.costs import GroupTotal, Total
from vertex_batch.ui.chart import MAX_LABELS, draw, sparkline, tick_amounts
from vertex_batch.ui.periods import BadAddressError, Days, last_month, read_period, so_far_last_month
from vertex_batch.ui.spend import MAX_SERIES, add_groups, colors
from vertex_batch.ui.spend import arrange as arrange_groups

DAYS = [date(2026, 11, 1) + timedelta(n) for n in range(3)]
TODAY = date(2026, 11, 22)


def arrange(days, daily, previous=()):
    return arrange_groups(Days(days[0], days[-1]), add_groups(daily), daily, previous=previous)


def spent(name, day, amount, *, complete=True) -> GroupTotal:
    return GroupTotal((name, day), Total(Decimal(amount), complete), 1, 1, day, day)


def on(day, amount) -> GroupTotal:
    return GroupTotal((day,), Total(Decimal(amount), complete=True), 1, 1, day, day)


def test_bars_are_on_top_of_each_other_and_stay_in_the_plot():
    spend = arrange(DAYS, [spent("a", DAYS[0], "3"), spent("b", DAYS[0], "2")])
    column = draw(spend).columns[0]
    first, second = column.bars
    assert first.y + first.height == 100
    assert second.y + second.height == pytest.approx(first.y)
    assert column.top == pytest.approx(second.y) == 0
    assert column.x <= column.bar_x < column.bar_x + column.bar_width <= column.x + column.width


def test_a_bar_and_its_label_have_the_same_middle():
    for length in (1, 2, 7, 8, 15, 30, 60, 92, 200, 366):
        chart = draw(arrange_groups(Days(TODAY - timedelta(length - 1), TODAY), [], []))
        middles = [round(column.bar_x + column.bar_width / 2, 6) for column in chart.columns]
        assert all(round(x, 6) in middles for _, x in chart.labels)
        assert min(len(chart.columns), 4) <= len(chart.labels) <= MAX_LABELS
        distances = {
            round(later - earlier, 6)
            for (_, earlier), (_, later) in zip(chart.labels, chart.labels[1:], strict=False)
        }
        assert len(distances) <= 1
    assert chart.labels[-1][0] == "16 Nov 2026"


def test_what_has_no_color_of_its_own_is_added_up_as_others():
    spend = arrange(DAYS, [spent(f"g{n}", DAYS[1], str(n)) for n in range(1, 12)])
    assert [series.name for series in spend.series] == [f"g{n}" for n in range(11, 3, -1)] + ["3 others"]
    assert len(spend.series) == MAX_SERIES + 1
    assert spend.series[-1].number == 0
    assert sum(series.total.amount for series in spend.series) == spend.total.amount == 66


@pytest.mark.parametrize("count", range(1, MAX_SERIES + 3))
def test_every_series_has_a_color_that_the_style_sheet_knows(count):
    spend = arrange(DAYS, [spent(f"g{n}", DAYS[1], str(n + 1)) for n in range(count)])
    numbers = [series.number for series in spend.series]
    assert len(set(numbers)) == len(numbers)
    css = resources.files("vertex_batch.ui").joinpath("static", "pages.css").read_text()
    for number in numbers:
        assert re.search(rf"^\.s{number} \{{ fill: var\(--s{number}\); background", css, re.MULTILINE)
        assert re.search(rf"--s{number}: light-dark\(#\w{{6}}, #\w{{6}}\)", css)


def test_a_name_keeps_its_color_whatever_it_costs_and_in_every_period():
    names = ["nightly_embeddings", "nightly_summaries", "nightly_titles", "hourly"]
    assert colors(names) == colors(names[::-1])
    for name in names:
        assert colors([name])[name] == colors([name, "nothing-else"])[name] or len(colors([name])) == 1
    fewer = colors(names[:2])
    assert fewer.items() <= colors(names).items()


def test_a_day_of_which_nothing_has_a_price_is_marked_unless_most_days_are_like_that():
    few = arrange(DAYS, [spent("a", DAYS[0], "0", complete=False), spent("a", DAYS[1], "1")])
    assert draw(few).marks_lower_bounds
    most = arrange(DAYS, [spent("a", day, "1", complete=False) for day in DAYS])
    assert not draw(most).marks_lower_bounds
    assert not draw(arrange(DAYS, [spent("a", DAYS[0], "1")])).marks_lower_bounds


@pytest.mark.parametrize(
    ("highest", "ticks"),
    [
        ("0", ["1", "0"]),
        ("1", ["1.0", "0.8", "0.6", "0.4", "0.2", "0"]),
        ("1.01", ["1.5", "1.0", "0.5", "0"]),
        ("0.24", ["0.25", "0.20", "0.15", "0.10", "0.05", "0"]),
        ("0.0021", ["0.0025", "0.0020", "0.0015", "0.0010", "0.0005", "0"]),
        ("39", ["40", "30", "20", "10", "0"]),
        ("600", ["600", "400", "200", "0"]),
        ("50001", ["60,000", "40,000", "20,000", "0"]),
    ],
)
def test_the_ticks_are_in_steps_of_one_two_or_five(highest, ticks):
    assert tick_amounts(Decimal(highest))[0] >= Decimal(highest)
    assert draw(arrange(DAYS, [spent("a", DAYS[0], highest)])).ticks == ticks


def test_weekends_are_marked_by_day_but_not_by_week():
    by_day = draw(arrange_groups(Days(date(2026, 11, 16), TODAY), [], []))
    assert [column.is_weekend for column in by_day.columns] == [False] * 5 + [True] * 2
    by_week = draw(arrange_groups(Days(date(2026, 1, 1), TODAY), [], []))
    assert not any(column.is_weekend for column in by_week.columns[1:])


def test_the_previous_period_is_compared_by_weekday_and_fits_into_the_plot():
    period = Days(date(2026, 11, 13), TODAY)  # ten days: two weeks back
    assert period.previous == Days(date(2026, 10, 30), date(2026, 11, 8))
    before = [on(date(2026, 10, 30), "40"), on(date(2026, 11, 8), "1")]
    spend = arrange_groups(period, [], [], previous=before)
    assert {day: total.amount for day, total in spend.previous.items()} == {period.since: 40, TODAY: 1}
    chart = draw(spend)
    assert chart.ticks[0] == "40"
    assert [column.previous and column.previous[1] for column in chart.columns] == [0, *[None] * 8, 97.5]


def test_a_line_through_equal_amounts_is_flat():
    assert sparkline([Decimal(1)] * 3) == "0.0,95.0 50.0,95.0 100.0,95.0"
    assert sparkline([Decimal(1), Decimal(3)]) == "0.0,95.0 100.0,5.0"
    assert sparkline([Decimal(1)]) == sparkline([Decimal(0)] * 2) == ""


def test_last_month_is_compared_to_the_same_day_also_where_it_is_shorter():
    assert so_far_last_month(date(2026, 3, 31)).until == date(2026, 2, 28)
    assert last_month(date(2026, 1, 5)).since == date(2025, 12, 1)


def test_the_usual_period_is_the_last_thirty_days():
    assert read_period("", "", TODAY).length == 30


@pytest.mark.parametrize(
    ("since", "until", "field"),
    [
        ("yesterday", "", "from"),
        ("0001-01-01", "0001-01-02", "from"),
        ("", "2026-13-01", "to"),
        ("2026-11-02", "2026-11-01", "to"),
        ("2001-01-01", "", "from"),
    ],
)
def test_an_invalid_period_names_its_field(since, until, field):
    with pytest.raises(BadAddressError) as raised:
        read_period(since, until, TODAY)
    assert raised.value.field == field


def test_a_long_period_is_shown_by_week_and_no_day_is_lost():
    period = Days(date(2026, 1, 1), date(2026, 12, 31))
    daily = [spent("a", day, "1") for day in map(date.fromordinal, range(739617, 739617 + 365))]
    assert (daily[0].group[1], daily[-1].group[1]) == (period.since, period.until)
    spend = arrange_groups(period, add_groups(daily), daily)
    assert len(spend.days) == 53
    # The last week is a whole one: a part of it would look like a fall.
    assert [spend.totals[day].amount for day in spend.days] == [1, *[7] * 52]
    assert spend.total.amount == 365
    assert period.end_of(spend.days[0]) == period.since
    assert period.end_of(spend.days[-1]) == period.until


def test_the_rest_may_be_added_up_by_the_database():
    groups = [spent(f"g{n}", DAYS[0], str(n)) for n in range(1, 12)]
    whole = arrange(DAYS, groups)
    others = on(DAYS[0], "6")
    named = [each for each in groups if each.total.amount > 3]
    parts = arrange_groups(Days(DAYS[0], DAYS[-1]), add_groups(groups), named, [others])
    assert parts == whole
