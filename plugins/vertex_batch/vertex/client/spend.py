"""Reads all rows of a period from ``/spend/logs/v2``, however many there are. Pure, for both clients.

LiteLLM sorts only by time and pages by offset, so rows of the same instant can swap between two pages. It
also stops counting at 10,000 rows. So a period that does not fit on one page is halved until it does; only
within a single second are several pages read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from vertex_batch.vertex.client.answers import JsonObject, SpendPage

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SpendWindow:
    """A period in whole seconds, both ends included, and the number of a page in it.

    :param since: UTC.
    :param until: UTC.
    """

    since: datetime
    until: datetime
    page: int = 1

    def halves(self) -> tuple[SpendWindow, SpendWindow] | None:
        """Split it at a whole second, which both halves include; None if it is too short."""
        seconds = (self.until - self.since) // _SECOND
        if seconds <= 1:
            return None
        middle = self.since + seconds // 2 * _SECOND
        return SpendWindow(self.since, middle), SpendWindow(middle, self.until)


class SpendReading:
    """Decides which window to read next, and which rows of its answer are new.

    It keeps the ids of at most two windows.
    """

    def __init__(self, since: datetime, until: datetime) -> None:
        first, last = since.astimezone(UTC), until.astimezone(UTC)
        if last.microsecond:
            last += _SECOND
        self._left = [SpendWindow(first.replace(microsecond=0), last.replace(microsecond=0))]
        self._before: set[str] = set()
        self._now: set[str] = set()

    def windows(self) -> Iterator[SpendWindow]:
        """Yield the windows in the order of time; `new_rows` adds those that follow."""
        while self._left:
            yield self._left.pop()

    def new_rows(self, window: SpendWindow, page: SpendPage) -> list[JsonObject]:
        """Return the rows of an answer that were in no earlier answer."""
        halves = None if page.is_last or window.page > 1 else window.halves()
        if halves:
            self._left += reversed(halves)
            return []
        if window.page == 1:
            self._before, self._now = self._now, set()
        if not page.is_last:
            self._left.append(replace(window, page=window.page + 1))
        new = []
        for row in page.rows:
            name = str(row.get("request_id") or "")
            if name and (name in self._before or name in self._now):
                continue
            self._now.add(name)
            new.append(row)
        return new
