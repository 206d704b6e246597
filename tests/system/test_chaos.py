"""The short form of ``make chaos``: the kill points that have no other test, and runs under faults."""

from __future__ import annotations

import re

import pytest

from local.emulator.admin import Fault, FaultKind, Operation
from tools.chaos import KILL_POINTS, Arena

SPEC, RETRY_SPEC = "system_manual", "system_retry"
ELSEWHERE = {
    "scheduler, worker and task at once": "`make chaos`: it takes minutes of Airflow's own time-outs",
    "between POST and answer": "test_kills.py",
    "cleared between POST and answer": "`make chaos`: the case without the state is the harder one",
    "while deferred (triggerer)": "test_kills.py",
    "while preparing a retry of rows": "test_retry.py",
    "between POST and answer of a retry": "test_retry.py",
    "while recording a retry": "test_retry.py",
}
SHORT = [point for point in KILL_POINTS if point.name not in ELSEWHERE]
KINDS = (
    *({"kind": FaultKind.STATUS, "status": status} for status in (429, 500, 502, 503)),
    {"kind": FaultKind.RESET_BEFORE},
    {"kind": FaultKind.RESET_AFTER},
    {"kind": FaultKind.DELAY, "seconds": 1.0},
    {"kind": FaultKind.HTML, "status": 502},
    {"kind": FaultKind.TRUNCATED},
)
# Nine in a row, each of which may happen: together 30 %.
EACH = 1 - 0.7 ** (1 / len(KINDS))


def test_every_kill_point_is_known_here_or_elsewhere():
    assert ELSEWHERE.keys() < {point.name for point in KILL_POINTS}
    assert len(SHORT) + len(ELSEWHERE) == len(KILL_POINTS)


@pytest.mark.parametrize("point", SHORT, ids=lambda point: point.name)
def test_a_kill_duplicates_orphans_and_loses_nothing(stack, point):
    name = "chaos_" + re.sub(r"\W+", "_", point.name.lower()).strip("_")
    outcome = point.round(Arena(stack, RETRY_SPEC if point.sends_again else SPEC), name, runs=2)
    assert outcome.clean, outcome.details
    assert not outcome.details


def test_runs_end_right_while_30_percent_of_all_answers_are_wrong(stack):
    arena = Arena(stack, SPEC)
    for kind in KINDS:
        stack.emulator.add_fault(Fault(op=Operation.ANY, probability=EACH, times=None, **kind))
    run_ids = [f"faults_{number}" for number in range(4)]
    arena.start(run_ids)
    arena.wait_until_over(run_ids)
    stack.emulator.clear_faults()
    outcome = arena.compare(run_ids, jobs_each=1)
    assert outcome.clean, outcome.details
