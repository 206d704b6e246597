"""Spend by day and group, ready for a chart and for the table under it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from vertex_batch.costs import GroupTotal, Total

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
class Spend:
    """What was spent over some days.

    :param totals: by day, over all series.
    """

    days: Sequence[date]
    series: Sequence[Series]
    totals: dict[date, Total]

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
    return Spend(days, series, totals)
