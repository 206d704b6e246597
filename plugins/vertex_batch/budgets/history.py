"""The earlier jobs of a task, from the cost table: what an estimate is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from sqlalchemy import Connection, Row, func, select  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.budgets.past import PastJob, SameRows, usable
from vertex_batch.costs.bill import Total
from vertex_batch.costs.delivery_queries import is_of_runs
from vertex_batch.costs.rows import read_usage_key
from vertex_batch.costs.schema import JOB_KEY, deliveries, estimates, jobs, same_job, usage
from vertex_batch.costs.table import CostTable
from vertex_batch.usage import canonical_model, was_not_run
from vertex_batch.vertex.labels import GROUP_KEY_LABEL, SAMPLE_LABEL

_CANDIDATES = 50
_TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class NewRows:
    """The rows that a new job would run, by which an earlier job is recognized that ran the same ones.

    :param uris: of its input, as they are requested.
    :param written: when the objects of the input were written, each; None: unknown.
    :param count: of the whole input; None: not counted.
    :param run_id: if rows are sent again, the run that sent them before; empty: that of `group_key`.
    :param group_key: the label of the jobs of that run.
    :param first_task: if rows are sent again, the task that submitted all rows; empty: they are not.
    """

    uris: Sequence[str] = ()
    written: Sequence[datetime | None] = ()
    count: int | None = None
    run_id: str = ""
    group_key: str = ""
    first_task: str = ""

    def compare(self, job: Row[Any]) -> SameRows:
        """Whether a recorded job ran these rows. What is not certain is not the same."""
        if self.first_task:
            key = self.group_key
            again = job.labels.get(GROUP_KEY_LABEL) == key if key else job.run_id == self.run_id
            return SameRows.SENT_AGAIN if again else SameRows.NO
        moments = [each for each in self.written if each]
        is_known = job.create_time and moments and len(moments) == len(self.written)
        if not is_known or job.create_time < max(moments):
            return SameRows.NO
        if job.input_uris == list(self.uris):
            return SameRows.WHOLE
        is_sample = self.count and job.labels.get(SAMPLE_LABEL, "").endswith(f"-of-{self.count}")
        return SameRows.SAMPLE if is_sample else SameRows.NO


@dataclass(frozen=True, slots=True)
class _Delivered:
    """The share of rows whose answer was cut, by run and the group of its tasks."""

    shares: Mapping[tuple[str, str], Fraction] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: Connection, found: Sequence[Row[Any]]) -> _Delivered:
        runs = {(job.dag_id, job.run_id) for job in found if job.run_id}
        rows = connection.execute(select(deliveries).where(is_of_runs(deliveries, runs))) if runs else ()
        return cls(
            {
                (each.run_id, _group(each.task_id)): Fraction(
                    each.reasons.get(_TRUNCATED, 0), each.input_rows
                )
                for each in rows
                if each.input_rows
            }
        )

    def share(self, job: Row[Any]) -> Fraction | None:
        return self.shares.get((job.run_id, _group(job.task_id)))


def past_jobs(
    table: CostTable, dag_id: str, task_id: str, model: str, new_rows: NewRows | None = None
) -> list[PastJob]:
    """Read the earlier jobs of a task and model that an estimate is made of: those that ran the same rows,
    then the others, the latest first.

    :param new_rows: that the new job would run. If they are sent again, the jobs of the task that sent them
        first are history, too.
    """
    new_rows = new_rows or NewRows()
    tasks = {task_id, new_rows.first_task or task_id}
    asked = (
        select(
            jobs,
            estimates.c.job_key.label("estimate_key"),
            estimates.c.input_bytes,
            estimates.c.rows_input.label("rows_expected"),
            estimates.c.answer_limit,
        )
        .select_from(jobs.join(estimates, same_job(estimates, jobs), isouter=True))
        .where(jobs.c.dag_id == dag_id, jobs.c.task_id.in_(sorted(tasks)), jobs.c.rows_ok > 0)
        .order_by(func.coalesce(jobs.c.create_time, jobs.c.recorded_at).desc())
        .limit(_CANDIDATES)
    )
    name = canonical_model(model)
    with table.reading() as connection:
        rows = [row for row in connection.execute(asked) if canonical_model(row.model) == name]
        rows.sort(key=lambda row: new_rows.compare(row) is SameRows.NO)
        delivered = _Delivered.read(connection, rows)
        return usable(_past_job(connection, row, new_rows.compare(row), delivered.share(row)) for row in rows)


def _group(task_id: str) -> str:
    return task_id.rpartition(".")[0]


def _past_job(connection: Connection, row: Row[Any], same: SameRows, cut_share: Fraction | None) -> PastJob:
    mine = [usage.c[name] == getattr(row, name) for name in JOB_KEY]
    found = connection.execute(select(usage).where(*mine)).mappings()
    tokens = {read_usage_key(each): each["tokens"] for each in found}
    not_run = sum(count for reason, count in row.failed_reasons.items() if was_not_run(reason))
    answered = row.rows_ok - row.rows_copied
    # A row that failed and is sent again will probably be answered, and then costs what an answered one did.
    failed = 0 if same is SameRows.SENT_AGAIN else row.rows_failed - not_run
    rows, of_input = answered + failed, row.rows_input or row.rows_expected or 0
    # The input of a job that resumed another holds that job's answers, too.
    size = None if row.rows_copied or not of_input else (row.input_bytes or 0) * rows // of_input
    return PastJob(
        rows,
        tokens,
        size or None,
        answered,
        Total(row.amount_picousd, complete=not row.unpriced_line_items),
        of_input,
        row.answer_limit,
        is_sample=SAMPLE_LABEL in row.labels,
        knows_limit=row.estimate_key is not None,
        cut_share=cut_share,
        same=same,
    )
