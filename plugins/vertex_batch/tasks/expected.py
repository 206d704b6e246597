"""Compares the expected cost of a run's jobs with their actual cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vertex_batch import budgets
from vertex_batch.budgets import Estimate
from vertex_batch.costs import Bill, Total, add_totals, in_full
from vertex_batch.errors import VertexBatchError
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.log import Log
from vertex_batch.pricing import add
from vertex_batch.tasks.context import map_index
from vertex_batch.vertex.resource import JobState

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.budgets import Ledger, StoredEstimate
    from vertex_batch.costs import CostTable


class ExpectedCosts:
    """The estimates in one cost table. A missing or unreadable estimate never fails the billing."""

    def __init__(self, batch_costs_conn_id: str, log: Log) -> None:
        self._conn_id, self._log = batch_costs_conn_id, log

    def compare(self, bills: Sequence[Bill]) -> dict[str, dict[str, object]]:
        """By job id: expected, low and high in US dollars, and whether the bill is outside that range."""
        try:
            found = self._ledger.of_jobs([bill.job.key for bill in bills])
        except VertexBatchError as error:
            self._log.warning("Could not read the jobs' expected costs: %s", error)
            return {}
        return {
            bill.job.job_id: self._compared(bill, found[bill.job.key])
            for bill in bills
            if bill.job.key in found
        }

    def release(self, context: Context, task_id: str) -> None:
        """Release what a submit task reserved for jobs that were never created."""
        ti, index = context["ti"], map_index(context)
        try:
            self._ledger.release(ti.dag_id, ti.run_id, task_id, None if index < 0 else index)
        except VertexBatchError as error:
            self._log.warning(
                "Could not release the job's budget; it stays reserved for some days: %s", error
            )

    @cached_property
    def table(self) -> CostTable:
        """The cost table, opened at first use."""
        return CostTableHook(self._conn_id).table()

    @cached_property
    def _ledger(self) -> Ledger:
        return budgets.Ledger(self.table)

    def _compared(self, bill: Bill, stored: StoredEstimate) -> dict[str, object]:
        estimate, cost = stored.estimate, bill.total.amount
        outside = stored.compare(bill)
        if outside:
            self._log.warning("Job %s cost %s, %s", bill.job, bill.total, outside)
        return {
            "expected_usd": estimate.expected.text,
            "low_usd": in_full(estimate.low),
            "high_usd": in_full(estimate.high),
            "expected_is_complete": estimate.expected.complete,
            "outside_expectation": outside,
            "over_expectation": estimate.expected.complete and cost > estimate.high,
        }


def outcome_of(bills: Sequence[Bill], compared: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what all jobs together were expected to cost, and how their bills compare; empty if one is unknown.

    :param compared: of `ExpectedCosts.compare`.
    """
    known = [compared[bill.job.job_id] for bill in bills if bill.job.job_id in compared]
    if len(known) < len(bills):
        return ""
    expected, low, high = (
        add(Decimal(each[f"{name}_usd"]) for each in known) for name in ("expected", "low", "high")
    )
    whole = Estimate(Total(expected, all(each["expected_is_complete"] for each in known)), low, high)
    outcome = whole.outcome(
        add_totals(bill.total for bill in bills),
        has_ended_well=all(bill.job.state == JobState.SUCCEEDED for bill in bills),
        failed=sum(bill.rows.failed for bill in bills),
    )
    if not whole.expected.is_known:
        return ""
    return f" (expected {whole.expected}){f', {outcome}' if outcome else ''}"
