"""Count the rows of recorded jobs again, from their outputs. Does not depend on Airflow.

Use it after a counting bug was fixed, or after an output was completed or repaired. Nothing is lost: a bill
whose output no longer exists is kept, and line items that change are kept as history.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vertex_batch.billing.making import VERTEX_COUNTS, make_bill
from vertex_batch.billing.outputs import OutputReader, ReadOutput, ReadTable
from vertex_batch.billing.recording import with_job
from vertex_batch.billing.repricing import keeping_spec_prices, recorded
from vertex_batch.costs import Bill
from vertex_batch.costs.bill import UNKNOWN_MODEL
from vertex_batch.errors import NotFoundError, count_of
from vertex_batch.vertex.client import BatchClient

if TYPE_CHECKING:
    from vertex_batch.billing.price_books import Books
    from vertex_batch.costs import CostTable, JobFilter
    from vertex_batch.log import Log
    from vertex_batch.vertex.resource import BatchPredictionJob


@dataclass(frozen=True, slots=True)
class Recounted:
    """A job's bill before and after its rows were counted again.

    :param problem: why the rows could not be counted; then the bill is kept.
    """

    before: Bill
    after: Bill
    problem: str = ""

    @property
    def changed(self) -> bool:
        """Whether rows, tokens or the sum differ."""
        return _figures(self.before) != _figures(self.after)


class Recounter:
    """Reads outputs again into the cost table.

    :param client: the proxy, to read Vertex's counts; None: they are not compared again.
    :param books: the prices. Line items priced by a spec keep their price if the books lack that spec.
    """

    def __init__(
        self,
        client: BatchClient | None,
        open_storage: Callable[[], Any],
        table: CostTable,
        books: Books,
        *,
        read_table: ReadTable | None = None,
        log: Log | None = None,
    ) -> None:
        self._client, self._table, self._books = client, table, books
        self._log: Log = log or logging.getLogger(__name__)
        self._outputs = OutputReader(open_storage, self._log, read_table)

    def recount(self, where: JobFilter, *, dry_run: bool = False) -> Iterator[Recounted]:
        """Count jobs again, one by one, each in one transaction. Doing it twice changes nothing.

        :param dry_run: only compare; write nothing.
        """
        for before in recorded(self._table, where):
            found = self._count(before)
            if not dry_run and not found.problem:
                self._table.record(found.after)
            yield found

    def _count(self, before: Bill) -> Recounted:
        job = self._job(before)
        if job and not job.state.is_terminal:
            return Recounted(before, before, f"job {before.job} is {job.state} and has not ended")
        facts = with_job(before.job, job) if job else before.job
        book = self._books.book_of(facts)
        read = self._outputs.read(facts, book.thresholds(), job, price_days=facts.price_days(book))
        if read.problem or not read.scan.rows:
            return Recounted(before, before, _why_it_stays(before, read))
        stats = job.completion_stats if job else None
        if stats is None and (fewer := before.rows.total - read.scan.rows) > 0:
            rows = count_of(fewer, "row")
            where = f"job {facts}: {facts.output_directory} holds {rows} fewer than its bill"
            return Recounted(before, before, f"{where}, and the row counts of Vertex are not known")
        after = make_bill(
            facts,
            read.scan,
            book,
            stats=stats,
            input_rows=before.rows.input_rows if read.input_rows is None else read.input_rows,
            flags=() if job else _still_true(before, read, before.flags),
            unknown=read.unknown if job else (*read.unknown, *_still_true(before, read, _unknown(before))),
        )
        items = keeping_spec_prices(after.line_items, before, book)
        return Recounted(before, replace(after, line_items=tuple(items)))

    def _job(self, bill: Bill) -> BatchPredictionJob | None:
        if self._client is None:
            return None
        try:
            return self._client.get(*bill.job.key)
        except NotFoundError:
            self._log.info("Job %s was deleted in Vertex; reading its recorded output", bill.job)
            return None


def _why_it_stays(bill: Bill, read: ReadOutput) -> str:
    if read.problem:
        own = read.problem.place == bill.job.output_directory
        which = f"the output of job {bill.job}" if own else f"the output at {read.problem.place}"
        return f"{which} no longer exists: {read.problem.reason}"
    if read.unknown:
        return f"job {bill.job}: {read.unknown[0]}"
    where = (
        f"{bill.job.output_directory} holds no rows" if bill.job.output_directory else "there is no output"
    )
    return "" if not bill.rows.total else f"job {bill.job}: {where}"


def _still_true(bill: Bill, read: ReadOutput, texts: Iterable[str]) -> list[str]:
    """Texts about Vertex's counts, if the rows are the same and the counts cannot be read again."""
    same = (bill.rows.ok, bill.rows.failed) == (read.scan.ok, read.scan.failed)
    return [text for text in texts if same and text.startswith(VERTEX_COUNTS)]


def _unknown(bill: Bill) -> list[str]:
    """Why a part of a bill is unknown."""
    return [
        text for item in bill.line_items if item.model == UNKNOWN_MODEL for text in item.reason.split("; ")
    ]


def _figures(bill: Bill) -> tuple[object, ...]:
    return bill.rows, dict(bill.usage), bill.total
