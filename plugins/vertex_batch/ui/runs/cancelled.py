"""A run whose jobs were cancelled, as one thing: who did it, what was paid, and what can be done. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vertex_batch.costs import Delivery, JobCost, Total, add_totals
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.lifecycle.explaining import REQUESTED
from vertex_batch.operators import CheckTasksOperator, DeliverResultsOperator
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.ui.runs.audit import DoneBy
from vertex_batch.ui.runs.clearing import latest_jobs
from vertex_batch.ui.runs.run_report import EndedTask, RunReport, group_prefix
from vertex_batch.ui.words import moment
from vertex_batch.vertex.resource import JobState


@dataclass(frozen=True, slots=True)
class CancelledRun:
    """What a cancellation came to.

    :param headline: what was cancelled, by whom and when, as far as that is known.
    :param rows: how many rows were answered, failed, and did not run.
    :param paid: for the jobs that were submitted last; the earlier ones are in the sum of the run.
    :param answered: how many rows the cancelled jobs have answered.
    :param waiting: the tasks that waited for the cancelled jobs and failed.
    :param reaches_submit: a submit task has failed, too, so that clearing the failed tasks submits again.
    """

    headline: str
    rows: str
    paid: Total
    answered: int
    waiting: Sequence[str]
    reaches_submit: bool


def cancelled_run(
    report: RunReport, jobs: Sequence[JobCost], by: DoneBy | None, marked: DoneBy | None
) -> CancelledRun | None:
    """Describe the cancellation of a run; None if it has not failed, or no job of it was cancelled.

    :param jobs: of the run.
    :param by: who cancelled a job on the pages.
    :param marked: who marked the run as failed.
    """
    last = latest_jobs(jobs)
    cut = [each for each in last if each.job.state == JobState.CANCELLED]
    if not (cut and report.has_failed):
        return None
    waits = [end for end in report.failures if _waits_for(end, cut)]
    return CancelledRun(
        _headline(cut, last, waits, by, marked),
        _rows(last),
        add_totals(each.total for each in last),
        sum(each.rows.ok for each in cut),
        list(dict.fromkeys(end.task_id for end in waits)),
        bool({end.task_id for end in report.failures} & {each.job.task_id for each in last}),
    )


@dataclass(frozen=True, slots=True)
class RestSent:
    """A later run that has sent rows of a run again.

    :param answered: how many of them it has answered.
    :param delivered: what it delivered: the rows of both runs.
    :param resolves: whether that has all jobs of the run that lack answers.
    """

    run_id: str
    answered: int
    delivered: DeliverySums | None = None
    resolves: bool = False


def rest_sent(
    jobs: Sequence[JobCost], again: Sequence[Delivery], lacking: Sequence[JobCost]
) -> list[RestSent]:
    """The later runs that have answered rows of a run, the oldest first.

    :param jobs: of the later runs, those that sent rows of the run again, the oldest first.
    :param again: what the later runs delivered.
    :param lacking: the jobs of the run that may lack answers.
    """
    answered: Counter[str] = Counter()
    for each in jobs:
        answered[each.job.run_id] += each.rows.ok
    of_run = {run_id: [each for each in again if each.run_id == run_id] for run_id in answered}
    return [
        RestSent(run_id, rows, DeliverySums.of(of_run[run_id]), is_resolved(lacking, of_run[run_id]))
        for run_id, rows in answered.items()
        if rows
    ]


def is_resolved(jobs: Iterable[JobCost], again: Sequence[Delivery]) -> bool:
    """Whether later runs have delivered the answers of each of some jobs of a run, with those it lacked."""
    return bool(again) and all(any(each.is_of(job.job) for each in again) for job in jobs)


def without_consequences(
    report: RunReport, jobs: Sequence[JobCost], deliveries: Sequence[Delivery], *, were_killed: bool
) -> RunReport:
    """Leave out what only follows from the cancellation, and is said with it.

    These are the tasks that waited for the cancelled jobs, that checked these, or whose delivery is shown.

    :param were_killed: failures without a reason are of tasks that were killed when a person marked the run.
    """
    cut = [each for each in latest_jobs(jobs) if each.job.state == JobState.CANCELLED]
    delivered = {(each.task_id, each.map_index) for each in deliveries}

    def follows(end: EndedTask) -> bool:
        if end.operator == DeliverResultsOperator.__name__:
            return (end.task_id, end.map_index) in delivered
        is_checked = end.operator == CheckTasksOperator.__name__
        return is_checked or _waits_for(end, cut) or (were_killed and not end.reason)

    return replace(
        report,
        ends=[end for end in report.ends if end not in report.failures or not follows(end)],
        notes=[note for note in report.notes if not follows(note)],
    )


def _waits_for(end: EndedTask, jobs: Sequence[JobCost]) -> bool:
    return end.operator == BatchPredictionJobSensor.__name__ and any(
        (group_prefix(each.job.task_id), each.job.map_index) == (group_prefix(end.task_id), end.map_index)
        for each in jobs
    )


def _headline(
    cut: Sequence[JobCost],
    last: Sequence[JobCost],
    waits: Sequence[EndedTask],
    by: DoneBy | None,
    marked: DoneBy | None,
) -> str:
    if len(last) == 1:
        what = "The job was"
    else:
        what = f"{len(cut):,} of {len(last):,} jobs {'was' if len(cut) == 1 else 'were'}"
    if by:
        return f"{what} cancelled {by}."
    if marked and marked.at >= max(each.job.created_at for each in cut):
        return f"The run was marked as failed {marked}. {what} cancelled for that."
    ended = max((each.job.end_time for each in cut if each.job.end_time), default=None)
    when = f" at {moment(ended)}" if ended else ""
    said = next((end.reason.partition(". ")[0].rstrip(".") for end in waits if end.reason), "")
    if said and REQUESTED not in said:  # such as a deadline
        return f"{what} cancelled{when}. {said}."
    return f"{what} cancelled{when} {REQUESTED}."


def _rows(jobs: Sequence[JobCost]) -> str:
    """Say what became of the rows, without those that a resumed job took over."""
    answered = sum(each.rows.ok for each in jobs)
    failed = sum(each.rows.failed for each in jobs)
    known = [each.rows.input_rows for each in jobs if each.rows.input_rows is not None]
    whole = f" of {sum(known):,}" if len(known) == len(jobs) else ""
    said = f"{answered:,}{whole} {'row was' if answered == 1 and not whole else 'rows were'} answered"
    if failed:
        said += f", {failed:,} failed"
    if missing := sum(each.rows.missing or 0 for each in jobs):
        said += f", {missing:,} did not run"
    return f"{said}."
