"""Models of recorded jobs that stop, and what their successors would have cost for the same tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from vertex_batch.costs import Total, total
from vertex_batch.pricing import PriceBook, Retirement, Stage, from_proxy, price, retirement_of
from vertex_batch.usage import UsageKey

if TYPE_CHECKING:
    from vertex_batch.costs import CostTable, JobFilter

USAGE_DAYS = 30
"""The days whose tokens a successor is priced on."""


@dataclass(frozen=True, slots=True)
class EndingModel:
    """A model of recent jobs that stops, or may have stopped.

    :param paid: what its jobs cost in the last `USAGE_DAYS` days.
    :param successors: what the same tokens would cost today with each successor; a successor that counts
        tokens in another way, or thinks longer, costs another amount.
    """

    retirement: Retirement
    paid: Total
    successors: Mapping[str, Total]

    def describe(self, day: date) -> str:
        """The model's end, what it cost, and what its successors would have cost."""
        costs = [f"{name} {cost.rounded}" for name, cost in self.successors.items()]
        instead = f"; today the same tokens would cost with {', with '.join(costs)}" if costs else ""
        paid = f"Its jobs of the last {USAGE_DAYS} days cost {self.paid.rounded}"
        return f"{self.retirement.describe(day)}. {paid}{instead}"


def ending_models(
    table: CostTable, where: JobFilter, day: date, *, book: PriceBook | None = None
) -> list[EndingModel]:
    """Find the models of the last days' jobs that stop, the first to stop first.

    :param where: which jobs; its days are replaced.
    :param day: today, whose prices the successors have.
    :param book: the prices; None: the packaged ones.
    """
    of_days = replace(where, since=day - timedelta(days=USAGE_DAYS - 1), until=day)
    paid_by_model = {group.group[0]: group.total for group in table.totals("model", where=of_days)}
    ends = {model: (retirement_of(model), paid) for model, paid in paid_by_model.items()}
    ending = {
        model: (end, paid)
        for model, (end, paid) in ends.items()
        if end is not None and end.stage(day) is not Stage.CURRENT
    }
    if not ending:
        return []
    book = book or PriceBook(from_proxy(None))
    usage: dict[str, dict[str, dict[UsageKey, int]]] = defaultdict(lambda: defaultdict(dict))
    for location, key, tokens in table.usage(of_days, frozenset(ending)):
        usage[key.model][location][key] = tokens
    found = [
        EndingModel(end, paid, {name: _cost(usage[model], name, book, day) for name in end.successors})
        for model, (end, paid) in ending.items()
    ]
    return sorted(found, key=lambda each: (each.retirement.last_day, each.retirement.model))


def _cost(usage: Mapping[str, Mapping[UsageKey, int]], model: str, book: PriceBook, day: date) -> Total:
    """What tokens would cost with another model."""
    items = []
    for location, tokens in usage.items():
        of_model = Counter[UsageKey]()
        for key, count in tokens.items():
            of_model[replace(key, model=model, priced_on=None)] += count
        items += price(of_model, book, location, day)
    return total(items)
