"""The running jobs: combines what Airflow knows with what Vertex reports. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from vertex_batch.budgets import Estimate
from vertex_batch.costs import JobCost, Total, about
from vertex_batch.errors import count_of
from vertex_batch.ui.running.active_jobs import ProxyPlace, Snapshot
from vertex_batch.ui.running.submissions import SubmittedJob
from vertex_batch.vertex.labels import SPEC_LABEL
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import LONG_AGO, BatchPredictionJob, CompletionStats, JobState

NO_STATE = ""
ENDED = "ENDED"


@dataclass(frozen=True, slots=True)
class RunningEstimate:
    """A job's estimated cost, from earlier bills. It is shown as an estimate.

    :param so_far: the estimated cost of its finished rows; None: unknown.
    :param whole: its estimated cost when all rows are done; None: unknown.
    :param basis: the basis of the estimate, or why there is none.
    """

    so_far: Total | None
    whole: Total | None
    basis: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """One job.

    :param job: what Vertex says; None: it was not contacted, or did not answer.
    :param state: as Vertex calls it; `ENDED`: not active any more, and not recorded yet; empty: not known.
    """

    submission: SubmittedJob
    job: BatchPredictionJob | None
    state: str

    @property
    def spec(self) -> str:
        label = self.job.labels.get(SPEC_LABEL, "") if self.job else ""
        return label or self.submission.dag_id

    @property
    def team(self) -> str:
        return self.job.labels.get("team", "") if self.job else ""

    @property
    def stats(self) -> CompletionStats | None:
        return self.job.completion_stats if self.job else None

    @property
    def rows(self) -> tuple[int, int, int] | None:
        """Rows done, failed and remaining; None if Vertex does not report them."""
        stats = self.stats
        if stats is None or min(stats.successful_count, stats.failed_count, stats.incomplete_count) < 0:
            return None
        return stats.successful_count, stats.failed_count, stats.incomplete_count

    @property
    def percent(self) -> int | None:
        """The percentage that is done, rounded down, so that 100 means all."""
        if self.rows is None or not sum(self.rows):
            return None
        return 100 * (self.rows[0] + self.rows[1]) // sum(self.rows)

    @property
    def has_ended(self) -> bool:
        return self.state == ENDED or bool(self.job and self.job.state.is_terminal)

    @property
    def finished_rows(self) -> int | None:
        """Rows that are answered and paid for; None if Vertex does not report them."""
        if self.rows is not None:
            return self.rows[0]
        return 0 if self.job and self.has_ended and self.job.start_time is None else None

    @property
    def may_be_cancelled(self) -> bool:
        return not self.has_ended and self.state != JobState.CANCELLING


def place_of(submission: SubmittedJob) -> ProxyPlace:
    return ProxyPlace(submission.litellm_conn_id, submission.project, submission.location)


def in_flight(
    submissions: Iterable[SubmittedJob],
    readings: Mapping[ProxyPlace, Snapshot],
    recorded: frozenset[JobId],
) -> list[InFlight]:
    """Return the running jobs, the latest first.

    A job that Vertex lists is running, even if its run has ended. Other jobs are included while their run
    continues, until their bill is recorded.

    :param recorded: keys of jobs whose bill is recorded.
    """
    listed = {place: {job.job_id: job for job in reading.jobs} for place, reading in readings.items()}
    found = []
    for submission in submissions:
        place = place_of(submission)
        job = listed.get(place, {}).get(submission.job_id)
        if job is not None and submission.owns(job):
            found.append(InFlight(submission, job, job.raw_state))
        elif job is None and submission.is_wanted and submission.key not in recorded:
            found.append(
                InFlight(submission, None, ENDED if readings.get(place, Snapshot()).is_whole else NO_STATE)
            )
    return sorted(found, key=_age, reverse=True)


def _age(each: InFlight) -> datetime:
    return (each.job.create_time if each.job else None) or LONG_AGO


def matches(
    each: InFlight, *, text: str = "", spec: str = "", team: str = "", dag_id: str = "", run_id: str = ""
) -> bool:
    """Whether a search of the jobs page finds it. Empty values do not restrict."""
    owner = each.submission
    names = [owner.dag_id, owner.run_id, owner.job_id, owner.note, each.spec, each.team, each.state]
    names += [each.job.model, each.job.display_name] if each.job else []
    return (
        (not dag_id or owner.dag_id == dag_id)
        and (not run_id or owner.run_id == run_id)
        and (not spec or spec in (each.spec, owner.dag_id))
        and (not team or each.team == team)
        and (not text or any(text.lower() in name.lower() for name in names))
    )


def project_cost(
    each: InFlight, history: Sequence[JobCost], expected: Estimate | None = None
) -> RunningEstimate:
    """Estimate a job's cost from what was expected of its rows, else from the past cost per row.

    What was expected before it was submitted knows its rows and their limits; a first guess does not count
    once the DAG and model have bills. Remaining rows are assumed to succeed. If something in the history has
    no price, the estimate is a lower bound. A job that has ended costs no more than it has cost so far.

    :param expected: what was expected before the job was submitted. What a job has cost that has ended, and
        of which only a first guess was made, is known from its bill alone.
    """
    if each.has_ended and each.finished_rows == 0:
        nothing = Total(Decimal(0), complete=True)
        return RunningEstimate(nothing, nothing, "no row had finished")
    known = [cost for cost in history if cost.rows.paid > 0]
    if each.has_ended and not known:
        return RunningEstimate(None, None, "the bill says what it cost")
    if expected and expected.rows and (expected.has_history or not known):
        complete, basis = expected.expected.complete, "expected when it was submitted"
        per_row = expected.expected.amount / expected.rows
        usual = expected.expected
    elif known:
        complete = all(cost.total.complete for cost in known)
        amount = sum((cost.total.amount for cost in known), Decimal(0))
        basis = f"from {count_of(len(known), 'earlier bill')}"
        per_row = amount / sum(cost.rows.paid for cost in known)
        ran, missing = sum(cost.rows.total for cost in known), sum(cost.rows.missing or 0 for cost in known)
        usual = Total(amount * (ran + missing) / ran / len(known), complete)
    else:
        return RunningEstimate(None, None, "no earlier bill of this DAG and model")
    if each.has_ended:
        basis = "estimated until its bill is recorded"
    guess = expected if not known and expected and expected.low != expected.high else None
    if each.rows is None:
        basis = f"{basis}: {guess.span} USD" if guess else basis
        whole = None if each.has_ended else usual
        return RunningEstimate(None, whole, basis if expected and not known else f"{basis}: the usual cost")
    ok, _, to_go = each.rows
    so_far = Total(per_row * ok, complete)
    whole = so_far if each.has_ended else Total(per_row * (ok + to_go), complete)
    if guess:
        low, high = (about(end * (ok + to_go) / guess.rows) for end in (guess.low, guess.high))
        basis = f"{basis}: {low} to {high} USD"
    return RunningEstimate(so_far, whole, basis)
