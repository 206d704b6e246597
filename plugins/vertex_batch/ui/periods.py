"""Spans of days: the period in a page's address, and the months that are always shown. Days are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

USUAL_DAYS = 30
MAX_DAYS = 366
LONGEST_BY_DAY, WEEK = 92, 7


class BadAddressError(ValueError):
    """The address is invalid; the message is shown to the user."""


@dataclass(frozen=True, slots=True)
class Days:
    """Days from ``since`` to ``until``, both included."""

    since: date
    until: date

    @property
    def length(self) -> int:
        return (self.until - self.since).days + 1

    @property
    def step(self) -> int:
        """How many days are one bar and one row. Long periods are shown by week."""
        return 1 if self.length <= LONGEST_BY_DAY else WEEK

    @property
    def starts(self) -> list[date]:
        """The first day of each bar."""
        return [self.since + timedelta(n) for n in range(0, self.length, self.step)]

    def start_of(self, day: date) -> date:
        """The first day of the bar that a day is in."""
        return day - timedelta((day - self.since).days % self.step)

    def end_of(self, start: date) -> date:
        """The last day of a bar."""
        return min(start + timedelta(self.step - 1), self.until)


def read_day(text: str) -> date | None:
    """Read a day; None if empty.

    :raises BadAddressError: it is not a valid day.
    """
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise BadAddressError(f"{text[:40]!r} is not a valid day, such as 2026-11-22.") from None


def read_period(since_text: str, until_text: str, today: date) -> Days:
    """Read a period. The default is the last 30 days.

    :raises BadAddressError: a day is invalid, they are in the wrong order, or too far apart for a chart.
    """
    until = read_day(until_text) or max(today, read_day(since_text) or today)
    since = read_day(since_text) or until - timedelta(min(USUAL_DAYS - 1, (until - date.min).days))
    if since > until:
        raise BadAddressError(f"The period ends ({until}) before it begins ({since}).")
    if (until - since).days >= MAX_DAYS:
        raise BadAddressError(f"A page shows at most {MAX_DAYS} days; {since} to {until} is longer.")
    return Days(since, until)


def this_month(today: date) -> Days:
    return Days(today.replace(day=1), today)


def last_month(today: date) -> Days:
    until = today.replace(day=1) - timedelta(1)
    return Days(until.replace(day=1), until)


def so_far_last_month(today: date) -> Days:
    """Last month up to the same day, for a fair comparison with this month."""
    whole = last_month(today)
    return Days(whole.since, min(whole.until, whole.since + timedelta(today.day - 1)))
