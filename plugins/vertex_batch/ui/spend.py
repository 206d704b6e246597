"""Spend by day and group, ready for a chart and for the tables below it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from zlib import crc32

from vertex_batch.costs import GroupTotal, RowCounts, Total, add_totals
from vertex_batch.ui.periods import Days, so_far_last_month, this_month

# More colors than these look alike; the rest is one gray group.
MAX_SERIES = 8
OTHERS = "others"
NOTHING = Total(Decimal(0), complete=True)


@dataclass(frozen=True, slots=True)
class Series:
    """One group's spend: a color of the chart and a column of the table.

    :param number: its color, 1 to `MAX_SERIES`; 0: gray.
    """

    name: str
    number: int
    by_day: dict[date, Total]
    total: Total


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """What one group cost over all days.

    :param number: its color, as in `Series`.
    :param share: of the largest group's amount, 0 to 100.
    """

    sums: GroupTotal
    number: int
    share: float

    @property
    def name(self) -> str:
        return str(self.sums.group[0])


@dataclass(frozen=True, slots=True)
class SpendChart:
    """What was spent over some days.

    :param period: the days that are shown.
    :param totals: over all series, by the first days of the bars.
    :param groups: the most expensive first.
    :param previous: the totals of the period before, by the days that they are compared with.
    """

    period: Days
    series: Sequence[Series]
    totals: dict[date, Total]
    groups: Sequence[SpendGroup]
    previous: Mapping[date, Total] = field(default_factory=dict)

    @property
    def days(self) -> Sequence[date]:
        """The first days of the bars."""
        return self.period.starts

    @property
    def total(self) -> Total:
        return add_totals(self.totals.values())

    @property
    def highest(self) -> Decimal:
        every = (*self.totals.values(), *self.previous.values())
        return max((total.amount for total in every), default=Decimal(0))


def colors(names: Collection[str]) -> dict[str, int]:
    """Give each of at most `MAX_SERIES` names a color that depends on the name.

    So a name keeps its color when amounts change, or another period is shown. Only if another shown name has
    the same color does one of them, always the same one, get the next free color.
    """
    taken: dict[int, str] = {}
    for name in sorted(names, key=lambda name: (crc32(name.encode()), name)):
        first = crc32(name.encode())
        free = (1 + (first + n) % MAX_SERIES for n in range(MAX_SERIES))
        taken[next(number for number in free if number not in taken)] = name
    return {name: number for number, name in taken.items()}


def arrange(
    period: Days,
    groups: Sequence[GroupTotal],
    daily: Sequence[GroupTotal],
    rest: Sequence[GroupTotal] = (),
    previous: Sequence[GroupTotal] = (),
) -> SpendChart:
    """Arrange sums for a chart: the largest groups by name, all others as one.

    :param groups: sums by ``(group,)``.
    :param daily: sums by ``(group, day)``; of the largest groups, or of all.
    :param rest: sums by ``(day,)`` of the groups that are not in `daily`.
    :param previous: sums by ``(day,)`` of the period before, if it is compared.
    """
    ranked = rank(groups)
    kept = [each.group[0] for each in ranked[: largest(groups)]]
    by_name: dict[str, list[GroupTotal]] = defaultdict(list)
    for each in daily:
        by_name[each.group[0]].append(each)
    numbers = colors(kept[:MAX_SERIES])
    series = [
        Series(
            name, numbers.get(name, 0), found := _by_start(period, by_name[name]), add_totals(found.values())
        )
        for name in kept
    ]
    if len(kept) < len(ranked):
        others = [each for name, found in by_name.items() if name not in kept for each in found]
        found = _by_start(period, [*others, *rest])
        series.append(Series(f"{len(ranked) - len(kept)} {OTHERS}", 0, found, add_totals(found.values())))
    totals = {
        start: add_totals(each.by_day[start] for each in series if start in each.by_day)
        for start in period.starts
    }
    back = timedelta(weeks=period.weeks_back)
    before = _by_start(period, previous, back) if previous else {}
    return SpendChart(period, series, totals, _groups(ranked, numbers), before)


def rank(groups: Sequence[GroupTotal]) -> list[GroupTotal]:
    """Sort groups, the most expensive first."""
    return sorted(groups, key=lambda each: (-each.total.amount, each.group))


def largest(groups: Sequence[GroupTotal]) -> int:
    """How many groups are shown by name: a single other one is, in gray."""
    return len(groups) if len(groups) <= MAX_SERIES + 1 else MAX_SERIES


def add_groups(daily: Sequence[GroupTotal]) -> list[GroupTotal]:
    """Add up sums by ``(group, day)`` to sums by ``(group,)``."""
    found: dict[str, list[GroupTotal]] = defaultdict(list)
    for each in daily:
        found[each.group[0]].append(each)
    return [
        GroupTotal(
            (name,),
            add_totals(each.total for each in days),
            sum(each.jobs for each in days),
            sum(each.tokens for each in days),
            min(each.first_day for each in days),
            max(each.last_day for each in days),
            add_totals(each.saved for each in days),
            add_rows(days),
        )
        for name, days in found.items()
    ]


def _by_start(period: Days, daily: Sequence[GroupTotal], back: timedelta = timedelta()) -> dict[date, Total]:
    """Add up the sums of each bar.

    :param back: how long before the period they are.
    """
    found: dict[date, list[Total]] = defaultdict(list)
    for each in daily:
        found[period.start_of(each.group[-1] + back)].append(each.total)
    return {start: add_totals(totals) for start, totals in found.items()}


def _groups(ranked: Sequence[GroupTotal], numbers: dict[str, int]) -> list[SpendGroup]:
    most = max((each.total.amount for each in ranked), default=Decimal(0))
    return [
        SpendGroup(
            each, numbers.get(each.group[0], 0), float(100 * each.total.amount / most) if most else 0.0
        )
        for each in ranked
    ]


def add_rows(totals: Iterable[GroupTotal]) -> RowCounts | None:
    """Add up rows; None where they are not known, as by model."""
    known = [each.rows for each in totals]
    counted = [rows for rows in known if rows is not None]
    return add_row_counts(counted) if len(counted) == len(known) else None


def add_row_counts(counts: Iterable[RowCounts]) -> RowCounts:
    """Add up the rows of jobs, without those of their inputs."""
    every = list(counts)
    names = ("ok", "failed", "unreadable", "unrecognized", "copied")
    return RowCounts(**{name: sum(getattr(rows, name) for rows in every) for name in names})


@dataclass(frozen=True, slots=True)
class Summary:
    """What some days come to."""

    total: Total
    saved: Total
    jobs: int
    rows: RowCounts

    @property
    def per_thousand_rows(self) -> Total | None:
        """What a thousand answered rows cost; None if none was answered."""
        return self.total.per_thousand(self.rows.paid)

    @property
    def saved_percent(self) -> int | None:
        """What was saved, of what it would have cost; None where that is not known."""
        whole = self.total.amount + self.saved.amount
        if not whole or not (self.total.complete and self.saved.complete):
            return None
        return int((100 * self.saved.amount / whole).quantize(Decimal(1), ROUND_HALF_UP))


def unread(sums: GroupTotal | Summary) -> Decimal:
    """What rows whose usage is unknown cost, if each cost as much as an answered row."""
    each = sums.per_thousand_rows
    return each.amount * sums.rows.not_counted / 1000 if each and sums.rows else Decimal(0)


def summarise(parts: Sequence[GroupTotal]) -> Summary:
    """Add up the sums of groups that have no job in common."""
    rows = add_rows(parts) or RowCounts()
    return Summary(
        add_totals(each.total for each in parts),
        add_totals(each.saved for each in parts),
        sum(each.jobs for each in parts),
        rows,
    )


@dataclass(frozen=True, slots=True)
class Months:
    """This month, and last month up to the same day."""

    this: Total
    last_to_same_day: Total


def compare_months(daily: Sequence[GroupTotal], today: date) -> Months:
    """Add up the months from sums by day."""

    def within(period: Days) -> Total:
        return add_totals(each.total for each in daily if period.since <= each.group[0] <= period.until)

    return Months(within(this_month(today)), within(so_far_last_month(today)))
