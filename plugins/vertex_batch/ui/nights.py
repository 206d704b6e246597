"""The last runs of a spec, each as one line, and the trends over its nights. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from statistics import median

from vertex_batch.costs import JobCost, JobFacts, RowCounts, Total, add_totals
from vertex_batch.ui import numbers
from vertex_batch.ui.spend import add_row_counts


@dataclass(frozen=True, slots=True)
class Night:
    """The jobs of one day, or of one run.

    :param jobs: the latest first.
    :param queue_time: of the job that waited the longest; None if it is unknown.
    :param run_time: of the job that ran the longest; None if it is unknown.
    """

    day: date
    jobs: Sequence[JobCost]
    total: Total
    rows: RowCounts
    queue_time: timedelta | None
    run_time: timedelta | None

    @property
    def states(self) -> Mapping[str, int]:
        """How many jobs ended in which state, the state of the latest job first."""
        return Counter(each.job.state for each in self.jobs)

    @property
    def began_at(self) -> datetime | None:
        """When the first of its jobs was created; None if that is unknown."""
        return min((each.job.create_time for each in self.jobs if each.job.create_time), default=None)

    @property
    def per_thousand_rows(self) -> Total | None:
        return self.total.per_thousand(self.rows.paid)

    @property
    def failed_percent(self) -> Decimal | None:
        return 100 * self.rows.failed_share if self.rows.failed_share is not None else None


@dataclass(frozen=True, slots=True)
class Trend:
    """One number of each night, as bars.

    :param latest: the number of the last night.
    :param usual: the median of the nights before; empty if there are none.
    :param heights: in percent, the oldest night first; None where it is unknown.
    """

    name: str
    latest: str
    usual: str
    heights: Sequence[float | None]


def by_night(jobs: Iterable[JobCost]) -> list[Night]:
    """Group jobs by their day, the latest first."""
    return _grouped(jobs, lambda _: None)


def by_run(jobs: Iterable[JobCost]) -> list[Night]:
    """Group jobs by their run, the latest day first. A job without a run is by itself."""
    return _grouped(jobs, lambda job: (job.dag_id, job.run_id) if job.dag_id and job.run_id else job.key)


def _grouped(jobs: Iterable[JobCost], key: Callable[[JobFacts], Hashable]) -> list[Night]:
    found: dict[tuple[date, Hashable], list[JobCost]] = defaultdict(list)
    for each in sorted(jobs, key=lambda each: each.job.created_at, reverse=True):
        if moment := each.job.logical_date or each.job.create_time:
            found[moment.astimezone(UTC).date(), key(each.job)].append(each)
    nights = [_night(day, of_group) for (day, _), of_group in found.items()]
    return sorted(nights, key=lambda night: night.day, reverse=True)


def _night(day: date, jobs: Sequence[JobCost]) -> Night:
    queue = [each.job.queue_time for each in jobs if each.job.queue_time is not None]
    run = [each.job.run_time for each in jobs if each.job.run_time is not None]
    rows = add_row_counts(each.rows for each in jobs)
    total = add_totals(each.total for each in jobs)
    return Night(day, jobs, total, rows, max(queue, default=None), max(run, default=None))


def trends(nights: Sequence[Night]) -> list[Trend]:
    """Return the trends of cost, rows, failures and times over nights, the latest of which is first."""
    return [
        _trend("Cost, USD", nights, lambda each: each.total, numbers.amount),
        _trend("USD per 1,000 rows", nights, lambda each: each.per_thousand_rows, numbers.amount),
        _trend(
            "Rows", nights, lambda each: Decimal(each.rows.total), lambda rows: numbers.compact(int(rows))
        ),
        _trend("Failed rows", nights, lambda each: each.failed_percent, lambda percent: f"{percent:.1f} %"),
        _trend("Queue time", nights, lambda each: _seconds(each.queue_time), _duration),
        _trend("Run time", nights, lambda each: _seconds(each.run_time), _duration),
    ]


def _trend(
    name: str,
    nights: Sequence[Night],
    value: Callable[[Night], Decimal | Total | None],
    write: Callable[[Decimal], str],
) -> Trend:
    found = [value(each) for each in nights]
    values = [each.amount if isinstance(each, Total) else each for each in found]
    bounds = ["\u2265 " if isinstance(each, Total) and not each.complete else "" for each in found]
    known = [each for each in values if each is not None]
    most = max(known, default=Decimal(0))
    heights = [None if each is None else float(100 * each / most) if most else 0.0 for each in values]
    latest = numbers.UNKNOWN if not values or values[0] is None else f"{bounds[0]}{write(values[0])}"
    before = [each for each in values[1:] if each is not None]
    usual = f"{max(bounds[1:])}{write(median(before))}" if before else ""
    return Trend(name, latest, usual, heights[::-1])


def _seconds(time: timedelta | None) -> Decimal | None:
    return None if time is None else Decimal(int(time.total_seconds()))


def _duration(seconds: Decimal) -> str:
    return numbers.duration(timedelta(seconds=int(seconds)))
