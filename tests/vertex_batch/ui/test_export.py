"""Costs as CSV: numbers that every reader takes for numbers, and names that no spreadsheet runs."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.ui.export import stream_csv


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        (1.5e-07, "0.00000015"),  # as SQLite gives it
        (Decimal("1.5E-7"), "0.00000015"),  # as PostgreSQL does
        (Decimal("12.500000000000"), "12.5"),
        (-0.5, "-0.5"),
        (2.0, "2"),
        (7, "7"),
        (None, ""),
        ("=1+1", "'=1+1"),
        ("nightly", "nightly"),
    ],
)
def test_a_cell_is_a_plain_number_or_a_harmless_text(cell, written):
    assert "".join(stream_csv([[cell, "end"]])) == f"{written},end\r\n"
