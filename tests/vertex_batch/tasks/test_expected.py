"""What all jobs of a task were expected to cost, beside what they cost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.vertex_batch.costs.conftest import make_bill, make_line
from vertex_batch.tasks.expected import outcome_of

BILLS = [make_bill("1", [make_line(1, "1")]), make_bill("2", [make_line(3, "1")])]  # 1 and 3 USD


def expected(amount: str, low: str, high: str, *, complete: bool = True) -> dict[str, Any]:
    return {"expected_usd": amount, "low_usd": low, "high_usd": high, "expected_is_complete": complete}


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (expected("1", "0.5", "2"), expected("3", "1", "6"), " (expected 4.00 USD), as expected"),
        (
            expected("3", "1", "6"),
            expected("5", "1", "6"),
            " (expected 8.00 USD), 50 % less than expected, inside the range",
        ),
        (
            expected("1", "0.5", "1.5"),
            expected("1", "1", "2"),
            " (expected 2.00 USD), above the expected range of 1.50 to 3.50 USD",
        ),
        (expected("1", "0.5", "2"), expected("3", "1", "6", complete=False), " (expected at least 4.00 USD)"),
        (expected("1", "0.5", "2"), None, ""),
    ],
)
def test_the_jobs_of_a_task_are_compared_together(first, second, said):
    compared = {name: each for name, each in (("1", first), ("2", second)) if each}
    assert outcome_of(BILLS, compared) == said
