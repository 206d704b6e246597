"""``budget:`` of a spec."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest

from vertex_batch.budgets import Budget, Ruling, Window
from vertex_batch.specs import load_spec

SPEC = "model: gemini-2.5-flash\ninputs: gs://bucket/in/a.jsonl\noutput: gs://bucket/out/\n"


def test_a_budget_says_what_happens_above_which_sum(write):
    text = """\
budget:
  per_run: {warn: 0.1, hold: 5, refuse: 20}
  per_month: {refuse: 500.25}
  unknown: hold
  approvers: [ann]
  approval_timeout: 12h
"""
    assert load_spec(write(SPEC + text)).budget.to_budget() == Budget(
        {
            Window.RUN: {Ruling.WARN: Decimal("0.1"), Ruling.HOLD: Decimal(5), Ruling.REFUSE: Decimal(20)},
            Window.MONTH: {Ruling.REFUSE: Decimal("500.25")},
        },
        Ruling.HOLD,
        ("ann",),
        timedelta(hours=12),
    )


def test_without_one_there_is_no_limit(write):
    assert load_spec(write(SPEC)).budget is None


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ("{}", "4:9: budget: has no limit: set `per_run`, `per_day` or `per_month`"),
        ("5", "4:9: budget: must be a mapping of keys to values, not the number 5"),
        ("{per_day: {}}", "4:19: budget.per_day: has no limit: set for example `refuse: 20`"),
        ("{per_run: {refuse: '5'}}", "4:28: budget.per_run.refuse: must be a number: US dollars"),
        ("{per_run: {refuse: true}}", "4:28: budget.per_run.refuse: must be a number: US dollars"),
        (
            "{per_run: {refuse: -1}}",
            "4:28: budget.per_run.refuse: must be between 0 and 1000000 US dollars, not -1",
        ),
        ("{per_run: {refuse: 0.1234567}}", "4:28: budget.per_run.refuse: 0.1234567 has more than 6 decimals"),
        (
            "{per_run: {hold: 5, refuse: 5}}",
            "4:19: budget.per_run: `hold` (5) must be less than `refuse` (5)",
        ),
        (
            "{per_run: {refuse: 5}, unknown: go}",
            "4:41: budget.unknown: must be `warn`, `hold` or `refuse`, not the string `go`",
        ),
        (
            "{per_run: {refuse: 5}, approval_timeout: 10s}",
            "4:9: budget: `approval_timeout` must be at least 1m",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said_at_its_place(problems, budget, problem):
    (found,) = problems(f"{SPEC}budget: {budget}\n")
    assert problem in str(found)


@pytest.mark.parametrize("number", [".nan", ".inf", "1e999", "99999999999999999999"])
def test_a_number_that_is_none_is_refused(problems, number):
    (found,) = problems(f"{SPEC}budget: {{per_run: {{refuse: {number}}}}}\n")
    assert found.line == 4


def test_reading_specs_does_not_wait_for_prices():
    code = (
        "import sys; from vertex_batch.specs import load_specs; print('vertex_batch.pricing' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "False"
