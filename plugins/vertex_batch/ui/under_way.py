"""The list of running jobs for one user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vertex_batch.costs import CostTable, JobCost, JobFilter, Total, add_totals
from vertex_batch.ui.access import Reader
from vertex_batch.ui.in_flight import InFlight, RunningEstimate, in_flight, matches, place_of, project_cost
from vertex_batch.ui.submissions import SubmittedJob, count_unwatched, recent_submissions
from vertex_batch.ui.vertex import ActiveJobs, ProxyPlace, Snapshot
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


def find_submission(reader: Reader, key: JobId, costs: CostTable | None) -> SubmittedJob | None:
    """Find a job's task; None if there is no such job, or the user may not see its DAG."""
    found = next((each for each in recent_submissions() if each.key == key), None)
    if found is None and costs is not None and (bill := costs.bill(key)):
        found = SubmittedJob(*key, bill.job.dag_id, bill.job.run_id, bill.job.task_id, is_wanted=False)
    return found if found and reader.may_see(found.dag_id) else None


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
    shown = found[:MAX_SHOWN]
    guesses = _Guesses(costs)
    may_cancel = {dag_id: reader.may_cancel(dag_id) for dag_id in {each.submission.dag_id for each in shown}}
    lines = [
        RunningLine(each, guesses.of(each), each.may_be_cancelled and may_cancel[each.submission.dag_id])
        for each in shown
    ]
    unwatched = sum(count for dag_id, count in count_unwatched().items() if reader.may_see(dag_id))
    return UnderWay(lines, _problems(found, readings), len(found) - len(shown), unwatched)


def _problems(found: Sequence[InFlight], readings: dict[ProxyPlace, Snapshot]) -> dict[str, Snapshot]:
    """Projects and locations with known jobs that could not be read."""
    concerned = {place_of(each.submission) for each in found}
    return {str(place): readings[place] for place in sorted(concerned, key=str) if readings[place].problem}


class _Guesses:
    """Estimates that read the history once per DAG and model."""

    def __init__(self, costs: CostTable | None) -> None:
        self._costs = costs
        self._history: dict[tuple[str, str], list[JobCost]] = {}

    def of(self, each: InFlight) -> RunningEstimate:
        key = (each.submission.dag_id, each.job.model if each.job else "")
        if key not in self._history:
            where = JobFilter(dag_id=key[0], model=key[1])
            self._history[key] = self._costs.jobs(where, limit=HISTORY_JOBS) if self._costs else []
        return project_cost(each, self._history[key])
