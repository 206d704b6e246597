"""The self-check: a difference is a flag, never silence."""

from __future__ import annotations

import pytest

from vertex_batch.usage import ScanResult, self_check
from vertex_batch.vertex.resource import CompletionStats

SHORT = "the input has 15 rows, the output holds 10; 5 are missing"


def stats(ok=0, failed=0, incomplete=0):
    return CompletionStats(successful_count=ok, failed_count=failed, incomplete_count=incomplete)


@pytest.mark.parametrize(
    ("scanned", "counted", "input_rows", "said"),
    [
        ((8, 2, 0), stats(8, 2), 10, []),
        ((8, 2, 0), None, None, []),
        ((8, 2, 0), stats(-1, -1, -1), 10, []),
        ((8, 2, 0), stats(8, 2, 5), None, ["Vertex counts 5 rows as incomplete: they have no output"]),
        (  # both counts agree, and the rows are missing all the same
            (8, 2, 0),
            stats(8, 2, 5),
            15,
            [f"{SHORT}; Vertex counts 5 rows as incomplete"],
        ),
        ((8, 2, 0), None, 9, ["the input has 9 rows, the output holds 10"]),
        ((8, 2, 0), stats(9, 2), 10, ["Vertex counts 9 successful rows, the output holds 8"]),
        ((8, 2, 0), stats(8, 0), 10, ["Vertex counts 0 failed rows, the output holds 2"]),
        (
            (0, 0, 0),
            stats(2),
            2,
            [
                "Vertex counts 2 successful rows, the output holds 0",
                "the input has 2 rows, the output holds 0; 2 are missing",
            ],
        ),
        (
            (8, 2, 0),
            stats(8, 2, 3),
            15,
            [f"{SHORT}; Vertex counts 3 rows as incomplete"],
        ),
        ((7, 2, 1), None, 10, ["1 unreadable rows: what they cost is not in the amount"]),
    ],
)
def test_counts_are_compared_where_they_are_known(scanned, counted, input_rows, said):
    ok, failed, unreadable = scanned
    assert self_check(ScanResult(ok=ok, failed=failed, unreadable=unreadable), counted, input_rows) == said
