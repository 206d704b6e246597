"""Which jobs are which attempt of a delivery."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.vertex_batch.results.nights import BOOK
from vertex_batch.billing.making import make_bill
from vertex_batch.costs import JobFacts
from vertex_batch.results import add_rounds
from vertex_batch.usage import ScanResult

START = datetime(2026, 11, 1, tzinfo=UTC)


def a_bill(job, minute, run="night", task="retry_1.submit", index=0):
    facts = JobFacts(
        *("p", "global", job),
        run_id=run,
        task_id=task,
        map_index=index,
        create_time=START + timedelta(minutes=minute),
    )
    return make_bill(facts, ScanResult(), BOOK)


def test_a_job_that_ran_rows_of_an_earlier_one_again_is_an_attempt_after_it():
    attempts = {0: [a_bill("first", 5, task="submit")]}
    of_round = [
        a_bill("part 1", 10),
        a_bill("part 2", 11, index=1),
        a_bill("part 1, resumed", 20),
        a_bill("before the first", 1),
    ]
    of_other_runs = [a_bill("run 3", 40, run="again 2"), a_bill("run 2", 30, run="again 1")]
    add_rounds(attempts, [of_round, [a_bill("round 2", 25, task="retry_2.submit")], of_other_runs, []])
    assert [[bill.job.job_id for bill in attempts[n]] for n in sorted(attempts)] == [
        ["first"],
        ["part 1", "part 2"],
        ["part 1, resumed"],
        ["round 2"],
        ["run 2"],
        ["run 3"],
    ]


def test_a_round_counts_if_only_a_part_was_cleared_after_it():
    """It may have answered rows of the part that was not."""
    attempts = {0: [a_bill("part 1, again", 50, task="submit"), a_bill("part 2", 6, task="submit", index=1)]}
    add_rounds(attempts, [[a_bill("of an earlier input", 1), a_bill("round 1", 10)]])
    assert [bill.job.job_id for bill in attempts[1]] == ["round 1"]
