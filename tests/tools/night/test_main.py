from __future__ import annotations

from dataclasses import replace

from tools.night.__main__ import room
from tools.night.scenarios import SCENARIOS


def test_a_night_that_does_not_fit_on_the_disk_is_not_started(tmp_path):
    assert room(SCENARIOS[:1], tmp_path / "night") == ""
    huge = replace(SCENARIOS[0], rows=10**13)
    assert "Nothing was started" in room([huge], tmp_path / "night")


def test_a_scaled_scenario_has_fewer_rows_and_as_many_jobs():
    for scenario in SCENARIOS:
        small = scenario.scaled(0.01)
        assert small.rows * small.runs < scenario.rows * scenario.runs
        assert small.files <= small.rows
        jobs, fewer = (-(-each.rows // each.rows_per_job) for each in (scenario, small))
        assert jobs == fewer
