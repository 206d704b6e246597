"""What is shown beside a bill: what was expected, and what the nights before cost."""

from __future__ import annotations

from collections.abc import Sequence

from vertex_batch.budgets import Ledger
from vertex_batch.costs import Bill, CostTable, JobCost, JobFilter
from vertex_batch.vertex.names import JobId

NIGHTS = 7
_CANDIDATES = 60


def outside_expectation(costs: CostTable, jobs: Sequence[JobCost]) -> dict[JobId, str]:
    """Say of each job whose bill is outside its expected range where it is."""
    stored = Ledger(costs).of_jobs([each.job.key for each in jobs])
    compared = {each.job.key: stored[each.job.key].compare(each) for each in jobs if each.job.key in stored}
    return {key: text for key, text in compared.items() if text}


def nights_before(costs: CostTable, bill: Bill) -> list[JobCost]:
    """Return the last jobs of the same task before this one, the latest first."""
    job = bill.job
    if not job.owner:
        return []
    where = JobFilter(dag_id=job.dag_id, spec=job.spec, until=bill.day)
    found = costs.jobs(where, limit=_CANDIDATES)
    same = [each for each in found if each.job.task_id == job.task_id and each.job.key != job.key]
    now = job.create_time
    earlier = [each for each in same if not (now and each.job.create_time and each.job.create_time > now)]
    return earlier[:NIGHTS]
