"""What is shown beside a bill: what was expected and delivered, and what the nights before cost."""

from __future__ import annotations

from collections.abc import Sequence

from vertex_batch.budgets import Ledger
from vertex_batch.costs import Bill, CostTable, JobCost, JobFilter
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.vertex.names import JobId

NIGHTS = 7
_CANDIDATES = 60


def outside_expectation(costs: CostTable, jobs: Sequence[JobCost]) -> dict[JobId, str]:
    """Say of each job whose bill is outside its expected range where it is."""
    stored = Ledger(costs).of_jobs([each.job.key for each in jobs])
    compared = {each.job.key: stored[each.job.key].compare(each) for each in jobs if each.job.key in stored}
    return {key: text for key, text in compared.items() if text}


def delivered(costs: CostTable, groups: Sequence[Sequence[JobCost]]) -> dict[JobId, DeliverySums]:
    """Add up what was delivered of each group of jobs, by the key of its first job.

    :param groups: each of jobs of one run. The jobs of a split input have the same delivery.
    """
    found = costs.deliveries_of_jobs([each.job for group in groups for each in group])
    sums = {}
    for group in groups:
        own = {(one.task_id, one.map_index): one for each in group for one in found[each.job.key]}
        if added := DeliverySums.of(list(own.values())):
            sums[group[0].job.key] = added
    return sums


def nights_before(costs: CostTable, bill: Bill) -> list[JobCost]:
    """Return the last jobs of the same task before this one, the latest first; of samples only a sample's."""
    job = bill.job
    if not job.owner:
        return []
    where = JobFilter(dag_id=job.dag_id, spec=job.spec, until=bill.day)
    found = costs.jobs(where, limit=_CANDIDATES)
    found = [each for each in found if job.is_sample or not each.job.is_sample]
    same = [each for each in found if each.job.task_id == job.task_id and each.job.key != job.key]
    now = job.create_time
    earlier = [each for each in same if not (now and each.job.create_time and each.job.create_time > now)]
    return earlier[:NIGHTS]
