"""Each limit: a result that keeps them all, and one change of it that misses this one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from tools.night.audit import Account
from tools.night.limits import misses
from tools.night.measures import Billed, NightResult, Step
from tools.night.report import markdown
from tools.night.rows import Rows
from tools.night.scenarios import NightScenario

SCENARIO = NightScenario(
    "x",
    "an example",
    100,
    Rows(5_000_000_000),
    files=10,
    input_reads=2,
    worker_seconds=60.0,
    requests_per_file=2.0,
)
STEP = Step("submit", 1, 3.0, 1.0, 1.0, 200_000_000, 20, 0, 0)
ACCOUNT = Account(100, 97, 3, 0, 0, 0, Decimal("1.5"))
BILLED = Billed(1, 97, 3, 0, 100, Decimal("1.500"))
GOOD = NightResult(SCENARIO, ["success"], 1, ACCOUNT, BILLED, [STEP], 2.0, 1.0, 80.0)


def with_step(**changes):
    return replace(GOOD, steps=[STEP, replace(STEP, **changes)])


def test_a_result_that_keeps_all_limits_misses_none():
    assert misses(GOOD) == []


@pytest.mark.parametrize(
    ("result", "missed"),
    [
        (replace(GOOD, run_states=["success", "failed"]), "1 of 2 runs ended as failed"),
        (replace(GOOD, account=replace(ACCOUNT, repeated=2)), "2 rows are in the output more than once"),
        (replace(GOOD, billed=replace(BILLED, answered=96)), "answered rows: recorded 96, counted 97"),
        (replace(GOOD, billed=replace(BILLED, input_rows=None)), "input rows: recorded None, counted 100"),
        (replace(GOOD, jobs=2), "2 jobs, but 1 bills"),
        (
            replace(GOOD, billed=replace(BILLED, amount_usd=Decimal("1.500000001"))),
            "billed 1.500000001 USD, the rows come to 1.5 USD",
        ),
        (with_step(peak_bytes=301_000_000), "submit: 301 MB of memory, limit 300"),
        (with_step(requests=100), "submit: 100 requests for 10 files, limit 60"),
        (with_step(seconds=58.0), "61 s of worker time, limit 60"),
        (replace(GOOD, input_reads=2.2), "an input was read 2.20 times, limit 2.001"),
        (replace(GOOD, shard_reads=2.0), "a shard was read 2.00 times, limit 1"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_beyond_a_limit_is_named(result, missed):
    assert misses(result) == [missed]
    assert "missed" in markdown([result])


def test_an_estimate_may_read_a_small_input_once_more_and_a_sample_of_a_large_one():
    small = replace(GOOD, scenario=replace(SCENARIO, kind=Rows(400)), input_reads=3.0)
    assert misses(small) == []
    large = replace(SCENARIO, kind=Rows(50_000_000))
    assert misses(replace(GOOD, scenario=large, input_reads=2.1)) == []
    assert misses(replace(GOOD, scenario=large, input_reads=2.2)) == [
        "an input was read 2.20 times, limit 2.1"
    ]


def test_rows_that_are_lost_have_to_be_those_that_the_scenario_loses():
    lost = replace(
        GOOD, account=replace(ACCOUNT, answered=96, missing=1), billed=replace(BILLED, answered=96)
    )
    assert misses(lost) == ["1 rows missing and 0 unreadable, expected 0 and 0"]
