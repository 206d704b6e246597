"""Spend by day and group, ready for a chart and for the table under it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from vertex_batch.costs import GroupTotal, RowCounts, Total, add_totals
from vertex_batch.ui.periods import Days, last_month, so_far_last_month, this_month

# More colours than these cannot be told apart; the rest is one group.
MAX_SERIES = 5
OTHERS = "others"
NOTHING = Total(Decimal(0), complete=True)


@dataclass(frozen=True, slots=True)
class Series:
    """One group's spend: a colour of the chart and a column of the table.

    :param number: which colour; 0 for what has none of its own.
    """

    name: str
    number: int
    by_day: dict[date, Total]
    total: Total


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """What one group cost over all days.

    :param number: which colour; 0 for what has none of its own.
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

    :param days: the first days of the bars. :param totals: by these, over all series.
    :param groups: the most expensive first.
    """

    days: Sequence[date]
    series: Sequence[Series]
    totals: dict[date, Total]
    groups: Sequence[SpendGroup]

    @property
    def total(self) -> Total:
        return add_totals(self.totals.values())

    @property
    def highest(self) -> Decimal:
        return max((total.amount for total in self.totals.values()), default=Decimal(0))


def arrange(
    period: Days, groups: Sequence[GroupTotal], daily: Sequence[GroupTotal], rest: Sequence[GroupTotal] = ()
) -> SpendChart:
    """Arrange sums for a chart: the largest groups by name, all others as one.

    :param groups: sums by ``(group,)``.
    :param daily: sums by ``(group, day)``; of the largest groups, or of all.
    :param rest: sums by ``(day,)`` of the groups that are not in `daily`.
    """
    ranked = rank(groups)
    kept = [each.group[0] for each in ranked[: largest(groups)]]
    by_name: dict[str, list[GroupTotal]] = defaultdict(list)
    for each in daily:
        by_name[each.group[0]].append(each)
    series = [
        Series(name, n, found := _by_start(period, by_name[name]), add_totals(found.values()))
        for n, name in enumerate(kept, 1)
    ]
    if len(kept) < len(ranked):
        others = [each for name, found in by_name.items() if name not in kept for each in found]
        found = _by_start(period, [*others, *rest])
        series.append(Series(f"{len(ranked) - len(kept)} {OTHERS}", 0, found, add_totals(found.values())))
    totals = {
        start: add_totals(each.by_day[start] for each in series if start in each.by_day)
        for start in period.starts
    }
    numbers = {each.name: each.number for each in series if each.number}
    return SpendChart(period.starts, series, totals, _groups(ranked, numbers))


def rank(groups: Sequence[GroupTotal]) -> list[GroupTotal]:
    """Sort groups, the most expensive first."""
    return sorted(groups, key=lambda each: (-each.total.amount, each.group))


def largest(groups: Sequence[GroupTotal]) -> int:
    """How many groups have a colour of their own: a single other one has."""
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


def _by_start(period: Days, daily: Sequence[GroupTotal]) -> dict[date, Total]:
    found: dict[date, list[Total]] = defaultdict(list)
    for each in daily:
        found[period.start_of(each.group[-1])].append(each.total)
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
    if len(counted) < len(known):
        return None
    return RowCounts(
        sum(rows.ok for rows in counted),
        sum(rows.failed for rows in counted),
        sum(rows.unreadable for rows in counted),
        sum(rows.unrecognized for rows in counted),
        sum(rows.copied for rows in counted),
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What some days come to."""

    total: Total
    saved: Total
    jobs: int
    rows: RowCounts

    @property
    def failed_percent(self) -> Decimal | None:
        """Failed rows among all; None where there were no rows."""
        share = self.rows.failed_share
        return None if share is None else (share * 100).quantize(Decimal("0.01"))

    @property
    def saved_percent(self) -> int | None:
        """What was saved, of what it would have cost; None where that is not known."""
        whole = self.total.amount + self.saved.amount
        if not whole or not (self.total.complete and self.saved.complete):
            return None
        return int(100 * self.saved.amount / whole)


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
    """This month beside the last one."""

    this: Total
    last_to_same_day: Total
    last: Total

    @property
    def change_percent(self) -> int | None:
        """This month against last month to the same day; None where one of them is not known wholly."""
        before = self.last_to_same_day
        if not before.amount or not (before.complete and self.this.complete):
            return None
        return round(100 * (self.this.amount - before.amount) / before.amount)


def compare_months(daily: Sequence[GroupTotal], today: date) -> Months:
    """Add up the months from sums by day."""

    def within(period: Days) -> Total:
        return add_totals(each.total for each in daily if period.since <= each.group[0] <= period.until)

    return Months(within(this_month(today)), within(so_far_last_month(today)), within(last_month(today)))
