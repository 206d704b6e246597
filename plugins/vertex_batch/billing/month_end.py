"""What a month will have cost at its end, at the prices of the days to come."""

from __future__ import annotations

import calendar
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from vertex_batch.costs import Total, add_totals, total
from vertex_batch.errors import count_of
from vertex_batch.pricing import PriceBook, add, from_proxy, price
from vertex_batch.pricing.exact import times
from vertex_batch.usage import UsageKey

if TYPE_CHECKING:
    from vertex_batch.costs import CostTable, JobFilter

PACE_DAYS = 7
"""The days whose tokens are taken for each day to come; fewer if the first job is more recent."""
_CENT_OF_A_CENT = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class MonthEnd:
    """A month so far, and its probable end.

    :param so_far: what the bills of the month come to.
    :param at_end: the same with the days to come. It is rounded, since it is an estimate.
    :param pace_days: the days whose tokens were taken for each day to come.
    """

    so_far: Total
    at_end: Total
    pace_days: int = PACE_DAYS

    @property
    def is_early(self) -> bool:
        """Whether it rests on fewer days than usual."""
        return self.pace_days < PACE_DAYS

    def __str__(self) -> str:
        return (
            f"{self.so_far.rounded} so far; probably {self.at_end.rounded} at its end, with the tokens of the"
            f" last {count_of(self.pace_days, 'day')} at the prices of the days to come"
        )


def month_end(table: CostTable, where: JobFilter, day: date, *, book: PriceBook | None = None) -> MonthEnd:
    """Project the month of a day to its end.

    What a spec, a price file or the proxy has priced is expected to keep its price.

    :param where: which jobs; its days are replaced.
    :param day: the last day whose jobs are billed.
    :param book: the prices of all else; None: the packaged ones.
    """
    book = book or PriceBook(from_proxy(None))
    last = day.replace(day=calendar.monthrange(day.year, day.month)[1])
    month = replace(where, since=day.replace(day=1), until=day)
    so_far = add_totals(group.total for group in table.totals("day", where=month))
    first = table.first_day(where) or day
    days = max(1, min(PACE_DAYS, (day - first).days + 1))
    pace = replace(where, since=day - timedelta(days=days - 1), until=day)
    usage: dict[str, Counter[UsageKey]] = defaultdict(Counter)
    lists, agreed = {source.name for source in book.sources}, []
    for location, key, tokens, source, usd in table.priced_usage(pace):
        if usd is None or source in lists:
            usage[location][replace(key, priced_on=None)] += tokens
        else:
            agreed.append(times(tokens, usd))
    to_come = [day + timedelta(days=n) for n in range(1, (last - day).days + 1)]
    costs = [
        total([item for location, tokens in usage.items() for item in price(tokens, book, location, each)])
        for each in to_come
    ]
    whole = add_totals([*costs, Total(times(len(to_come), add(agreed)), complete=True)])
    rest = Total((whole.amount / days).quantize(_CENT_OF_A_CENT), whole.complete)
    return MonthEnd(so_far, add_totals([so_far, rest]), days)
