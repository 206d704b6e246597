"""The earlier jobs of a task, from the cost table: what an estimate is made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, func, select  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.budgets.replay import PastJob, usable
from vertex_batch.costs.bill import Total
from vertex_batch.costs.rows import read_usage_key
from vertex_batch.costs.schema import JOB_KEY, estimates, jobs, same_job, usage
from vertex_batch.costs.table import CostTable
from vertex_batch.usage import canonical_model, was_not_run
from vertex_batch.vertex.labels import SAMPLE_LABEL

_CANDIDATES = 50


def past_jobs(table: CostTable, dag_id: str, task_id: str, model: str) -> list[PastJob]:
    """Read the earlier jobs of a task and model that an estimate is made of, the latest first."""
    asked = (
        select(
            jobs,
            estimates.c.input_bytes,
            estimates.c.rows_input.label("rows_expected"),
            estimates.c.answer_limit,
        )
        .select_from(jobs.join(estimates, same_job(estimates, jobs), isouter=True))
        .where(jobs.c.dag_id == dag_id, jobs.c.task_id == task_id, jobs.c.rows_ok > 0)
        .order_by(func.coalesce(jobs.c.create_time, jobs.c.recorded_at).desc())
        .limit(_CANDIDATES)
    )
    name = canonical_model(model)
    with table.reading() as connection:
        rows = [row for row in connection.execute(asked) if canonical_model(row.model) == name]
        return usable(_past_job(connection, row) for row in rows)


def _past_job(connection: Connection, row: Row[Any]) -> PastJob:
    mine = [usage.c[name] == getattr(row, name) for name in JOB_KEY]
    found = connection.execute(select(usage).where(*mine)).mappings()
    tokens = {read_usage_key(each): each["tokens"] for each in found}
    not_run = sum(count for reason, count in row.failed_reasons.items() if was_not_run(reason))
    answered = row.rows_ok - row.rows_copied
    rows, of_input = answered + row.rows_failed - not_run, row.rows_input or row.rows_expected or 0
    # The input of a job that resumed another holds that job's answers, too.
    size = None if row.rows_copied or not of_input else (row.input_bytes or 0) * rows // of_input
    cost = Total(row.amount_picousd, complete=not row.unpriced_line_items)
    is_sample = SAMPLE_LABEL in row.labels
    return PastJob(rows, tokens, size or None, answered, cost, of_input, row.answer_limit, is_sample)
