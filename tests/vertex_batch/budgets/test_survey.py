"""Scaling a sample to the whole: what is known of it counts, and the interval says what is not."""

from __future__ import annotations

import pytest

from tests.vertex_batch.budgets.inputs import named, row
from vertex_batch.budgets import Survey, Totals, summarize
from vertex_batch.budgets.ranges import Part, Range, exactly
from vertex_batch.budgets.rows import RowReader
from vertex_batch.budgets.survey import SampledRows
from vertex_batch.usage import Kind

READER = RowReader("gemini-2.0-flash")
TEXT, OUTPUT = Part(Kind.INPUT), Part(Kind.OUTPUT)


def place(*rows: bytes) -> SampledRows:
    return SampledRows(rows, sum(len(each) + 1 for each in rows))


def width(count: Range) -> float:
    return (count.high - count.low) / count.expected


def test_all_rows_are_added_up_and_nothing_is_scaled():
    rows = [row("x" * 400, maxOutputTokens=100), row("y" * 40, maxOutputTokens=100), row("z" * 4)]
    found = summarize([place(*rows)], Totals(9999), READER, complete=True)
    assert (found.rows, found.size, found.counted, found.complete) == (3, 9999, True, True)
    assert found.tokens[TEXT].expected == 111
    assert found.tokens[OUTPUT] == (12, 50 + 50 + 1024, 100 + 100 + 4096)
    assert found.method == "3 rows counted"


@pytest.mark.parametrize(
    ("survey", "method"),
    [
        (Survey(rows=1, complete=True), "1 row counted"),
        (Survey(rows=80, read_rows=12, complete=False), "12 of 80 rows read"),
        (
            Survey(
                rows=3_000, size=9_000_000_000, read_bytes=3_000, read_rows=1, counted=False, complete=False
            ),
            "3,000 rows extrapolated from 3,000 of 9,000,000,000 bytes",
        ),
    ],
)
def test_the_method_says_how_much_was_seen(survey, method):
    assert survey.method == method


def test_rows_scale_by_their_number_where_it_is_known_and_else_by_bytes():
    places = [place(row("x" * 400)), place(row("x" * 400)), place(row("x" * 400))]
    size = places[0].size
    by_rows = summarize(places, Totals(30 * size, rows=60), READER)
    assert (by_rows.rows, by_rows.counted, by_rows.row_range) == (60, True, exactly(60))
    assert by_rows.tokens[TEXT].expected == 6000
    by_size = summarize(places, Totals(30 * size), READER)
    assert (by_size.rows, by_size.counted) == (30, False)
    assert by_size.tokens[TEXT].expected == 3000


def test_where_rows_and_bytes_disagree_the_range_reaches_both():
    places = [place(row("x" * 400)), place(row("x" * 400)), place(row("x" * 400))]
    found = summarize(places, Totals(100 * places[0].size, rows=10), READER)
    assert found.tokens[TEXT].expected == 1000
    assert found.tokens[TEXT].high > 10_000
    assert found.tokens[OUTPUT].high < 10 * 4096 * 1.5  # a longer prompt has no longer answer


def test_the_range_widens_with_the_spread_of_the_rows():
    even = [place(row("x" * 400)) for _ in range(8)]
    uneven = [place(row("x" * (100 if number % 2 else 700))) for number in range(8)]
    one, other = (
        summarize(places, Totals(125 * sum(each.size for each in places), rows=1000), READER)
        for places in (even, uneven)
    )
    assert one.tokens[TEXT].expected == other.tokens[TEXT].expected == 100_000
    assert width(other.tokens[TEXT]) > 1.3 * width(one.tokens[TEXT])


def test_the_range_widens_the_less_was_seen():
    found = [
        summarize([place(row("x" * 400)) for _ in range(seen)], Totals(seen and 500_000, rows=1000), READER)
        for seen in (1, 2, 5, 20, 100)
    ]
    widths = [width(each.tokens[OUTPUT]) for each in found]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.3 * widths[-1]


def test_rows_beside_each_other_count_as_one_draw():
    alike = [place(*[row("x" * 100)] * 50), place(*[row("x" * 700)] * 50)]
    mixed = [place(*([row("x" * 100), row("x" * 700)] * 25)) for _ in range(2)]
    one, other = (summarize(places, Totals(10**6, rows=1000), READER) for places in (alike, mixed))
    assert width(one.tokens[TEXT]) > 2 * width(other.tokens[TEXT])


def test_what_was_assumed_is_scaled_with_the_rows():
    places = [place(row("x", named("video/mp4"), maxOutputTokens=5)) for _ in range(4)]
    found = summarize(places, Totals(1000, rows=400), READER)
    assert found.assumed == ("400 video of unknown length, taken to last 60 seconds",)


@pytest.mark.parametrize(
    ("rows", "complete", "is_exact"),
    [
        ([row("x", maxOutputTokens=5)], True, True),
        ([row("x", maxOutputTokens=5)], False, False),
        ([row("x", maxOutputTokens=5), row("x")], True, False),
        ([row("x", named("video/mp4"), maxOutputTokens=5)], True, False),
    ],
)
def test_only_what_was_read_whole_and_leaves_nothing_open_is_exact(rows, complete, is_exact):
    assert summarize([place(*rows)], Totals(999, rows=9), READER, complete=complete).is_exact is is_exact


def test_no_rows_come_to_nothing():
    found = summarize([], Totals(100), READER)
    assert (found.rows, found.tokens, found.read_rows) == (0, {}, 0)


@pytest.mark.parametrize(
    ("limits", "mean"),
    [([], None), ([100], 100), ([100, 100, 400], 200), ([100, None], None)],
)
def test_the_limit_of_an_answer_is_the_mean_of_the_rows_if_all_state_one(limits, mean):
    rows = [row("x", **({"maxOutputTokens": limit} if limit else {})) for limit in limits]
    assert summarize([place(*rows)], Totals(9999), READER, complete=True).answer_limit == mean
