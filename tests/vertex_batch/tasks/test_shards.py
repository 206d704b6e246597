"""Which jobs' outputs are the results of a run, and what is said of its shards."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import pytest

from vertex_batch.costs import Bill, JobFacts, RowCounts
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.tasks.shards import PartsReport, check_shards, last_bills

PLAN = "plan_inputs"
SHARDS = [InputPart(PartKind.SHARD, (f"gs://bucket/{n}.jsonl",), n, 2, rows=5, of_rows=10) for n in (1, 2)]
WHOLE = InputPart(PartKind.WHOLE)


class Told:
    """What the plan has told."""

    def __init__(self, parts: list[InputPart]) -> None:
        self._parts = [part.to_dict() for part in parts]

    def xcom_pull(self, task_ids: str) -> Any:
        assert task_ids == PLAN
        return self._parts


def a_bill(job_id: str, map_index: int = -1, *, day: int = 1, ok: int = 5) -> Bill:
    created = datetime(2026, 11, day, tzinfo=UTC)
    facts = JobFacts("p", "l", job_id, task_id="submit", map_index=map_index, create_time=created)
    return Bill(facts, RowCounts(ok=ok, failed=5 - ok, input_rows=5), ())


ONE, FIRST, SECOND = a_bill("one"), a_bill("first", 0), a_bill("second", 1)


@pytest.mark.parametrize(
    ("case", "parts", "bills", "results"),
    [
        ("one job", [WHOLE], [FIRST], "first"),
        ("one job, submitted again", [WHOLE], [a_bill("again", 0, day=2), FIRST], "again"),
        ("shards", SHARDS, [FIRST, SECOND], "first second"),
        ("a shard again", SHARDS, [FIRST, SECOND, a_bill("b2", 1, day=2)], "first b2"),
        ("split since", SHARDS, [ONE, FIRST, SECOND], "first second"),
        ("fewer shards since", SHARDS, [FIRST, SECOND, a_bill("third", 2)], "first second"),
        ("not split any more", [WHOLE], [FIRST, SECOND, a_bill("whole", 0, day=2)], "whole"),
        ("the plan is gone", [], [FIRST, ONE], "first one"),
        ("no plan", [], [ONE, a_bill("again", day=2)], "again"),
    ],
)
def test_the_results_are_those_of_the_last_job_of_each_part(case, parts, bills, results):
    report = PartsReport(Told(parts), PLAN, logging.getLogger(__name__))
    assert [bill.job.job_id for bill in report.results(bills)] == results.split(), case


def test_a_shard_without_an_answer_is_a_problem():
    bills = [FIRST, a_bill("second", 1, ok=0)]
    (problem,) = check_shards(SHARDS, last_bills(bills))
    assert problem == "no row of shard 2 of 2 was answered; clear its submit task to run it again"
