"""Spans of days: the period in a page's address, and the months that are always shown. Days are UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

USUAL_DAYS = 30
MAX_DAYS = 366
LONGEST_BY_DAY, WEEK = 92, 7
FIRST_YEAR = 2001


class BadAddressError(ValueError):
    """The address is invalid; the message is shown to the user.

    :param field: the field of a form that the message is about.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


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
    def unit(self) -> str:
        """What one bar is."""
        return "day" if self.step == 1 else "week"

    @property
    def weeks_back(self) -> int:
        """How many weeks before it is the period that it is compared with. So weekends are compared."""
        return -(-self.length // WEEK)

    @property
    def previous(self) -> Days:
        """The same number of days, some whole weeks before, and not in this period."""
        back = timedelta(weeks=self.weeks_back)
        return Days(self.since - back, self.until - back)

    @property
    def starts(self) -> list[date]:
        """The first day of each bar. The last bar is a whole one."""
        return [self.since, *(self.until - timedelta(n - 1) for n in range(self._ends, 0, -self.step))]

    def start_of(self, day: date) -> date:
        """The first day of the bar that a day is in."""
        return max(self.since, self.end_of(day) - timedelta(self.step - 1))

    def end_of(self, day: date) -> date:
        """The last day of the bar that a day is in."""
        return self.until - timedelta((self.until - day).days // self.step * self.step)

    @property
    def _ends(self) -> int:
        """The number of days from the second bar to the end."""
        return (self.length - 1) // self.step * self.step


def read_day(text: str, field: str = "") -> date | None:
    """Read a day; None if empty.

    :raises BadAddressError: it is not a valid day, or long before there were batch jobs.
    """
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.min
    if day and day.year < FIRST_YEAR:
        raise BadAddressError(f"{text[:40]!r} is not a valid day, such as 2026-11-22.", field)
    return day


def read_days(since_text: str, until_text: str) -> tuple[date | None, date | None]:
    """Read the first and the last day; None for one that is empty.

    :raises BadAddressError: a day is invalid, or they are in the wrong order.
    """
    since, until = read_day(since_text, "from"), read_day(until_text, "to")
    if since and until and since > until:
        raise BadAddressError(f"The last day ({until}) is before the first day ({since}).", "to")
    return since, until


def read_period(since_text: str, until_text: str, today: date) -> Days:
    """Read a period. The default is the last 30 days.

    :raises BadAddressError: a day is invalid, they are in the wrong order, or too far apart for a chart.
    """
    since, until = read_days(since_text, until_text)
    until = until or max(today, since or today)
    since = since or until - timedelta(USUAL_DAYS - 1)
    if (until - since).days >= MAX_DAYS:
        longest = until - timedelta(MAX_DAYS - 1)
        message = f"A page shows at most {MAX_DAYS} days. The first day can be {longest} or later."
        raise BadAddressError(message, "from")
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
