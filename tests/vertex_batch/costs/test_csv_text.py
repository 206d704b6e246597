"""Costs as CSV: names that no spreadsheet runs."""

from __future__ import annotations

import pytest

from vertex_batch.costs import stream_csv
from vertex_batch.costs.csv_text import harmless


@pytest.mark.parametrize(
    ("cell", "written"),
    [("=1+1", "'=1+1"), ("@sum", "'@sum"), ("-1", "'-1"), ("\tx", "'\tx"), ("nightly", "nightly"), ("", "")],
)
def test_no_name_is_run_as_a_formula(cell, written):
    assert harmless(cell) == written


def test_rows_are_written_as_they_arrive():
    read = []

    def rows():
        for number in range(5000):
            read.append(number)
            yield [number]

    first = next(stream_csv(rows()))
    assert len(read) == first.count("\r\n") < 5000
