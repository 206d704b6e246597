"""Price recorded jobs anew, from the tokens that were kept: nothing is read again from the outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from vertex_batch.costs.bill import UNKNOWN_MODEL, Bill, JobFacts, Total, total
from vertex_batch.costs.queries import JobFilter
from vertex_batch.costs.table import CostTable
from vertex_batch.pricing import Basis, LineItem, PriceBook, line_order, price
from vertex_batch.pricing.exact import times


@dataclass(frozen=True, slots=True)
class Repriced:
    """What a job costs by its bill, and by the price book that was asked.

    :param bill: as it was recorded.
    :param line_items: by the book.
    """

    bill: Bill
    line_items: Sequence[LineItem]

    @property
    def job(self) -> JobFacts:
        return self.bill.job

    @property
    def before(self) -> Total:
        return self.bill.total

    @property
    def after(self) -> Total:
        return total(self.line_items)

    @property
    def changed(self) -> bool:
        """Whether the sum differs, or whether all of it is known."""
        return self.before != self.after


def reprice(
    table: CostTable, book_of: Callable[[JobFacts], PriceBook], where: JobFilter, *, dry_run: bool = False
) -> Iterator[Repriced]:
    """Price jobs anew, one transaction each. Doing it twice changes nothing more.

    What was unknown for want of rows stays so. The line items that are replaced stay in
    ``cost_price_history``.

    :param book_of: the prices of a job; see `priced_anew` for what a spec has priced.
    :param dry_run: only compare: the bills against these prices.
    """
    for bill in recorded(table, where):
        book = book_of(bill.job)
        if not dry_run:
            table.replace_line_items(*bill.job.key, lambda latest: priced_anew(latest, book_of(latest.job)))
        yield Repriced(bill, priced_anew(bill, book))


def recorded(table: CostTable, where: JobFilter) -> Iterator[Bill]:
    """The bills of jobs, one after the other."""
    for group in table.totals("job", where=where):
        bill = table.bill(*group.group)
        if bill is not None:
            yield bill


def priced_anew(bill: Bill, book: PriceBook) -> list[LineItem]:
    """The line items of a bill at the rates of a book on the day on which the job ran. Pure.

    What a spec has priced keeps its price, unless the book has the spec's prices of today.
    """
    keep_spec = not _has_spec(book)
    keep = {
        line_order(item): item
        for item in bill.line_items
        if (keep_spec and item.basis is Basis.SPEC) or (item.model == UNKNOWN_MODEL and not item.tokens)
    }
    fresh = {line_order(item): item for item in price(bill.usage, book, bill.job.location, bill.ran_on)}
    return [item for _, item in sorted({**fresh, **keep}.items())]


def keeping_spec_prices(items: Sequence[LineItem], earlier: Bill, book: PriceBook) -> list[LineItem]:
    """Line items that were counted anew, at the spec's prices of a bill where the book has none. Pure."""
    if _has_spec(book):
        return list(items)
    stated = {line_order(item): item for item in earlier.line_items if item.basis is Basis.SPEC}
    return [_at_price_of(item, stated.get(line_order(item))) for item in items]


def _at_price_of(item: LineItem, stated: LineItem | None) -> LineItem:
    if stated is None or stated.unit_price_usd is None:
        return item
    return replace(
        item,
        unit_price_usd=stated.unit_price_usd,
        amount_usd=times(item.tokens, stated.unit_price_usd),
        basis=stated.basis,
        source=stated.source,
        price_date=stated.price_date,
        reason="",
    )


def _has_spec(book: PriceBook) -> bool:
    return any(source.is_spec for source in book.sources)
