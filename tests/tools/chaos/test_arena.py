"""What the comparison of a round takes for the second job of a stopped process, and what it never does."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local.emulator.admin import CancelCall, LedgerJob
from tools.chaos.arena import has_not_ended, zombies_among
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.resource import JobState

NOW = datetime(2026, 11, 27, tzinfo=UTC)
CANCELLED: dict[str, Any] = {"state": "CANCELLED", "cancel_calls": [CancelCall(NOW, "PENDING", 200)]}


def job(number: int, *, key: str = "one", **fields) -> LedgerJob:
    usual: dict[str, Any] = {
        "id": str(number),
        "labels": {IDEMPOTENCY_KEY_LABEL: key},
        "state": "SUCCEEDED",
        "cancel_calls": [],
        "finished_rows": 0,
    }
    others = dict.fromkeys(set(LedgerJob.__struct_fields__) - usual.keys())
    return LedgerJob(**others, **usual | fields)


@pytest.mark.parametrize("state", [*JobState, "A_STATE_OF_NEXT_YEAR"])
def test_only_a_job_in_a_final_state_is_no_orphan(state):
    ended = {"SUCCEEDED", "PARTIALLY_SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED"}
    assert has_not_ended(job(1, state=state)) == (state not in ended)


@pytest.mark.parametrize(
    ("second", "is_zombie"),
    [
        pytest.param(CANCELLED, True, id="cancelled by its process before a row ran"),
        pytest.param(CANCELLED | {"finished_rows": 1}, False, id="a row of it ran"),
        pytest.param(CANCELLED | {"cancel_calls": []}, False, id="Vertex has cancelled it, we have not"),
        pytest.param(CANCELLED | {"state": "SUCCEEDED"}, False, id="its cancel came too late"),
        pytest.param(CANCELLED | {"state": "CANCELLING"}, False, id="it has not ended"),
        pytest.param(CANCELLED | {"key": "another"}, False, id="it carries a key of its own"),
    ],
)
def test_only_a_second_job_that_cost_nothing_is_that_of_a_stopped_process(second, is_zombie):
    other = job(2, **second)
    assert zombies_among([job(1), other]) == ([other] if is_zombie else [])


def test_the_oldest_job_of_a_key_is_never_one():
    assert zombies_among([job(1, **CANCELLED), job(2)]) == []
