"""The last nights of a spec."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from vertex_batch.costs import JobCost, JobFacts, RowCounts, Total
from vertex_batch.ui.nights import by_night, by_run, trends

FINE = RowCounts(ok=1000)
MIDNIGHT = datetime(2026, 11, 20, tzinfo=UTC)


def job(day, usd="1", rows=FINE, queue=4, run=20, **facts) -> JobCost:
    created = MIDNIGHT + timedelta(days=day, hours=2)
    times = {
        "start_time": created + timedelta(minutes=queue),
        "end_time": created + timedelta(minutes=queue + run),
    }
    made = JobFacts("p", "l", "1", create_time=created, **{**times, **facts})
    return JobCost(made, rows, Total(Decimal(usd), complete=True), 1, ())


def test_the_jobs_of_a_day_are_one_night():
    nights = by_night([job(0), job(1, "2", queue=9), job(1, "3", RowCounts(ok=10, failed=10), run=50)])
    assert [(each.day.day, len(each.jobs)) for each in nights] == [(21, 2), (20, 1)]
    latest = nights[0]
    assert latest.total.amount == 5
    assert (latest.rows.ok, latest.rows.failed) == (1010, 10)
    assert (latest.queue_time, latest.run_time) == (timedelta(minutes=9), timedelta(minutes=50))


def test_a_night_is_the_logical_one():
    late = job(1, logical_date=MIDNIGHT - timedelta(days=3))
    assert by_night([late])[0].day == (MIDNIGHT - timedelta(days=3)).date()


def test_a_run_is_one_line_with_the_states_of_its_jobs():
    run = {"dag_id": "nightly", "run_id": "scheduled", "logical_date": MIDNIGHT + timedelta(days=1)}
    again = {**run, "run_id": "manual"}
    cleared = [job(1, "2", **run, state="CANCELLED"), job(2, "3", **run, state="SUCCEEDED")]
    runs = by_run([job(0, "1"), *cleared, job(3, "4", **again, state="SUCCEEDED"), job(0, "1")])
    assert [(each.day.day, each.total.amount, len(each.jobs)) for each in runs] == [
        (21, 4, 1),
        (21, 5, 2),
        (20, 2, 2),  # the same job twice
    ]
    assert list(runs[1].states.items()) == [("SUCCEEDED", 1), ("CANCELLED", 1)]
    assert runs[1].began_at == MIDNIGHT + timedelta(days=1, hours=2)


def test_trends_compare_the_last_night_with_the_ones_before():
    found = {each.name: each for each in trends(by_night([job(n, usd) for n, usd in enumerate("1242")]))}
    cost = found["Cost, USD"]
    assert (cost.latest, cost.usual) == ("2.00", "2.00")
    assert cost.heights == [25, 50, 100, 50]
    assert (found["Rows"].latest, found["Failed rows"].latest) == ("1,000", "0.0 %")
    assert (found["Queue time"].latest, found["Run time"].latest) == ("4 min", "20 min")
    assert found["USD per 1,000 rows"].latest == "2.00"


def test_trends_mark_lower_bounds():
    nights = [job(0), job(1), replace(job(2), total=Total(Decimal(4), complete=False))]
    cost, rate, *_ = trends(by_night(nights))
    assert (cost.latest, cost.usual, rate.latest, rate.usual) == ("≥ 4.00", "1.00", "≥ 4.00", "1.00")
    cost, *_ = trends(by_night([*nights, job(3)]))
    assert (cost.latest, cost.usual) == ("1.00", "≥ 1.00")


def test_what_is_unknown_of_a_night_is_a_gap():
    never_ran = job(1, "0", RowCounts(), start_time=None, end_time=None)
    found = {each.name: each for each in trends(by_night([job(0), never_ran]))}
    assert found["Run time"].heights == [100, None]
    assert (found["Run time"].latest, found["Run time"].usual) == ("\u2013", "20 min")
    assert found["USD per 1,000 rows"].heights == [100, None]
    assert found["Failed rows"].heights == [0, None]
