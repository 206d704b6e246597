"""The last nights of a spec."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from vertex_batch.costs import JobCost, JobFacts, RowCounts, Total
from vertex_batch.ui.nights import by_night, trends

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


def test_trends_compare_the_last_night_with_the_ones_before():
    found = {each.name: each for each in trends(by_night([job(n, usd) for n, usd in enumerate("1242")]))}
    cost = found["Cost, USD"]
    assert (cost.latest, cost.usual) == ("2.00", "2.00")
    assert cost.heights == [25, 50, 100, 50]
    assert (found["Rows"].latest, found["Failed rows"].latest) == ("1,000", "0.0 %")
    assert (found["Queue time"].latest, found["Run time"].latest) == ("4 min", "20 min")
    assert found["USD per 1,000 rows"].latest == "2.00"


def test_what_is_unknown_of_a_night_is_a_gap():
    never_ran = job(1, "0", RowCounts(), start_time=None, end_time=None)
    found = {each.name: each for each in trends(by_night([job(0), never_ran]))}
    assert found["Run time"].heights == [100, None]
    assert (found["Run time"].latest, found["Run time"].usual) == ("\u2013", "20 min")
    assert found["USD per 1,000 rows"].heights == [100, None]
    assert found["Failed rows"].heights == [0, None]
