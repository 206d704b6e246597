"""What is shown beside a bill: what was expected and delivered, and what the nights before cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vertex_batch.budgets import Ledger
from vertex_batch.costs import Bill, CostTable, Delivery, JobCost, JobFilter
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.ui.access import Reader
from vertex_batch.ui.failures import count_retried, group_failures
from vertex_batch.ui.numbers import AmountColumn
from vertex_batch.ui.runs.audit import cancelled_by
from vertex_batch.ui.runs.cancelled import RestSent, rest_sent
from vertex_batch.ui.runs.clearing import Clearing, latest_jobs
from vertex_batch.ui.runs.restoring import what_stays
from vertex_batch.ui.runs.run_report import not_ended, record_log
from vertex_batch.ui.spec_files import retried_reasons, what_rest_needs
from vertex_batch.ui.words import MANY_FAILED
from vertex_batch.vertex.labels import GROUP_KEY_LABEL
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


@dataclass(frozen=True, slots=True)
class RestOfRun:
    """What has become of the rows of a run that have no answer, for all pages that say what to do about them.

    :param staying: by task and map index of a delivery, which better answers stay; see `what_stays`.
    :param now: by the same, what is there now.
    :param later: the later runs that have answered rows of the run.
    :param is_open: the run may still deliver, so it is not known which rows will lack an answer.
    """

    staying: Mapping[tuple[str, int], str]
    now: Mapping[tuple[str, int], Delivery]
    later: Sequence[RestSent]
    is_open: bool = False

    @property
    def is_sent(self) -> bool:
        """Whether the rows have better answers, or a later run has sent them."""
        return bool(self.later) or (bool(self.staying) and all(self.staying.values()))

    def needs(self, clearing: Clearing) -> str | None:
        """What the spec needs so that only these rows are sent; None if they are not to be sent."""
        return None if self.is_sent or self.is_open else what_rest_needs(clearing.spec, clearing.task_id)


def jobs_of_run(costs: CostTable | None, dag_id: str, run_id: str) -> list[JobCost]:
    """The recorded jobs of a run; none for a job without a run."""
    where = JobFilter(dag_id=dag_id, run_id=run_id)
    return costs.jobs(where) if costs and run_id else []


def rest_of_run(
    costs: CostTable | None, jobs: Sequence[JobCost], deliveries: Sequence[Delivery], task_id: str = ""
) -> RestOfRun:
    """Read what has become of the rows of a run that have no answer.

    :param jobs: of the run.
    :param deliveries: of the run.
    :param task_id: the only submit task to look at; empty: all of the run.
    """
    mine = [each for each in jobs if task_id in ("", each.job.task_id)]
    is_open = bool(not_ended({(each.job.dag_id, each.job.run_id) for each in mine}))
    if costs is None:
        return RestOfRun({}, {}, [], is_open)
    of_task = [each for each in deliveries if task_id.startswith(each.group) or not task_id]
    at = costs.current_deliveries({each.best_at for each in of_task})
    return RestOfRun(
        {each.key: what_stays(each, jobs, at.get(each.best_at)) for each in of_task},
        {each.key: at[each.best_at] for each in of_task if each.best_at in at},
        _later_runs(costs, mine),
        is_open,
    )


def _later_runs(costs: CostTable, jobs: Sequence[JobCost]) -> list[RestSent]:
    keys = {key for each in jobs if (key := each.job.labels.get(GROUP_KEY_LABEL))}
    if not keys:
        return []
    job = jobs[0].job
    lacking = [each for each in latest_jobs(jobs) if each.rows.ok != each.rows.input_rows]
    again = costs.delivered_again({(job.dag_id, job.run_id)})
    return rest_sent(costs.sent_again(job.dag_id, keys), again, lacking)


def bill_context(
    reader: Reader, costs: CostTable, found: Bill, limits: Mapping[str, Decimal], rest: RestOfRun
) -> dict[str, Any]:
    """What the pages of a bill and of a run show of a bill.

    :param limits: see `spec_files.failed_limits`.
    :param rest: of its run, or of its submit task alone.
    """
    expected = Ledger(costs).of_job(found.job.key)
    nights = nights_before(costs, found)
    again = count_retried(found, costs.deliveries_of(found.job), retried_reasons(found.job.spec))
    amounts = [found.total, *(each.total for each in nights)]
    rates = [found.per_thousand_rows, *(each.per_thousand_rows for each in nights)]
    return {
        "bill": found,
        "many_failed": limits.get(found.job.spec, MANY_FAILED),
        "expected": expected,
        "outside": expected.compare(found) if expected else "",
        "failures": group_failures(found),
        "nights": nights,
        "money": AmountColumn.finest(amounts[:1], amounts, [item.amount_usd for item in found.line_items]),
        "rates": AmountColumn.finest(rates[:1], rates),
        "log": record_log(found.job),
        "again": 0 if rest.is_sent or rest.is_open else again,
        "rest": rest,
        "ended_by": cancelled_by(found.job) if reader.may_read_audit(found.job.owner) else None,
    }
