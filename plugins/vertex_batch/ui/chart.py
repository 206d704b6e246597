"""The geometry of the bar chart, in percent of the plot. Pure: numbers in, rectangles out.

Percentages let the drawing fill any width without distorting its text, lines and gaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, ROUND_DOWN, Decimal

from vertex_batch.costs import Total
from vertex_batch.ui.spend import SpendChart

MAX_LABELS, MAX_INTERVALS = 7, 5
_STEPS = (1, 2, 5, 10)
_FILLED = 0.75
_WIDEST_BAR = 6.0
_SATURDAY = 5
_FEWEST_POINTS = 2


@dataclass(frozen=True, slots=True)
class Bar:
    """What one series cost on one day.

    :param number: the color of the series.
    """

    y: float
    height: float
    number: int


@dataclass(frozen=True, slots=True)
class BarColumn:
    """One day, or one week: its place from edge to edge of the plot, and the bars in the middle of it.

    :param bars: from the bottom up.
    :param top: the upper end of the bars.
    :param previous: the amount of the same day of the previous period, if it is shown, and where it is.
    """

    start: date
    end: date
    x: float
    width: float
    bar_x: float
    bar_width: float
    bars: list[Bar]
    top: float
    total: Total
    previous: tuple[Total, float] | None

    @property
    def is_weekend(self) -> bool:
        return self.start == self.end and self.start.weekday() >= _SATURDAY


@dataclass(frozen=True, slots=True)
class Chart:
    """The days, and the labels of both axes.

    :param ticks: amounts, from the top down, at equal distances.
    :param labels: days, and the middle of their bars.
    :param marks_lower_bounds: False if most days are lower bounds, so that a mark on each says nothing.
    """

    columns: list[BarColumn]
    ticks: list[str]
    labels: list[tuple[str, float]]
    marks_lower_bounds: bool


def draw(spend: SpendChart) -> Chart:
    amounts = tick_amounts(spend.highest)
    columns = list(_columns(spend, float(amounts[0])))
    step = amounts[-2]
    decimals = Decimal(1).scaleb(-max(0, -step.adjusted()))
    ticks = [f"{amount.quantize(decimals, ROUND_DOWN):,f}" if amount else "0" for amount in amounts]
    lower_bounds = sum(not column.total.complete for column in columns)
    return Chart(columns, ticks, _labels(columns), 0 < 2 * lower_bounds <= len(columns))


def tick_amounts(highest: Decimal) -> list[Decimal]:
    """Choose the amounts on the axis, from the top down to 0, in steps of 1, 2 or 5."""
    if highest <= 0:
        return [Decimal(1), Decimal(0)]
    magnitude = Decimal(1).scaleb((highest / MAX_INTERVALS).adjusted())
    step = next(step for n in _STEPS if MAX_INTERVALS * (step := n * magnitude) >= highest)
    intervals = int((highest / step).quantize(Decimal(1), ROUND_CEILING))
    return [step * n for n in range(intervals, -1, -1)]


def _columns(spend: SpendChart, top: float) -> Iterator[BarColumn]:
    width = 100 / len(spend.days)
    bar_width = min(width * _FILLED, _WIDEST_BAR)
    for n, day in enumerate(spend.days):
        bars, upper = [], 100.0
        for series in spend.series:
            if (total := series.by_day.get(day)) and total.amount:
                height = 100 * float(total.amount) / top
                upper -= height
                bars.append(Bar(upper, height, series.number))
        before = spend.previous.get(day)
        yield BarColumn(
            start=day,
            end=spend.period.end_of(day),
            x=n * width,
            width=width,
            bar_x=(n + 0.5) * width - bar_width / 2,
            bar_width=bar_width,
            bars=bars,
            top=upper,
            total=spend.totals[day],
            previous=(before, 100 - 100 * float(before.amount) / top) if before else None,
        )


def _labels(columns: list[BarColumn]) -> list[tuple[str, float]]:
    """Label the last day, and earlier ones at equal distances."""
    every = -(-len(columns) // MAX_LABELS)
    named = columns[(len(columns) - 1) % every :: every]
    years = {column.start.year for column in columns}
    form = "{:%-d %b %Y}" if len(years) > 1 and len(columns) > 1 else "{:%-d %b}"
    return [(form.format(column.start), column.x + column.width / 2) for column in named]


def sparkline(amounts: Sequence[Decimal]) -> str:
    """Return the points of a line through amounts, in a square of 100; empty for fewer than two.

    The line fills the height only if the amounts differ by a fifth or more, so that noise looks flat.
    """
    if len(amounts) < _FEWEST_POINTS or not max(amounts):
        return ""
    lowest, highest = min(amounts), max(amounts)
    height = float(max(highest - lowest, highest / 5))
    step = 100 / (len(amounts) - 1)
    points = ((n * step, 95 - 90 * float(each - lowest) / height) for n, each in enumerate(amounts))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
