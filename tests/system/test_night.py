"""``make night`` in small: its harness works, and what it measures and judges is there."""

from __future__ import annotations

import pytest

from tools.night import SCENARIOS, Night, markdown, misses

SMALL = {"a": 0.01, "c": 0.006, "g": 0.01}


@pytest.fixture(scope="module")
def scenarios():
    return {each.key: each.scaled(SMALL[each.key]) for each in SCENARIOS if each.key in SMALL}


@pytest.fixture(scope="module")
def night(tmp_path_factory, scenarios):
    home = tmp_path_factory.mktemp("small") / "night"
    with Night(home, list(scenarios.values()), print) as running:
        yield running
    assert not home.exists()


@pytest.mark.parametrize("key", SMALL)
def test_a_small_night_accounts_for_every_row_and_keeps_its_limits(night, scenarios, key):
    result = night.run(scenarios[key])

    assert misses(result) == []
    assert result.account.rows == {"a": 2_000, "c": 30, "g": 2_000}[key]
    assert result.account.amount_usd > 0
    taken = {step.task_id: step for step in result.steps}
    assert {"plan_inputs", "submit", "wait", "record_cost"} <= taken.keys()
    assert all(step.cpu_seconds > 0 and step.peak_bytes > 50_000_000 for step in result.steps)
    assert taken["plan_inputs"].requests > 0 < taken["record_cost"].read_bytes
    assert result.input_reads > 0.9
    assert markdown([result]).count("\n| ") >= len(result.steps)
