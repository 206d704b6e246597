"""Spend by day and group, ready for a chart and for the table under it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from vertex_batch.costs import GroupTotal, RowCounts, Total
from vertex_batch.ui.periods import Period, last_month, so_far_last_month, this_month

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
class Group:
    """What one group cost over all days.

    :param number: which colour; 0 for what has none of its own.
    :param share: of the largest group's amount, 0 to 100.
    """

    name: str
    number: int
    jobs: int
    tokens: int
    total: Total
    saved: Total
    rows: RowCounts | None
    share: float


@dataclass(frozen=True, slots=True)
class Spend:
    """What was spent over some days.

    :param totals: by day, over all series. :param groups: the dearest first.
    """

    days: Sequence[date]
    series: Sequence[Series]
    totals: dict[date, Total]
    groups: Sequence[Group]

    @property
    def total(self) -> Total:
        return add(self.totals.values())

    @property
    def highest(self) -> Decimal:
        return max((total.amount for total in self.totals.values()), default=Decimal(0))


def add(totals: Iterable[Total]) -> Total:
    """Add up; the sum is complete if all of it is."""
    found = list(totals)
    return Total(sum((t.amount for t in found), Decimal(0)), all(t.complete for t in found))


def arrange(days: Sequence[date], daily: Sequence[GroupTotal]) -> Spend:
    """Arrange sums by ``(group, day)``: the largest groups by name, all others as one."""
    groups: dict[str, dict[date, Total]] = defaultdict(dict)
    for each in daily:
        name, day = each.group
        groups[name][day] = each.total
    ranked = sorted(groups.items(), key=lambda item: (-add(item[1].values()).amount, item[0]))
    kept, rest = ranked[:MAX_SERIES], ranked[MAX_SERIES:]
    if len(rest) == 1:
        kept, rest = ranked, []
    series = [Series(name, n, found, add(found.values())) for n, (name, found) in enumerate(kept, 1)]
    if rest:
        others = {day: add(f[day] for _, f in rest if day in f) for day in days}
        series.append(Series(f"{len(rest)} {OTHERS}", 0, others, add(others.values())))
    totals = {day: add(found[day] for found in groups.values() if day in found) for day in days}
    numbers = {each.name: each.number for each in series if each.number}
    return Spend(days, series, totals, _groups([name for name, _ in ranked], numbers, daily))


def _groups(ranked: Sequence[str], numbers: dict[str, int], daily: Sequence[GroupTotal]) -> list[Group]:
    found: dict[str, list[GroupTotal]] = {name: [] for name in ranked}
    for each in daily:
        found[each.group[0]].append(each)
    sums = {name: add(each.total for each in days) for name, days in found.items()}
    most = max((total.amount for total in sums.values()), default=Decimal(0))
    return [
        Group(
            name,
            numbers.get(name, 0),
            sum(each.jobs for each in days),
            sum(each.tokens for each in days),
            sums[name],
            add(each.saved for each in days),
            add_rows(days),
            float(100 * sums[name].amount / most) if most else 0.0,
        )
        for name, days in found.items()
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


def summarise(daily: Sequence[GroupTotal]) -> Summary:
    """Add up sums by day."""
    rows = add_rows(daily) or RowCounts()
    return Summary(
        add(each.total for each in daily),
        add(each.saved for each in daily),
        sum(each.jobs for each in daily),
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

    def within(period: Period) -> Total:
        return add(each.total for each in daily if period.since <= each.group[0] <= period.until)

    return Months(within(this_month(today)), within(so_far_last_month(today)), within(last_month(today)))
