"""The geometry of the bar chart. Pure: numbers in, rectangles out; the template draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal

from vertex_batch.costs import Total
from vertex_batch.ui.spend import SpendChart

WIDTH, HEIGHT = 1000, 240
_MARK = 4
_TICKS = 4
_GAP = 0.25
_STEPS = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, in units of the drawing."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bar:
    """What one series cost on one day.

    :param number: of the series; -1 for the mark of a day whose amount is an "at least".
    """

    box: Box
    number: int
    day: date
    name: str
    total: Total


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars from the bottom up, a day's on top of one another.

    :param top: the amount at the upper edge. :param ticks: amounts to write beside it, from the top down.
    :param labels: days to write below, from left to right. :param slots: a day's place, from edge to edge.
    """

    bars: list[Bar]
    top: Decimal
    ticks: list[Decimal]
    labels: list[date]
    slots: list[tuple[date, Box]]
    width: int = WIDTH
    height: int = HEIGHT


def draw(spend: SpendChart) -> Chart:
    """Draw the spend of each day."""
    top = round_up(spend.highest)
    days = spend.days
    labels = sorted({days[0], days[len(days) // 2], days[-1]})
    width = WIDTH / len(days)
    slots = [(day, Box(n * width, 0, width, HEIGHT)) for n, day in enumerate(days)]
    return Chart(
        list(_bars(spend, top)), top, [top * n / _TICKS for n in range(_TICKS, -1, -1)], labels, slots
    )


def round_up(amount: Decimal) -> Decimal:
    """Round up to a number that reads well on an axis: 1, 2, 2.5 or 5 and zeros."""
    if amount <= 0:
        return Decimal(1)
    magnitude = Decimal(1).scaleb(amount.adjusted())
    share = (amount / magnitude).quantize(Decimal("0.000001"), rounding=ROUND_CEILING)
    return magnitude * next(step for step in _STEPS if step >= min(share, _STEPS[-1]))


def _bars(spend: SpendChart, top: Decimal) -> Iterator[Bar]:
    slot = WIDTH / len(spend.days)
    unit = HEIGHT / float(top)
    for position, day in enumerate(spend.days):
        x, width, bottom = (position + _GAP / 2) * slot, slot * (1 - _GAP), float(HEIGHT)
        for series in spend.series:
            total = series.by_day.get(day)
            if total and total.amount:
                height = float(total.amount) * unit
                bottom -= height
                yield Bar(Box(x, bottom, width, height), series.number, day, series.name, total)
        if not spend.totals[day].complete:
            mark = Box(x, max(bottom - 2 * _MARK, 0), width, _MARK)
            yield Bar(mark, -1, day, "", spend.totals[day])
