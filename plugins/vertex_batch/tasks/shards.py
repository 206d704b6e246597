"""The bill of a run whose input was split, or that ran only a sample."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from vertex_batch.billing.projection import project
from vertex_batch.costs import Bill, total
from vertex_batch.errors import count_of
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.log import Log
from vertex_batch.tasks.context import PART_XCOM

if TYPE_CHECKING:
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


class PartsReport:
    """Reports on a run whose input was split or sampled.

    :param plan_task_id: the task that planned the input. None if the input is never split or sampled.
    """

    def __init__(self, ti: RuntimeTaskInstanceProtocol, plan_task_id: str | None, log: Log) -> None:
        self._log = log
        self._parts = planned_parts(ti, plan_task_id) if plan_task_id else []
        self.sample = next((part for part in self._parts if part.kind is PartKind.SAMPLE), None)

    def report(
        self, bills: Sequence[Bill], row_costs: Callable[[Bill], Sequence[Decimal]]
    ) -> dict[str, object]:
        """Report on the bills, in the log and as plain data; empty for a run of one ordinary job.

        :param row_costs: returns the cost of each row of a bill.
        """
        if self.sample and self.sample.of_rows:
            return self._projection(self.sample, self.sample.of_rows, bills, row_costs)
        if self._parts and self._parts[0].kind is PartKind.SHARD:
            return self._sum(bills)
        return {}

    def results(self, bills: Sequence[Bill]) -> list[Bill]:
        """The bills of the jobs whose outputs are the run's results.

        Jobs that were replaced by a later submission or a later plan are billed but not among them.
        """
        last = last_bills(bills).values()
        # Without a plan, or if it is gone, every job counts.
        return [bill for bill in last if not self._parts or 0 <= bill.job.map_index < len(self._parts)]

    def _sum(self, bills: Sequence[Bill]) -> dict[str, object]:
        """Check that all shards ran with all their rows; their sum is the run's bill."""
        problems = check_shards(self._parts, last_bills(bills))
        whole, rows = total([item for bill in bills for item in bill.line_items]), self._parts[0].of_rows
        self._log.info("%s of %s rows cost %s", count_of(len(self._parts), "shard"), f"{rows:,}", whole)
        for problem in problems:
            self._log.warning("%s", problem)
        return {"shards": len(self._parts), "rows": rows, "problems": problems}

    def _projection(
        self,
        sample: InputPart,
        of_rows: int,
        bills: Sequence[Bill],
        row_costs: Callable[[Bill], Sequence[Decimal]],
    ) -> dict[str, object]:
        """Estimate the cost of the whole input from its sample."""
        bill = max(bills, key=lambda each: each.job.create_time or each.recorded_at)
        projection = project(bill, row_costs(bill), of_rows)
        if projection is None:
            self._log.warning("No row of %s was answered, so the cost of all rows is unknown", sample)
            return {"sample": str(sample), "projection": None}
        self._log.info("This was %s. %s", sample, projection)
        return {"sample": str(sample), "projection": projection.to_dict()}


def planned_parts(ti: RuntimeTaskInstanceProtocol, plan_task_id: str) -> list[InputPart]:
    """The run's planned input: its shards, else the one part; empty if the plan is gone.

    Shards of a large plan have their rows, but not their URIs.
    """
    parts = [
        part for data in ti.xcom_pull(task_ids=plan_task_id) or () if (part := InputPart.from_dict(data))
    ]
    if not any(part.is_reference for part in parts):
        return parts
    one = InputPart.from_dict(ti.xcom_pull(task_ids=plan_task_id, key=PART_XCOM))
    if one is None:
        return []
    pairs = zip(parts, one.shard_rows, strict=True)
    return [replace(part, rows=rows, of_rows=one.of_rows) for part, rows in pairs]


def check_shards(parts: Iterable[InputPart], bills: Mapping[int, Bill]) -> list[str]:
    """Compare the planned shards with the jobs that read them. Return each mismatch as a sentence.

    :param bills: the last bill of each shard, by its map index.
    """
    shards = [part for part in parts if part.kind is PartKind.SHARD]
    problems = []
    for part in shards:
        bill = bills.get(part.number - 1)
        if bill is None:
            problems.append(f"{part} has no job, so {part.rows:,} rows did not run")
        elif not bill.rows.ok:
            problems.append(f"no row of {part} was answered; clear its submit task to run it again")
        elif bill.rows.input_rows not in (None, part.rows):
            problems.append(
                f"{part} was written with {part.rows:,} rows, but its job read {bill.rows.input_rows:,}"
            )
    planned = sum(part.rows or 0 for part in shards)
    of_rows = shards[0].of_rows if shards else 0
    if planned != of_rows:
        problems.append(f"the input has {of_rows:,} rows, but the shards have {planned:,}")
    answered = sum(bill.rows.total for bill in bills.values())
    if shards and answered != planned:
        problems.append(f"the shards have {planned:,} rows, but their outputs have {answered:,}")
    return problems


def last_bills(bills: Sequence[Bill]) -> dict[int, Bill]:
    """The bill of the last job of each map index. Earlier jobs were cleared or resubmitted."""
    return {bill.job.map_index: bill for bill in sorted(bills, key=lambda each: each.job.created_at)}
