from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

from vertex_batch.specs import TEMPLATE_DATES, template_dates

NIGHT = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
LATER = datetime(2026, 11, 30, 15, 0, tzinfo=UTC)


def run(**dates):
    return SimpleNamespace(**{"partition_date": None, "logical_date": None, "run_after": LATER} | dates)


@pytest.mark.parametrize(
    ("kind", "dag_run"),
    [
        ("scheduled", run(logical_date=NIGHT, run_after=NIGHT)),
        ("backfilled", run(logical_date=NIGHT, run_after=NIGHT)),
        ("manual with a logical date", run(logical_date=NIGHT)),
        ("manual without one", run(run_after=NIGHT)),
        ("woken by an asset", run(run_after=NIGHT)),
        ("partitioned", run(partition_date=NIGHT)),
        ("partitioned, date without a zone", run(partition_date=NIGHT.replace(tzinfo=None))),
        ("without a partition at all", SimpleNamespace(logical_date=None, run_after=NIGHT)),
    ],
)
def test_the_dates_mean_the_same_in_every_kind_of_run(kind, dag_run):
    assert template_dates(dag_run, "UTC") == {
        "run_date": "2026-11-22",
        "run_hour": "02",
        "run_month": "2026-11",
        "previous_run_date": "2026-11-21",
        "next_run_date": "2026-11-23",
        "run_timestamp": "20261122T023000",
    }


def test_a_day_that_was_entered_keeps_the_time_of_day():
    dates = template_dates(run(logical_date=NIGHT), "Europe/Berlin", date(2026, 3, 29))

    assert (dates["run_timestamp"], dates["previous_run_date"]) == ("20260329T033000", "2026-03-28")


def test_every_documented_name_is_there_and_no_other():
    assert template_dates(run(), "UTC").keys() == TEMPLATE_DATES.keys()


def test_a_run_belongs_to_the_day_of_the_specs_time_zone():
    after_midnight_in_berlin = run(logical_date=datetime(2026, 12, 31, 23, 15, tzinfo=UTC))

    dates = template_dates(after_midnight_in_berlin, "Europe/Berlin")

    assert dates["run_date"] == "2027-01-01"
    assert dates["run_month"] == "2027-01"
    assert dates["previous_run_date"] == "2026-12-31"
    assert dates["run_hour"] == "00"


def test_the_day_before_the_change_of_the_clocks_is_a_day_before():
    spring = run(
        logical_date=datetime(2026, 3, 29, 22, 30, tzinfo=UTC)
    )  # 00:30 of the 30th, after a 23-hour day

    assert template_dates(spring, "Europe/Berlin")["previous_run_date"] == "2026-03-29"


def test_a_run_without_any_date_is_an_error():
    with pytest.raises(ValueError, match="so it has no date"):
        template_dates(run(run_after=None), "UTC")
