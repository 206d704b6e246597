"""Reprice or recount jobs that are in the cost table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.billing.price_books import PriceBooks
from vertex_batch.billing.recounting import Recounter
from vertex_batch.billing.repricing import reprice
from vertex_batch.billing.spec_settings import spec_prices
from vertex_batch.costs import JobFilter, in_full, usd
from vertex_batch.hooks.bigquery import read_table
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import DEFAULT_CONN_ID, open_storage
from vertex_batch.operators.base import ProxyOperator
from vertex_batch.pricing import add
from vertex_batch.tasks.outcome import explained
from vertex_batch.vertex.names import parse_job_names

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.costs import Bill, CostTable, JobFilter, Total
    from vertex_batch.vertex.client import BatchClient

MAX_REPORTED = 100


class RecordedJobsOperator(ProxyOperator):
    """The base of operators on recorded jobs, chosen by day, spec, team or id. All fields are templates.

    :param since: first day, such as ``2026-11-01``.
    :param until: last day, inclusive.
    :param spec: jobs of this spec.
    :param team: jobs of this team.
    :param job_ids: ids or names of jobs, or addresses of their pages, separated by blanks or commas.
    :param only_compare: ``true``: write nothing.
    :param specs_folder: the job specs, whose prices come first.
    :param price_folder: price files for all specs, which come next; then the proxy's prices.
    :returns: how many jobs were checked, how many differ and by how much, and the first 100 that differ.
    """

    template_fields: Sequence[str] = (
        "since",
        "until",
        "spec",
        "team",
        "job_ids",
        "only_compare",
        "litellm_conn_id",
        "gcp_conn_id",
        "batch_costs_conn_id",
    )
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        since: str = "",
        until: str = "",
        spec: str = "",
        team: str = "",
        job_ids: str = "",
        only_compare: str | bool = False,
        specs_folder: str | None = None,
        price_folder: str | None = None,
        gcp_conn_id: str = DEFAULT_CONN_ID,
        batch_costs_conn_id: str = CostTableHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.since, self.until, self.spec, self.team = since, until, spec, team
        self.job_ids, self.only_compare = job_ids, only_compare
        self.specs_folder, self.price_folder = specs_folder, price_folder
        self.gcp_conn_id = gcp_conn_id
        self.batch_costs_conn_id = batch_costs_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        with explained(context, self.log):
            where = self._where()
            table = CostTableHook(self.batch_costs_conn_id).table()
            with LiteLLMHook(self.litellm_conn_id).client() as client:
                prices = spec_prices(Path(self.specs_folder)) if self.specs_folder else {}
                books = PriceBooks(client, self.price_folder, prices)
                books.check()
                return self._do(client, table, books, where)

    @abstractmethod
    def _do(
        self, client: BatchClient, table: CostTable, books: PriceBooks, where: JobFilter
    ) -> dict[str, Any]: ...

    @property
    def _only_compares(self) -> bool:
        return str(self.only_compare).strip().lower() == "true"

    def _where(self) -> JobFilter:
        names = parse_job_names(self.job_ids)
        since, until = _day("since", self.since), _day("until", self.until)
        if since and until and since > until:
            raise AirflowFailException(
                f"The first day, {since}, is after the last day, {until}. Nothing was changed."
            )
        if not (since or until or self.spec or self.team or names):
            raise AirflowFailException(
                "No jobs were selected. Fill in days, a spec, a team or job ids. Nothing was changed."
            )
        chosen = frozenset(names) if names else None
        return JobFilter(spec=self.spec, team=self.team, since=since, until=until, named=chosen)

    def _summary(self, pairs: Sequence[tuple[Bill, Total, bool]]) -> dict[str, object]:
        """Summarize each job's bill before, its sum after, and whether it changed."""
        changed = [(bill, after) for bill, after, differs in pairs if differs]
        for bill, after in changed:
            self.log.info("Job %s: %s -> %s", bill.job, bill.total, after)
        difference = add(each for bill, after in changed for each in (after.amount, -bill.total.amount))
        self.log.info("%d of %d jobs differ, by %s", len(changed), len(pairs), usd(difference))
        return {
            "dry_run": self._only_compares,
            "jobs": len(pairs),
            "changed": len(changed),
            "difference_usd": in_full(difference),
            "first_changed": [
                {
                    "job_id": bill.job.job_id,
                    "before_usd": bill.total.text,
                    "after_usd": after.text,
                    "complete": after.complete,
                }
                for bill, after in changed[:MAX_REPORTED]
            ],
        }


class RepriceJobsOperator(RecordedJobsOperator):
    """Reprice recorded jobs from the tokens in the cost table. Outputs are not read.

    The prices are those that recording would use today. Replaced line items stay in ``cost_price_history``.
    Repricing twice changes nothing more. If the proxy's prices cannot be read, nothing is changed.
    """

    def _do(
        self, client: BatchClient, table: CostTable, books: PriceBooks, where: JobFilter
    ) -> dict[str, Any]:
        del client
        jobs = list(reprice(table, books.book_of, where, dry_run=self._only_compares))
        return self._summary([(job.bill, job.after, job.changed) for job in jobs])


class RecountJobsOperator(RecordedJobsOperator):
    """Recount the rows of recorded jobs from their outputs, and price them as recording would today.

    A bill whose output is gone is kept, and fails the task after all others are counted.

    :param gcp_conn_id: the connection that reads the outputs.
    """

    def _do(
        self, client: BatchClient, table: CostTable, books: PriceBooks, where: JobFilter
    ) -> dict[str, Any]:
        recounter = Recounter(
            client,
            lambda: open_storage(self.gcp_conn_id),
            table,
            books,
            read_table=lambda uri: read_table(uri, self.gcp_conn_id),
            log=self.log,
        )
        jobs = list(recounter.recount(where, dry_run=self._only_compares))
        summary = self._summary([(job.before, job.after.total, job.changed) for job in jobs])
        problems = [job.problem for job in jobs if job.problem]
        if problems:
            raise AirflowFailException(
                f"{len(problems)} of {len(jobs)} bills were kept: {'; '.join(problems[:MAX_REPORTED])}."
                " The others were recounted. A retry recounts all of them, which changes nothing more."
            )
        return summary


def _day(name: str, text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        raise AirflowFailException(
            f"`{name}` is {text!r}, not a valid day. Use a form such as 2026-11-01. Nothing was changed."
        ) from None
