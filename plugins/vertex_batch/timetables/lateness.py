"""Whether a run that came due may still start, and what is said about the ones that may not."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Moment = datetime
DEFAULT_START_WITHIN = timedelta(hours=1)
SHORTEST_START_WITHIN = timedelta(minutes=5)
"""Airflow's scheduler and DAG processor may both be this slow on a busy night."""
FIRST_RUN_GRACE = timedelta(minutes=5)
"""How late the first run of a DAG without a start date may be: longer than the scheduler needs to start what
is due, and short, since such a DAG does not say that it wants a time which has passed."""

MAX_COUNTED = 1000
"""Skipped runs are counted up to here: a schedule of every minute after a pause of a year has too many."""


def is_due(moment: Moment, now: Moment, start_within: timedelta) -> bool:
    """Whether a run of this time may start by itself: it is not too late for it."""
    return now - moment <= start_within


@dataclass(frozen=True, slots=True)
class SkippedRuns:
    """Runs that were due and are not started any more.

    :param first: time of the first one, in the schedule's time zone; so are ``last`` and ``due``.
    :param count: how many there are, at most `MAX_COUNTED`.
    :param due: when the next run starts.
    :param start_within: how late a run may start.
    """

    dag_id: str
    first: Moment
    last: Moment
    count: int
    due: Moment
    start_within: timedelta

    def __str__(self) -> str:
        one, minutes = self.count == 1, int(self.start_within.total_seconds() // 60)
        count = f"{self.count}{' or more' if self.count >= MAX_COUNTED else ''}"
        which = (
            f"The run that was due at {_shown(self.first)} was"
            if one
            else f"{count} runs that were due from {_shown(self.first)} to {_shown(self.last)} were"
        )
        start, end = self.first.astimezone(UTC), self.last.astimezone(UTC)
        return (
            f"DAG {self.dag_id}: {which} not started within {minutes} minutes, and will not"
            " start by itself: Airflow was not running, the DAG was paused or its schedule changed, or"
            f" `max_active_runs` was reached. Nothing was submitted, and nothing is paid for"
            f" {'it' if one else 'them'}. The next run is due at {_shown(self.due)}. To run what was skipped:"
            f" airflow backfill create --dag-id {self.dag_id}"
            f" --from-date {start:%Y-%m-%dT%H:%M:%S}Z --to-date {end:%Y-%m-%dT%H:%M:%S}Z"
        )


def _shown(moment: Moment) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
