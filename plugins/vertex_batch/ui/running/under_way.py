"""The list of running jobs for one user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vertex_batch.budgets import Ledger
from vertex_batch.costs import CostTable, JobCost, JobFilter, Total, add_totals
from vertex_batch.ui.access import Reader
from vertex_batch.ui.running.active_jobs import ActiveJobs, ProxyPlace, Snapshot
from vertex_batch.ui.running.in_flight import (
    ENDED,
    InFlight,
    RunningEstimate,
    in_flight,
    matches,
    place_of,
    project_cost,
)
from vertex_batch.ui.running.submissions import SubmittedJob, count_unwatched, recent_submissions
from vertex_batch.vertex.names import JobId

HISTORY_JOBS = 10
MAX_SHOWN = 100

active_jobs = ActiveJobs()


@dataclass(frozen=True, slots=True)
class RunningLine:
    """A running job, its estimated cost, and whether the user may cancel it."""

    each: InFlight
    projection: RunningEstimate
    may_cancel: bool


@dataclass(frozen=True, slots=True)
class UnderWay:
    """The running jobs.

    :param lines: the jobs that are shown.
    :param problems: projects and locations that could not be read, and why.
    :param more: the number of jobs beyond those in `lines`.
    :param unwatched: the number of waiting tasks that no triggerer takes care of.
    """

    lines: Sequence[RunningLine]
    problems: dict[str, Snapshot]
    more: int = 0
    unwatched: int = 0

    @property
    def expected(self) -> Total | None:
        """The estimated cost of the shown jobs, a lower bound if some have no estimate; None if none has."""
        known = [line.projection.whole for line in self.lines if line.projection.whole]
        whole = add_totals(known)
        return Total(whole.amount, whole.complete and len(known) == len(self.lines)) if known else None


def find_submissions(reader: Reader, key: JobId, costs: CostTable | None) -> list[SubmittedJob]:
    """Find the tasks that name a job as theirs, of DAGs that the user may see. Its labels say whose it is."""
    found = [each for each in recent_submissions() if each.key == key and reader.may_see(each.dag_id)]
    bill = costs.bill(key) if costs else None
    if bill and reader.may_see(bill.job.owner):
        job = bill.job
        recorded = SubmittedJob(*key, job.dag_id, job.run_id, job.task_id, is_wanted=False, is_recorded=True)
        found.append(recorded)
    return found


def list_under_way(reader: Reader, costs: CostTable | None, wanted: dict[str, str]) -> UnderWay:
    """List the running jobs that the user may see.

    :param costs: None if nothing is recorded yet, so costs cannot be estimated.
    :param wanted: a search, as keyword arguments of `in_flight.matches`.
    """
    submissions = [each for each in recent_submissions() if reader.may_see(each.dag_id)]
    readings = {place: active_jobs.read(place) for place in {place_of(each) for each in submissions}}
    asked_for = [each.key for each in submissions if each.is_wanted]
    recorded = costs.recorded(asked_for) if costs else frozenset()
    found = [each for each in in_flight(submissions, readings, recorded) if matches(each, **wanted)]
    shown = _with_ends(found[:MAX_SHOWN])
    estimates = estimate_costs(costs, shown)
    may_cancel = {dag_id: reader.may_cancel(dag_id) for dag_id in {each.submission.dag_id for each in shown}}
    lines = [
        RunningLine(each, estimate, each.may_be_cancelled and may_cancel[each.submission.dag_id])
        for each, estimate in zip(shown, estimates, strict=True)
    ]
    unwatched = sum(count for dag_id, count in count_unwatched().items() if reader.may_see(dag_id))
    return UnderWay(lines, _problems(found, readings), len(found) - len(shown), unwatched)


def _with_ends(found: Sequence[InFlight]) -> list[InFlight]:
    """Read how jobs have ended that are not active any more, until Vertex does not answer."""
    complete = []
    answers = True
    for each in found:
        job = None
        if each.state == ENDED and answers:
            job = active_jobs.read_ended(place_of(each.submission), each.submission.key)
            answers = job is not None
        if job is None or each.submission.owns(job):
            complete.append(replace(each, job=job, state=job.raw_state) if job else each)
    return complete


def estimate_costs(costs: CostTable | None, found: Sequence[InFlight]) -> list[RunningEstimate]:
    """Estimate what jobs cost. The history is read once for each DAG and model."""
    history: dict[tuple[str, str], list[JobCost]] = {}
    stored = Ledger(costs).of_jobs([each.submission.key for each in found]) if costs else {}
    estimates = []
    for each in found:
        key = (each.submission.dag_id, each.job.model if each.job else "")
        if key not in history:
            where = JobFilter(dag_id=key[0], model=key[1])
            history[key] = costs.jobs(where, limit=HISTORY_JOBS) if costs else []
        expected = stored.get(each.submission.key)
        estimates.append(project_cost(each, history[key], expected.estimate if expected else None))
    return estimates


def _problems(found: Sequence[InFlight], readings: dict[ProxyPlace, Snapshot]) -> dict[str, Snapshot]:
    """Projects and locations with known jobs that could not be read."""
    concerned = {place_of(each.submission) for each in found}
    return {str(place): readings[place] for place in sorted(concerned, key=str) if readings[place].problem}
