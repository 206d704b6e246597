"""How numbers are written on the pages."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from vertex_batch.costs import Total
from vertex_batch.ui import numbers
from vertex_batch.ui.numbers import AmountColumn


@pytest.mark.parametrize(
    ("amounts", "written"),
    [
        # The longest number used to be the smallest amount.
        (["0.1065", "0.0006436", "0.0345"], ["0.1065", "0.0006", "0.0345"]),
        (["0.00006678", "0.06246863"], ["<0.0001", "0.0625"]),
        (["3.77623625", "0.0401859"], ["3.78", "0.04"]),
        (["50000.005", "0.0012", "0"], ["50,000.01", "<0.01", "0.00"]),
        (["0.5", "0.25", "0"], ["0.50", "0.25", "0.00"]),
        (["0.99996", "0.5"], ["1.0000", "0.5000"]),
        (["-0.00001", "-0.5"], [">-0.0001", "-0.5000"]),
        (["1.5e-7"], ["<0.0001"]),
        ([], []),
    ],
)
def test_a_column_has_one_number_of_decimals(amounts, written):
    exact = [Decimal(amount) for amount in amounts]
    column = AmountColumn.of(exact)
    assert [column.write(amount) for amount in exact] == written
    assert len({len(text.partition(".")[2]) for text in written}) <= 1


def test_a_column_may_have_lower_bounds_and_gaps():
    column = AmountColumn.of([None, Total(Decimal("0.01234"), complete=False)])
    assert column.write(Total(Decimal("0.01234"), complete=False)) == "0.0123"
    assert column.write(None) == numbers.UNKNOWN


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0", "0.00"),
        ("0.4112", "0.4112"),
        ("0.06246863", "0.0625"),
        ("0.00001", "<0.0001"),
        ("999.994", "999.99"),
        ("1000", "1,000"),
        ("1234567.5", "1,234,568"),
        ("-1234.4", "-1,234"),
    ],
)
def test_one_amount_by_itself_has_as_many_digits_as_say_something(value, written):
    assert numbers.amount(Decimal(value)) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [(0, 10, "0 %"), (10, 10, "100 %"), (1, 8, "12.5 %"), (1, 10**9, "<0.1 %"), (10**9 - 1, 10**9, "99.9 %")],
)
def test_a_share_is_nothing_or_all_only_if_it_is(part, whole, written):
    assert numbers.share(part, whole) == written


@pytest.mark.parametrize(
    ("now", "before", "written"),
    [
        ("12", "10", "+20 %"),
        ("10", "10", "±0 %"),
        ("0", "10", "-100 %"),
        ("110", "10", "11 times"),
        ("1", "0", ""),
    ],
)
def test_a_change_needs_something_before_it(now, before, written):
    assert numbers.change(Decimal(now), Decimal(before)) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h 0 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_is_written_in_its_largest_units(seconds, written):
    assert numbers.duration(timedelta(seconds=seconds)) == written
