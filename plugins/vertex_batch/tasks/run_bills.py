"""The bills of a run, and which of its jobs make its delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vertex_batch.costs import Bill
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.results import AttemptOutput, add_rounds, attempts_of, output_of
from vertex_batch.tasks.choices import retried_run
from vertex_batch.tasks.context import identity, pulled
from vertex_batch.tasks.shards import PartsReport
from vertex_batch.vertex.names import JobId

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.costs import CostTable


@dataclass(frozen=True, slots=True)
class RunBills:
    """The bills of a run.

    :param bills: of all its jobs.
    :param attempts: those of the jobs whose outputs are delivered, by attempt.
    :param sample: the run's part of the input if it is a sample.
    :param is_retry: the run has only sent rows of an earlier run again.
    """

    bills: Sequence[Bill]
    attempts: Mapping[int, Sequence[Bill]]
    sample: InputPart | None
    is_retry: bool

    @property
    def delivered(self) -> list[Bill]:
        return [bill for bills in self.attempts.values() for bill in bills]

    @property
    def counted_rows(self) -> int | None:
        """The rows of the input when its jobs were submitted; None if one did not count them."""
        rows = [bill.rows.input_rows for bill in self.attempts.get(0, ())]
        return None if None in rows else sum(n or 0 for n in rows)

    @property
    def outputs(self) -> list[AttemptOutput]:
        return [output_of(bill, attempt) for attempt, bills in self.attempts.items() for bill in bills]


class RecordedRun:
    """Finds what the tasks of a run have recorded.

    :param record_task_id: the task that recorded the bills of the first submission.
    :param retry_record_task_ids: those that recorded the bills of the rounds of retries, in order.
    """

    def __init__(
        self, context: Context, table: CostTable, record_task_id: str, retry_record_task_ids: Sequence[str]
    ) -> None:
        self._context, self._table = context, table
        self._record_task_id, self._retry_record_task_ids = record_task_id, retry_record_task_ids

    def find(self, parts: PartsReport) -> RunBills | None:
        """Find the bills; None if no job of the run has one.

        :param parts: of the run's planned input.
        """
        retried, own = retried_run(self._context), self._context["ti"].run_id
        first = self._bills(self._record_task_id, retried or own)
        if not first and not any(self._bills(each, own) for each in self._retry_record_task_ids):
            return None
        attempts = attempts_of(first, parts.results(first))
        rounds = [
            self._bills(task_id, run_id)
            for run_id in dict.fromkeys([retried or own, own])
            for task_id in self._retry_record_task_ids
        ]
        if retried:
            rounds.insert(-len(self._retry_record_task_ids), self._earlier_retries(retried, rounds))
        add_rounds(attempts, rounds)
        # An earlier run has no plan here.
        is_sample = any(bill.job.is_sample for bill in first)
        sample = parts.sample or (InputPart(PartKind.SAMPLE) if is_sample else None)
        bills = [*first, *(bill for bills in rounds for bill in bills)]
        return RunBills(bills, attempts, sample, is_retry=retried is not None)

    def _bills(self, record_task_id: str, run_id: str) -> list[Bill]:
        ti = self._context["ti"]
        keys = [
            JobId(job["project"], job["location"], job["job_id"])
            for recorded in pulled(ti, record_task_id, run_id=run_id if run_id != ti.run_id else None)
            for job in recorded.get("jobs", ())
            if {"project", "location", "job_id"} <= job.keys()
        ]
        # The XComs of a run can be written by people who may not see other DAGs.
        return [bill for bill in self._read(keys) if bill.job.dag_id == ti.dag_id]

    def _earlier_retries(self, run_id: str, rounds: Sequence[Sequence[Bill]]) -> list[Bill]:
        """The bills of other runs that have sent rows of the same run again."""
        known = {bill.job.key for bills in rounds for bill in bills}
        submit = f"{self._record_task_id.removesuffix('record_cost')}submit"
        label = replace(identity(self._context), run_id=run_id, task_id=submit).group_key
        found = self._table.sent_again(self._context["ti"].dag_id, [label])
        return self._read([each.job.key for each in found if each.job.key not in known])

    def _read(self, keys: Sequence[JobId]) -> list[Bill]:
        """The bills of some jobs, of which a shard each may be one, in one transaction."""
        with self._table.snapshot() as table:
            return [bill for key in keys if (bill := table.bill(key))]
