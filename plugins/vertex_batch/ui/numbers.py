"""How the pages write numbers: amounts, counts, shares, changes and durations. Pure.

`AmountColumn` rounds all amounts of a column to the same number of decimals, so that the decimal points are
below each other. The exact amounts are in the titles, on the bill, and in the exports.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import ROUND_HALF_UP, Context, Decimal

from vertex_batch.costs import Total, about  # noqa: F401 - for the templates

UNKNOWN = "\u2013"
CENTS, SMALL = 2, 4
_WHOLE_FROM = 1000
_MILLIONTH = Decimal("0.000001")
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"))
_MANY_PERCENT = 1000
_THREE_DIGITS = Context(prec=3, rounding=ROUND_HALF_UP)
Amount = Decimal | Total | None


@dataclass(frozen=True, slots=True)
class AmountColumn:
    """Amounts that are shown below each other.

    :param decimals: of each of them.
    """

    decimals: int

    @classmethod
    def of(cls, amounts: Iterable[Amount]) -> AmountColumn:
        """Choose the decimals: 2 if the largest amount is a dollar or more, or if 2 are exact; else 4."""
        known = [abs(_plain(amount)) for amount in amounts if amount is not None]
        small = max(known, default=Decimal(0)) < 1 and any(_rounds(amount, CENTS) for amount in known)
        return cls(SMALL if small else CENTS)

    @classmethod
    def finest(cls, *groups: Iterable[Amount]) -> AmountColumn:
        """Choose the decimals that all of some columns need, for a page that repeats an amount in each."""
        return cls(max(cls.of(group).decimals for group in groups))

    def write(self, amount: Amount) -> str:
        """Write an amount without its currency. One that would be rounded to zero is ``<0.0001``."""
        if amount is None:
            return UNKNOWN
        exact = _plain(amount)
        step = Decimal(1).scaleb(-self.decimals)
        if exact and abs(exact) < step:
            return f"{'>-' if exact < 0 else '<'}{step:f}"
        return f"{exact.quantize(step, ROUND_HALF_UP):,f}"


def amount(value: Amount) -> str:
    """Write one amount by itself, in text or on a card: ``0.0402``, ``12.50`` or ``41,873``.

    >>> amount(Decimal("0.04018")), amount(Decimal("12.5")), amount(Decimal("41873.4"))
    ('0.0402', '12.50', '41,873')
    """
    if value is not None and abs(_plain(value)) >= _WHOLE_FROM:
        return AmountColumn(0).write(value)
    return AmountColumn.of([value]).write(value)


def fine(amount: Decimal) -> Decimal:
    """Round an estimate to a millionth of a dollar: its other digits say nothing.

    >>> fine(Decimal("0.04018000001"))
    Decimal('0.040180')
    """
    return amount.quantize(_MILLIONTH, ROUND_HALF_UP)


def share(part: int, whole: int) -> str:
    """Write a part as a percentage, which is 0 or 100 only if it is exactly that.

    >>> share(1, 3000), share(31, 1000), share(2999, 3000), share(0, 9)
    ('<0.1 %', '3.1 %', '99.9 %', '0 %')
    """
    if not whole:
        return UNKNOWN
    percent = Decimal(100 * part) / whole
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if percent < Decimal("0.1"):
        return "<0.1 %"
    return f"{min(percent, Decimal('99.9')).quantize(Decimal('0.1'), ROUND_HALF_UP)} %"


def change(now: Decimal, before: Decimal) -> str:
    """Write a change in percent, or as a factor if it is large; empty if there is nothing to compare with.

    >>> change(Decimal(9), Decimal(10)), change(Decimal(150), Decimal(10)), change(Decimal(1), Decimal(0))
    ('-10 %', '15 times', '')
    """
    if before <= 0:
        return ""
    percent = 100 * (now - before) / before
    if percent >= _MANY_PERCENT:
        return f"{now / before:,.0f} times"
    rounded = percent.quantize(Decimal(1), ROUND_HALF_UP)
    return f"{rounded:+.0f} %" if rounded else "±0 %"


def compact(number: int) -> str:
    """Write a large count in three digits: ``1.23 B``. One below a million is exact.

    >>> compact(999_999), compact(4_197_942), compact(999_950_000), compact(123_456_789_012)
    ('999,999', '4.20 M', '1.00 B', '123 B')
    """
    rounded = _THREE_DIGITS.create_decimal(number)
    for unit, name in _UNITS if number >= _UNITS[-1][0] else ():
        if rounded >= unit:
            shown = rounded / unit
            return f"{shown:,.{max(0, 2 - shown.adjusted())}f} {name}"
    return f"{number:,}"


def duration(time: timedelta | None) -> str:
    """Write a duration in its two largest units.

    >>> duration(timedelta(seconds=42)), duration(timedelta(minutes=125)), duration(timedelta(hours=28))
    ('42 s', '2 h 5 min', '1 d 4 h')
    """
    if time is None:
        return UNKNOWN
    seconds = max(int(time.total_seconds()), 0)
    if seconds < _MINUTE:
        return f"{seconds} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def _plain(value: Decimal | Total) -> Decimal:
    return value.amount if isinstance(value, Total) else value


def _rounds(exact: Decimal, decimals: int) -> bool:
    """Whether an amount has more decimals than that."""
    return exact != exact.quantize(Decimal(1).scaleb(-decimals))
