"""Costs as CSV: names that no spreadsheet runs."""

from __future__ import annotations

import pytest

from vertex_batch.costs import stream_csv


@pytest.mark.parametrize(
    ("cell", "written"),
    [(7, "7"), ("0.15", "0.15"), (None, ""), ("=1+1", "'=1+1"), ("@sum", "'@sum"), ("nightly", "nightly")],
)
def test_a_cell_is_a_number_or_a_harmless_text(cell, written):
    assert "".join(stream_csv([[cell, "end"]])) == f"{written},end\r\n"


def test_rows_are_written_as_they_arrive():
    read = []

    def rows():
        for number in range(5000):
            read.append(number)
            yield [number]

    first = next(stream_csv(rows()))
    assert len(read) == first.count("\r\n") < 5000
