"""When the clock of a run starts that had to wait for a place."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vertex_batch.timetables.lateness import RunSlot, clock_start, is_due

TICK = datetime(2026, 11, 27, 2, 30, tzinfo=UTC)


def place(since: int, until: int | None = None) -> RunSlot:
    """A place that is occupied from so many minutes after the time until so many."""
    return RunSlot(
        TICK + timedelta(minutes=since), None if until is None else TICK + timedelta(minutes=until)
    )


@pytest.mark.parametrize(
    ("places", "max_active_runs", "minutes"),
    [
        pytest.param([], 1, 0, id="no run"),
        pytest.param([place(-60)], 1, None, id="active"),
        pytest.param([place(-60, 90)], 1, 90, id="ended"),
        pytest.param([place(-60, 0)], 1, 0, id="ended at the time"),
        pytest.param([place(0, 90)], 1, 90, id="queued at the time"),
        pytest.param([place(4, 90)], 1, 90, id="queued before this run could be"),
        pytest.param([place(6, 90)], 1, 0, id="queued when this run could have been"),
        pytest.param([place(-60, 90), place(91)], 1, None, id="the place was taken again"),
        pytest.param([place(-60, 90), place(91, 200), place(201, 300)], 1, 300, id="and again"),
        pytest.param([place(-60, 90), place(96)], 1, 90, id="the place was taken again, later"),
        pytest.param([place(-60)], 2, 0, id="a second place is free"),
        pytest.param([place(-60), place(-30, 45)], 2, 45, id="the second of two ended"),
        pytest.param([place(-60, 30), place(-30, 45)], 2, 30, id="both ended, the first counts"),
        pytest.param([place(-60, 30), place(-30), place(10)], 2, None, id="more active runs than places"),
        pytest.param([place(-60, 30), place(-30, 50), place(10)], 2, 50, id="a place is free after two ends"),
    ],
)
def test_the_clock_starts_when_a_place_is_free(places, max_active_runs, minutes):
    expected = None if minutes is None else TICK + timedelta(minutes=minutes)
    assert clock_start(TICK, places, max_active_runs) == expected


@pytest.mark.parametrize(
    ("start", "minutes", "expected"), [(TICK, 60, True), (TICK, 61, False), (None, 10_000, True)]
)
def test_a_run_is_due_until_its_clock_has_run_out(start, minutes, expected):
    assert is_due(start, TICK + timedelta(minutes=minutes), timedelta(hours=1)) is expected
