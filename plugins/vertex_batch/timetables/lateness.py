"""Whether a run that came due may still start, and what is said about the ones that may not."""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True)
class RunSlot:
    """One of the ``max_active_runs`` places of a DAG, while a run occupied it.

    :param since: when the run was queued.
    :param until: when it ended; None while it is active.
    """

    since: Moment
    until: Moment | None

    def is_occupied(self, moment: Moment) -> bool:
        return self.since <= moment and (self.until is None or moment < self.until)


def clock_start(tick: Moment, places: Sequence[RunSlot], max_active_runs: int) -> Moment | None:
    """Return when the clock of ``start_within`` starts for the run of this time: once a place is free for it.

    A run that waits for a place is not late. It waits if all places are occupied at its time; if another run
    takes the place that becomes free before it can, it still waits. Airflow starts that other run within
    `SHORTEST_START_WITHIN`. What takes a place later than that did not keep this run waiting: it could have
    started, if Airflow had been running and the DAG not paused.

    :param tick: the time of the run.
    :param places: the runs that were active at that time or later, without those of backfills, which Airflow
        does not count.
    :return: the time itself if a place was free; None while all of them are occupied.
    """
    start = tick
    while (occupied := _first_occupied(start, places, max_active_runs)) is not None:
        ends = sorted(place.until for place in places if place.until and place.until > occupied)
        free = next((end for end in ends if _active(end, places) < max_active_runs), None)
        if free is None:
            return None
        start = free
    return start


def _first_occupied(start: Moment, places: Sequence[RunSlot], max_active_runs: int) -> Moment | None:
    last = start + SHORTEST_START_WITHIN
    moments = sorted({start, *(place.since for place in places if start < place.since <= last)})
    return next((moment for moment in moments if _active(moment, places) >= max_active_runs), None)


def _active(moment: Moment, places: Sequence[RunSlot]) -> int:
    return sum(place.is_occupied(moment) for place in places)


def is_due(start: Moment | None, now: Moment, start_within: timedelta) -> bool:
    """Whether a run may start by itself: it is not too late for it.

    :param start: when the clock of ``start_within`` started, as `clock_start` returns it.
    """
    return start is None or now - start <= start_within


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
            " start by itself. Airflow was not running, the DAG was new or paused, its schedule changed, or"
            " another time came while `max_active_runs` runs were active: then only the latest one starts."
            f" Nothing was submitted, and nothing is paid for {'it' if one else 'them'}."
            f" The next run is due at {_shown(self.due)}. To run what was skipped:"
            f" airflow backfill create --dag-id {self.dag_id}"
            f" --from-date {start:%Y-%m-%dT%H:%M:%S}Z --to-date {end:%Y-%m-%dT%H:%M:%S}Z"
        )


def _shown(moment: Moment) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"
