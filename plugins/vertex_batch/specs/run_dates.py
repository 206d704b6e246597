"""The dates that a spec's templates may use, with the same names in every kind of run.

Airflow's own ``ds`` and ``logical_date`` do not exist in a run that was triggered without a logical date, or
in a partitioned run. These names always exist: they come from the run's partition date, else from its logical
date, else from the time at which it was due.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

TEMPLATE_DATES: dict[str, str] = {
    "run_date": "the day of the run, such as 2026-11-22",
    "run_hour": "its hour, 00 to 23",
    "run_month": "its month, such as 2026-11",
    "previous_run_date": "the calendar day before run_date",
    "next_run_date": "the calendar day after run_date",
    "run_timestamp": "day and time, fit for a file name, such as 20261122T023000",
}


def run_moment(dag_run: object) -> datetime:
    """Return a run's date: its partition date, its logical date, or the time at which it was due.

    :raises ValueError: the run has none of them.
    """
    for name in ("partition_date", "logical_date", "run_after"):
        moment: datetime | None = getattr(dag_run, name, None)
        if moment is not None:
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    raise ValueError("the DAG run has no partition_date, logical_date or run_after, so it has no date")


def run_day(dag_run: object, day: date | None, timezone: str) -> date:
    """Return the day of a run.

    :param day: that was entered for the run; None: it is that of `run_moment`.
    :param timezone: the spec's time zone; a run belongs to its day there.
    """
    return day or run_moment(dag_run).astimezone(ZoneInfo(timezone)).date()


def template_dates(dag_run: object, timezone: str, day: date | None = None) -> dict[str, str]:
    """Compute every name of `TEMPLATE_DATES` for one run.

    :param dag_run: Airflow's ``dag_run``, or anything with its three date attributes.
    :param timezone: the spec's time zone, such as ``Europe/Berlin``; a run belongs to its day there.
    :param day: replaces the run's own day, at the same time of day.
    """
    local = run_moment(dag_run).astimezone(ZoneInfo(timezone))
    if day is not None:
        local = datetime.combine(day, local.time(), local.tzinfo)
    day = local.date()
    return {
        "run_date": day.isoformat(),
        "run_hour": f"{local:%H}",
        "run_month": f"{local:%Y-%m}",
        "previous_run_date": (day - timedelta(days=1)).isoformat(),
        "next_run_date": (day + timedelta(days=1)).isoformat(),
        "run_timestamp": f"{local:%Y%m%dT%H%M%S}",
    }
