"""What the log says of a job that was cut short: the cheapest next step comes first."""

from __future__ import annotations

import pytest

from vertex_batch.lifecycle.explaining import explain
from vertex_batch.lifecycle.waiting import JobReading, Verdict


@pytest.mark.parametrize("verdict", [Verdict.CANCELLED, Verdict.EXPIRED, Verdict.DEADLINE])
def test_sending_only_the_rest_is_said_before_what_clearing_pays_again(verdict):
    said = explain("7", JobReading(verdict), ("nightly", "first run"))
    steps = [
        "`vertex-batch retry-rows nightly 'first run'`",
        "add `retry_rows: {rounds: 1}`",
        "Clearing the submit task",
    ]
    places = [said.find(step) for step in steps]
    assert -1 not in places
    assert places == sorted(places)
