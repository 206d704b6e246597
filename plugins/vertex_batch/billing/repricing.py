"""Reprice recorded jobs from their stored token counts, without reading the outputs again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vertex_batch.billing.making import PRICE_CHANGE, is_about_prices, price_flags
from vertex_batch.costs.bill import UNKNOWN_MODEL, Bill, JobFacts, Total
from vertex_batch.pricing import Basis, LineItem, PriceBook, line_order, price
from vertex_batch.pricing.exact import times
from vertex_batch.pricing.line_items import LineOrder
from vertex_batch.usage import Tier, UsageKey
from vertex_batch.vertex.names import JobId

if TYPE_CHECKING:
    from vertex_batch.costs import CostTable, JobFilter


_NOT_SEPARATED = (
    ", and the tokens in the cost table are not separated by that day: recount the job, which reads when its"
    " rows were answered."
)


@dataclass(frozen=True, slots=True)
class Repriced:
    """The bill of a job as it was recorded, and at the prices of another price book."""

    bill: Bill
    priced: Bill

    @property
    def job(self) -> JobFacts:
        return self.bill.job

    @property
    def before(self) -> Total:
        return self.bill.total

    @property
    def after(self) -> Total:
        return self.priced.total

    @property
    def changed(self) -> bool:
        """Whether the sum differs, or whether all of it is known."""
        return self.before != self.after


def reprice(
    table: CostTable, book_of: Callable[[JobFacts], PriceBook], where: JobFilter, *, dry_run: bool = False
) -> Iterator[Repriced]:
    """Reprice jobs, one transaction each. Doing it twice changes nothing more.

    A cost that is unknown because rows are missing stays unknown. Replaced line items are kept in
    ``cost_price_history``.

    :param book_of: returns the prices of a job; for line items priced by a spec see `repriced`.
    :param dry_run: only compare; write nothing.
    """
    for bill in recorded(table, where):
        book = book_of(bill.job)
        if not dry_run:
            table.reprice(bill.job.key, lambda latest: repriced(latest, book_of(latest.job)))
        yield Repriced(bill, repriced(bill, book))


def recorded(table: CostTable, where: JobFilter) -> Iterator[Bill]:
    for group in table.totals("job", where=where):
        bill = table.bill(JobId(*group.group))
        if bill is not None:
            yield bill


def repriced(bill: Bill, book: PriceBook) -> Bill:
    """A bill at the rates of a book on the day on which the job ran, with the flags about these. Pure.

    Line items priced by a spec keep their price, unless the book has the spec's current prices.
    """
    keep_spec = not _has_spec(book)
    kept = {
        line_order(item): item
        for item in bill.line_items
        if (keep_spec and item.basis is Basis.SPEC) or (item.model == UNKNOWN_MODEL and not item.tokens)
    }
    lines = {line_order(item) for item in bill.line_items}
    rest = {key: n for key, n in bill.usage.items() if _line_of(key, lines) not in kept}
    for item in price(rest, book, bill.job.location, bill.ran_on):
        line = line_order(item)
        stated = kept.get(line)  # the book has no long-context rate any more
        kept[line] = (
            _at_price_of(replace(item, tokens=item.tokens + stated.tokens), stated) if stated else item
        )
    items = tuple(item for _, item in sorted(kept.items()))
    if items == tuple(bill.line_items):
        return bill
    other = [flag for flag in bill.flags if not is_about_prices(flag)]
    about_prices = price_flags(bill.job, book, rest, _not_separated(bill, book, rest), _NOT_SEPARATED)
    return replace(bill, line_items=items, flags=(*other, *about_prices))


def _not_separated(bill: Bill, book: PriceBook, usage: Mapping[UsageKey, int]) -> Mapping[UsageKey, int]:
    """The usage that may be of rows that were answered after a change of prices, which a recording or a
    recount would know: of a change that the prices of the bill did not have, or of rows without a time.
    """
    unknown = set(bill.job.price_days(book)) - {key.priced_on for key in bill.usage}
    if not unknown and not any(flag.startswith(PRICE_CHANGE) for flag in bill.flags):
        return {}
    return {key: n for key, n in usage.items() if key.priced_on is None}


def _line_of(key: UsageKey, lines: Collection[LineOrder]) -> LineOrder:
    """The line of a bill that has some usage: long-context rows may have been billed as standard ones."""
    own = line_order(key)
    return own if own in lines else line_order(replace(key, tier=Tier.STANDARD))


def keeping_spec_prices(items: Sequence[LineItem], earlier: Bill, book: PriceBook) -> list[LineItem]:
    """Newly counted line items, with the spec's prices of the earlier bill if the book has none. Pure."""
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
        list_digest=stated.list_digest,
    )


def _has_spec(book: PriceBook) -> bool:
    return any(source.is_spec for source in book.sources)
