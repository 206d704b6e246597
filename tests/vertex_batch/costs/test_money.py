"""Amounts as people and programs read them: with their sign, never with an exponent, "USD" once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.costs import Total, exact, in_full, rounded, usd
from vertex_batch.ui import words


@pytest.mark.parametrize(
    ("amount", "in_words", "about", "plain"),
    [
        ("0", "0.00", "0.00", "0"),
        ("12.500000", "12.50", "12.50", "12.5"),
        ("-0.5", "-0.50", "-0.50", "-0.5"),
        ("-0.05", "-0.05", "-0.05", "-0.05"),
        ("1234567.5", "1,234,567.50", "1,234,567.50", "1234567.5"),
        ("-1234.567", "-1,234.567", "-1,234.57", "-1234.567"),
        ("1.5e-7", "0.00000015", "0.00000015", "0.00000015"),
        ("-1.5e-7", "-0.00000015", "-0.00000015", "-0.00000015"),
        ("1E+3", "1,000.00", "1,000.00", "1000"),
        ("0.000012345678", "0.000012345678", "0.00001235", "0.000012345678"),
        ("0.999999", "0.999999", "1.00", "0.999999"),
    ],
)
def test_an_amount_is_written_alike_everywhere(amount, in_words, about, plain):
    value = Decimal(amount)
    assert (exact(value), rounded(value), in_full(value)) == (in_words, about, plain)
    assert usd(value) == f"{in_words} USD"
    assert words.exact(value) == in_words
    assert str(Total(value, complete=True)) == f"{in_words} USD"
    assert str(Total(value, complete=False)) == f"at least {in_words} USD"
    assert Total(value, complete=True).text == plain
