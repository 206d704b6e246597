"""Price recorded jobs anew, from the tokens that were kept: nothing is read again from the outputs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from vertex_batch.costs.bill import UNKNOWN_MODEL, Bill, Total, total
from vertex_batch.costs.queries import JobFilter
from vertex_batch.costs.table import CostTable
from vertex_batch.pricing import Basis, LineItem, PriceBook, line_order, price


@dataclass(frozen=True, slots=True)
class Repriced:
    """What a job costs by its bill, and by the price book that was asked."""

    project: str
    location: str
    job_id: str
    before: Total
    after: Total

    @property
    def changed(self) -> bool:
        return self.before != self.after


def reprice(
    table: CostTable, book: PriceBook, since: date, until: date, *, dry_run: bool = False
) -> Iterator[Repriced]:
    """Price the jobs of these days anew, one transaction each. Doing it twice changes nothing more.

    What a spec has priced keeps its price, and what was unknown for want of rows stays so. The line items
    that are replaced stay in ``cost_price_history``.

    :param since: first day, inclusive. :param until: last day, inclusive.
    :param dry_run: only compare: the bills against this price book.
    """
    for group in table.totals("job", where=JobFilter(since=since, until=until)):
        project, location, job_id = group.group
        bill = table.bill(project, location, job_id)
        if bill is None:
            continue
        if not dry_run:
            table.replace_line_items(project, location, job_id, lambda b: priced_anew(b, book))
        yield Repriced(project, location, job_id, bill.total, total(priced_anew(bill, book)))


def priced_anew(bill: Bill, book: PriceBook) -> list[LineItem]:
    """The line items of a bill at the rates of a book. Pure."""
    keep = {
        line_order(item): item
        for item in bill.line_items
        if item.basis is Basis.SPEC or (item.model == UNKNOWN_MODEL and not item.tokens)
    }
    fresh = {line_order(item): item for item in price(bill.usage, book, bill.job.location)}
    return [item for _, item in sorted({**fresh, **keep}.items())]
