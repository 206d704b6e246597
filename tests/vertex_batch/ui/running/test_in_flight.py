"""What runs, and what it is likely to cost: decisions over plain data."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from vertex_batch.budgets import Estimate
from vertex_batch.costs import JobCost, JobFacts, RowCounts, Total
from vertex_batch.ui.numbers import duration
from vertex_batch.ui.running.active_jobs import Snapshot
from vertex_batch.ui.running.in_flight import (
    ENDED,
    NO_STATE,
    InFlight,
    in_flight,
    matches,
    place_of,
    project_cost,
)
from vertex_batch.ui.running.submissions import SubmittedJob
from vertex_batch.vertex.labels import DAG_LABEL, RUN_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob, CompletionStats

MINE = SubmittedJob("demo-project", "us-central1", "7", "nightly", "run", "submit")
ENDED_RUN = SubmittedJob("demo-project", "us-central1", "8", "nightly", "old", "submit", is_wanted=False)
PLACE = place_of(MINE)


def job(
    job_id: str = "7", stats: tuple[int, int, int] | None = None, run_id: str = "run", **fields
) -> BatchPredictionJob:
    name = f"projects/1/locations/us-central1/batchPredictionJobs/{job_id}"
    ok, failed, to_go = stats or (0, 0, 0)
    counted = CompletionStats(successful_count=ok, failed_count=failed, incomplete_count=to_go)
    return BatchPredictionJob(
        name=name,
        state="RUNNING",
        completion_stats=counted if stats else None,
        **{"labels": {DAG_LABEL: "nightly", RUN_LABEL: run_id}, **fields},
    )


def cost(amount: str, ok: int = 100, *, copied: int = 0, complete: bool = True) -> JobCost:
    facts = JobFacts("demo-project", "us-central1", "1")
    return JobCost(facts, RowCounts(ok, copied=copied), Total(Decimal(amount), complete), 1, ())


@pytest.mark.parametrize(
    ("reading", "recorded", "states"),
    [
        (Snapshot((job(),), is_whole=True), (), ["RUNNING"]),
        (Snapshot((), is_whole=True), (), [ENDED]),
        (Snapshot((), is_whole=False, problem="the proxy cannot be reached"), (), [NO_STATE]),
        (Snapshot((), is_whole=True), (MINE.key,), []),
        (Snapshot((job(),), problem="it went away"), (), ["RUNNING"]),
    ],
)
def test_a_job_is_under_way_until_its_bill_is_written(reading, recorded, states):
    found = in_flight([MINE], {PLACE: reading}, frozenset(recorded))
    assert [each.state for each in found] == states


def test_of_a_run_that_is_over_only_what_vertex_still_runs_is_under_way():
    assert in_flight([ENDED_RUN], {PLACE: Snapshot((), is_whole=True)}, frozenset()) == []
    (orphan,) = in_flight(
        [ENDED_RUN], {PLACE: Snapshot((job("8", run_id="old"),), is_whole=True)}, frozenset()
    )
    assert not orphan.submission.is_wanted


@pytest.mark.parametrize(
    ("stats", "so_far", "whole"),
    [((50, 10, 40), "1.00", "1.80"), ((0, 0, 100), "0.00", "2.00"), (None, None, "2.00")],
)
def test_a_guess_is_what_a_row_has_cost_before_times_the_rows(stats, so_far, whole):
    guess = project_cost(InFlight(MINE, job(stats=stats), "RUNNING"), [cost("1"), cost("3")])
    assert (guess.so_far and guess.so_far.amount) == (so_far and Decimal(so_far))
    assert guess.whole.amount == Decimal(whole)
    assert "from 2 earlier bills" in guess.basis


def test_a_guess_from_bills_with_something_unpriced_is_an_at_least():
    guess = project_cost(InFlight(MINE, job(stats=(1, 0, 1)), "RUNNING"), [cost("1", complete=False)])
    assert not guess.whole.complete


def test_rows_that_an_earlier_job_was_billed_for_are_not_what_the_bill_paid_for():
    guess = project_cost(
        InFlight(MINE, job(stats=(10, 0, 0)), "RUNNING"), [cost("1", copied=90), cost("9", 0)]
    )
    assert guess.whole.amount == 1


@pytest.mark.parametrize(
    ("state", "stats", "basis"),
    [
        ("RUNNING", (55, 0, 245), "expected when it was submitted: 0.021 to 5.02 USD"),
        (ENDED, (55, 0, 245), "the bill says what it cost"),
        ("RUNNING", None, "expected when it was submitted: 0.021 to 5.02 USD"),
    ],
)
def test_without_bills_the_figure_is_shown_with_the_range_of_the_first_guess(state, stats, basis):
    first = Estimate(Total(Decimal("1.2713600625"), True), Decimal("0.021"), Decimal("5.0177"), rows=300)
    assert project_cost(InFlight(MINE, job(stats=stats), state), [], first).basis.startswith(basis)


@pytest.mark.parametrize(
    ("method", "whole"), [("tokens as in the last 2 jobs", "0.30"), ("counted, no history", "1.80")]
)
@pytest.mark.parametrize("state", ["RUNNING", ENDED])
def test_what_was_expected_of_these_rows_comes_before_what_others_cost(method, whole, state):
    expected = Estimate(Total(Decimal("0.3"), True), Decimal("0.2"), Decimal("0.4"), rows=90, method=method)
    flying = InFlight(MINE, job(stats=(50, 10, 40)), state)
    guess = project_cost(flying, [cost("1"), cost("3")], expected)
    done = Decimal(whole) * 50 / 90
    assert guess.so_far.amount == pytest.approx(done)
    assert guess.whole.amount == pytest.approx(done if state == ENDED else Decimal(whole))


def test_the_usual_cost_is_that_of_whole_jobs_not_of_a_cancelled_one():
    cancelled = replace(cost("0.5", 25), rows=RowCounts(25, input_rows=100))
    assert project_cost(InFlight(MINE, job(), "RUNNING"), [cancelled, cost("2")]).whole.amount == 2


@pytest.mark.parametrize("history", [[], [cost("0", ok=0)]])
def test_without_bills_there_is_no_guess_and_it_says_why(history):
    guess = project_cost(InFlight(MINE, job(stats=(1, 0, 1)), "RUNNING"), history)
    assert (guess.so_far, guess.whole) == (None, None)
    assert "no earlier bill" in guess.basis


def test_unknown_counts_are_no_numbers():
    assert InFlight(MINE, job(stats=(-1, -1, -1)), "RUNNING").rows is None
    assert InFlight(MINE, job(stats=(1, 1, 1)), "RUNNING").percent == 66
    assert InFlight(MINE, None, NO_STATE).percent is None


def test_a_search_looks_into_the_names_of_a_job():
    each = InFlight(MINE, job(display_name="Summaries", labels={"team": "search"}), "RUNNING")
    assert matches(each, text="SUMMAR")
    assert matches(each, team="search", dag_id="nightly", spec="nightly")
    assert not matches(each, text="other")
    assert not matches(each, team="support")


def test_how_long_something_lasts_is_written_in_two_units():
    said = [duration(timedelta(minutes=n)) for n in (0, 59, 61, 60 * 25)]
    assert said == ["0 s", "59 min", "1 h 1 min", "1 d 1 h"]
