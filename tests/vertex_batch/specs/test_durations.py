from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vertex_batch.specs.durations import parse_duration, show_duration


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("10m", 600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("4d", 345_600),
        ("1w", 604_800),
        ("1w1d1h1m1s", 694_861),
        (90, 90),
        (0, 0),
    ],
)
def test_a_duration_is_read_as_written(written, seconds):
    assert parse_duration(written) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written", ["", "10", "m10", "10 minutes", "1m1h", "-5s", "1.5h", "12:30", "9999d", "٣s"]
)
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match=r"is not a valid duration|longer than 365 days"):
        parse_duration(written)


@pytest.mark.parametrize("seconds", [-1, 366 * 86_400])
def test_a_number_out_of_range_is_refused(seconds):
    with pytest.raises(ValueError, match="not between 0 and 365 days"):
        parse_duration(seconds)


@given(st.integers(0, 365 * 86_400))
def test_a_shown_duration_reads_back_the_same(seconds):
    assert parse_duration(show_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)
