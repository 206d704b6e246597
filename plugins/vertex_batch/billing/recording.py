"""Record the cost of a job: see that it has ended, scan its output, price it, write its bill. No Airflow.

A bill is written for every job that was created, however it ended: finished rows of a cancelled or failed job
are billed. A cost that can no longer be known is on the bill as unknown, never as 0.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.outputs import OutputReader, ReadTable
from vertex_batch.billing.price_books import Books
from vertex_batch.costs import Bill, JobFacts, total
from vertex_batch.errors import NotFoundError, OutputMissingError, StillRunningError
from vertex_batch.lifecycle.cancelling import cancel_and_confirm
from vertex_batch.lifecycle.ownership import check_run
from vertex_batch.log import Log
from vertex_batch.pricing import PriceBook, price
from vertex_batch.usage import ScanResult
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.resource import DELETED, STATES_WITH_RESULTS, BatchPredictionJob

if TYPE_CHECKING:
    from vertex_batch.costs import CostTable

REASONS_SHOWN = 5
"""The most reasons that a message shows for a job without an answer; the bill has all of them."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A bill in the cost table, and its problem, if any.

    :param problem: the caller raises it after all bills were written.
    """

    bill: Bill
    problem: OutputMissingError | None = None


class Recorder:
    """Writes bills into one cost table.

    :param open_storage: opens the filesystem with the outputs; called only when there is one to read.
    :param read_table: see `OutputReader`.
    """

    def __init__(
        self,
        client: BatchClient,
        open_storage: Callable[[], Any],
        table: CostTable,
        books: Books,
        *,
        read_table: ReadTable | None = None,
        log: Log | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._books = books
        self._log: Log = log or logging.getLogger(__name__)
        self._outputs = OutputReader(open_storage, self._log, read_table)

    def record(
        self,
        facts: JobFacts,
        *,
        may_cancel: bool = True,
        input_rows: int | None = None,
        first_try: int | None = None,
    ) -> Recorded:
        """Bill one job. Doing it twice changes nothing.

        :param facts: the task that submitted the job, and its project, location and id; the rest is read
            from Vertex.
        :param may_cancel: cancel the job if it is still running, since no task waits for it.
        :param input_rows: see `OutputReader.read`.
        :param first_try: number of the first try of the recording task. If one of its tries has made a
            complete bill of the job in its present state, that bill stays and nothing is read. None: the
            output is always read.
        :raises CancelNotConfirmedError: the job was cancelled but has not ended; a retry continues.
        :raises OtherRunsJobError: another run submitted the job, and bills it.
        :raises StillRunningError: the job is still running and must not be cancelled.
        """
        try:
            job = self._ended(facts, may_cancel=may_cancel)
        except NotFoundError:
            return self._record_deleted(facts)
        if facts.input_uris not in ((), job.input_uris):
            # A cleared task has adopted a job that resumed another one: it reads its output.
            input_rows = None
        facts, earlier = with_job(facts, job), self._table.bill(facts.key)
        if earlier and first_try is not None and is_settled(earlier, facts, first_try):
            self._log.info("Job %s already has a bill from an earlier try", facts)
            return Recorded(earlier)
        book = self._books.book_of(facts)
        days = facts.price_days(book)
        read = self._outputs.read(facts, book.thresholds(), job, input_rows, days)
        if read.problem and earlier and earlier.rows.total:
            self._log.warning("The earlier bill of job %s is kept: %s", facts, read.problem)
            return Recorded(earlier, read.problem)
        bill = make_bill(
            facts,
            read.scan,
            book,
            stats=job.completion_stats,
            input_rows=read.input_rows,
            unknown=read.unknown,
        )
        self._table.record(bill)
        return Recorded(bill, read.problem)

    def row_costs(self, bill: Bill) -> list[Decimal]:
        """The cost of each row of a sample; 0 for one that failed or has no price."""
        book = self._books.book_of(bill.job)
        rows = self._outputs.usage_by_row(bill.job, book.thresholds()) if bill.rows.total else ()
        return [total(price(usage, book, bill.job.location, bill.ran_on)).amount for usage in rows]

    def _ended(self, facts: JobFacts, *, may_cancel: bool) -> BatchPredictionJob:
        job = self._client.get(*facts.key)
        check_run(job, facts.dag_id, facts.run_id)
        if job.state.is_terminal:
            return job
        if not may_cancel:
            raise StillRunningError(str(facts), job.state)
        self._log.warning("No task waits for job %s, which is %s: it has to end now", facts, job.state)
        return cancel_and_confirm(self._client, facts.key)

    def _record_deleted(self, facts: JobFacts) -> Recorded:
        earlier = self._table.bill(facts.key)
        if earlier:
            self._log.info("Job %s was deleted; its earlier bill is kept", facts)
            return Recorded(earlier)
        reason = "the job was deleted before its bill was recorded"
        bill = make_bill(replace(facts, state=DELETED), ScanResult(), PriceBook(()), unknown=[reason])
        self._table.record(bill)
        return Recorded(bill)


def why_no_answers(bills: Sequence[Bill]) -> str | None:
    """Explain that no row of a run was answered; None if one was. Pure.

    Rows that a resumed job copied from an earlier output count as answers. If no job of a run succeeded, its
    waiting task reports the reason.

    :param bills: of the jobs whose outputs are the run's results.
    """
    if any(bill.rows.ok for bill in bills):
        return None
    succeeded = [bill for bill in bills if bill.job.state in STATES_WITH_RESULTS]
    if not succeeded:
        return None
    found = " ".join(_unanswered(bill) for bill in succeeded)
    return (
        f"No row of this run was answered. {found} Failed rows are not billed."
        " A retry of this task reads the same outputs and fails the same way. Fix the causes named above,"
        " then clear the submit task to run the batch again. Only rows that are answered then are billed."
    )


def _unanswered(bill: Bill) -> str:
    """What happened to the rows of a job without an answer, and why, the most frequent reasons first."""
    rows = bill.rows
    counts = {"failed": rows.failed, "unreadable": rows.unreadable, "missing from the output": rows.missing}
    what = ", ".join(f"{n:,} {name}" for name, n in counts.items() if n) or (
        "its output has no rows" if bill.job.output_directory else "Vertex reports no output"
    )
    reasons = sorted(bill.failed_reasons.items(), key=lambda each: -each[1])
    why = [f"{reason} ({n:,})" for reason, n in reasons[:REASONS_SHOWN]]
    why += [str(problem) for problem in bill.problems[: REASONS_SHOWN - len(why)]]
    because = f" Reasons: {'; '.join(why)}." if why else ""
    return f"Job {bill.job} ({bill.job.state}): {what}.{because} It cost {bill.total}."


def is_settled(bill: Bill, facts: JobFacts, first_try: int) -> bool:
    """Whether reading a job's output again would change nothing.

    :param bill: the bill in the cost table.
    :param facts: the job as Vertex has it now, and the task that records it.
    :param first_try: number of the first try since the task was cleared; a cleared task records again.
    """
    made = bill.job
    by_this_task = (made.dag_id, made.run_id, made.task_id) == (facts.dag_id, facts.run_id, facts.task_id)
    earlier = first_try <= (made.try_number or 0) < (facts.try_number or 0)
    same = (made.state, made.end_time, made.output_directory) == (
        facts.state,
        facts.end_time,
        facts.output_directory,
    )
    complete = bill.total.complete and bill.rows.total > 0 and not bill.rows.unreadable
    return by_this_task and earlier and same and complete


def with_job(facts: JobFacts, job: BatchPredictionJob) -> JobFacts:
    """Update the facts of a job with those from Vertex."""
    return replace(
        facts,
        display_name=job.display_name,
        model=job.model or facts.model,
        state=job.state.value,
        error_code=job.error.code if job.error else None,
        error_message=job.error.message if job.error else "",
        labels=job.labels,
        team=facts.team or job.labels.get("team", ""),
        input_uris=job.input_uris or facts.input_uris,
        output_directory=job.output_directory or job.output_table or "",
        create_time=job.create_time,
        start_time=job.start_time,
        end_time=job.ended_at,
    )
