"""What went wrong lately, each with a link: jobs without results, rows without an answer, failed runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

from airflow.models.dag import DagTag
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select

from vertex_batch.costs import CostTable, Delivery, JobCost, JobFacts, JobFilter, add_totals
from vertex_batch.costs.deliveries import DeliverySums, say_paid_after
from vertex_batch.dag_factory import TAG
from vertex_batch.operators.deliver import SAMPLES
from vertex_batch.results import main_reason
from vertex_batch.ui.access import Reader
from vertex_batch.ui.runs.audit import DoneBy, cancelled_by, marked_failed
from vertex_batch.ui.runs.cancelled import is_resolved
from vertex_batch.ui.runs.restoring import is_beside, is_settled, what_stays
from vertex_batch.ui.runs.run_report import not_ended, read_run
from vertex_batch.ui.spec_files import broken_specs, result_options
from vertex_batch.ui.words import (
    MANY_FAILED,
    explain_truncated,
    is_many_unanswered,
    moment,
    query,
    state,
    tone,
    usd,
)
from vertex_batch.vertex.resource import JobState

MAX_SHOWN = 5
_BESIDE = (
    "The answers are beside the file of the spec, which has another delivery; the page of the run has the"
    " command (`vertex-batch results` with `--replace`) that puts them there."
)
_MAX_READ = 200


@dataclass(frozen=True, slots=True)
class PageProblem:
    """One thing that went wrong.

    :param text: what, and to which spec or DAG.
    :param address: of the page that has more about it, without the root of the pages; empty if none has.
    :param is_bad: it failed, and no person ended it.
    :param is_settled: better answers stay, so there is nothing to do.
    """

    text: str
    address: str
    detail: str = ""
    is_bad: bool = True
    is_settled: bool = False


@dataclass(frozen=True, slots=True)
class Problems:
    """The problems to show.

    :param more: how many others there are.
    """

    shown: Sequence[PageProblem] = ()
    more: int = 0

    @property
    def count(self) -> int:
        """How many are warnings."""
        return len(self.shown) - self.settled + self.more

    @property
    def settled(self) -> int:
        """How many of those that are shown need nothing to be done."""
        return sum(each.is_settled for each in self.shown)


def read_problems(
    reader: Reader,
    costs: CostTable | None,
    where: JobFilter,
    today: date,
    failed_limits: Mapping[str, Decimal],
    *,
    night: Sequence[Delivery] = (),
    dag_id: str = "",
) -> Problems:
    """Read what went wrong since yesterday, and in the last night.

    :param costs: None: nothing was recorded yet.
    :param where: the jobs of the page that the reader may see. Its period is ignored.
    :param failed_limits: the share of rows without an answer that is a problem, by spec.
    :param night: what was delivered in the last night.
    :param dag_id: the only DAG of the page; empty: all.
    """
    yesterday = today - timedelta(1)
    recent = replace(where, since=yesterday, until=today)
    jobs = costs.jobs(replace(recent, incomplete=True), limit=_MAX_READ) if costs else []
    late = costs.paid_after_deliveries(recent) if costs else []
    bad = by_run(jobs, many_unanswered(night, failed_limits))
    known = {each.run for each in bad}
    if costs:
        bad = unresolved(bad, costs.delivered_again({run for run in known if all(run)}), failed_limits)
    # The runs of a team are not known to Airflow.
    failed = [] if where.team else _failed_runs(reader, dag_id or where.spec, yesterday)
    failed = [each for each in failed if each not in known]
    with_jobs = [each for each in bad if each.jobs]
    shown_runs = [*with_jobs[:MAX_SHOWN], *bad[len(with_jobs) :][:MAX_SHOWN]]
    if costs:
        _add_what_is_stored(costs, shown_runs)
    broken = [] if where.team else list(_broken_specs(reader, dag_id or where.spec))
    shown = [
        *broken[:MAX_SHOWN],
        *(_of_late_jobs(each) for each in late[:MAX_SHOWN]),
        *(describe_run(reader, each) for each in shown_runs),
        *(_of_failed_run(reader, *each) for each in failed[:MAX_SHOWN]),
    ]
    return Problems(shown, len(broken) + len(late) + len(bad) + len(failed) - len(shown))


def _broken_specs(reader: Reader, only: str) -> Iterator[PageProblem]:
    """Describe the spec files that are broken, which Airflow shows as import errors."""
    may_read = reader.may_read_import_errors()
    for each in broken_specs() if may_read else ():
        name = Path(each.file).stem
        if (only and only != name) or not reader.may_see(name):
            continue
        first, more = each.problems[0], len(each.problems) - 1
        others = f" ({more:,} more in this file)" if more else ""
        place = f"{Path(first.file or each.file).name}:{first}"
        yield PageProblem(
            f"{name}: the file is broken", "", f"{place}{others}. It does not run until the file is fixed."
        )


def _add_what_is_stored(costs: CostTable, found: Sequence[BadRun]) -> None:
    """Read the earlier deliveries of runs, and why rows of them failed: one query for each."""
    of_runs_with_jobs = {each.run for each in found if each.jobs and each.run_id}
    of_runs = costs.deliveries_of_runs(of_runs_with_jobs)
    reasons = costs.failed_reasons_of_runs({each.run for each in found if each.deliveries})
    now = costs.current_deliveries({one.best_at for of_run in of_runs.values() for one in of_run})
    still_open = not_ended(of_runs_with_jobs)
    for each in found:
        if is_open := each.run in still_open:
            each.stays.append("The run has not ended yet. Its page then says what there is to do.")
        for one in of_runs.get(each.run, ()):
            if stays := what_stays(one, each.jobs, now.get(one.best_at)):
                each.earlier.append(one)
                each.stays.append(stays)
        settled = [is_settled(one, now.get(one.best_at)) for one in each.earlier]
        each.is_settled = bool(settled) and all(settled) and not is_open
        exceptions = sum(one.exceptions for one in each.deliveries)
        each.main_reason = main_reason(reasons.get(each.run, Counter()), exceptions)


@dataclass(slots=True)
class BadRun:
    """What is bad about one run. A job without a run is by itself.

    :param jobs: those that ended without results, or lack rows, the latest first.
    :param deliveries: those in which many rows have no good answer.
    :param earlier: those of the run for which better answers stay.
    :param stays: says so of each, see `what_stays`; or that the run has not ended.
    :param main_reason: see `results.main_reason`.
    :param is_settled: it has earlier deliveries, and nothing is to be done about these.
    """

    dag_id: str
    run_id: str
    jobs: list[JobCost] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    earlier: list[Delivery] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    main_reason: str = ""
    is_settled: bool = False

    @property
    def run(self) -> tuple[str, str]:
        """Its DAG and its id."""
        return self.dag_id, self.run_id


def by_run(jobs: Iterable[JobCost], deliveries: Iterable[Delivery]) -> list[BadRun]:
    """Group by run: first the runs with bad jobs, then those with nothing but bad deliveries."""
    found: dict[object, BadRun] = {}
    for each in jobs:
        job = each.job
        key = (job.dag_id, job.run_id) if job.dag_id and job.run_id else job.key
        found.setdefault(key, BadRun(job.dag_id, job.run_id)).jobs.append(each)
    for delivery in deliveries:
        key = (delivery.dag_id, delivery.run_id)
        found.setdefault(key, BadRun(*key)).deliveries.append(delivery)
    return list(found.values())


def unresolved(
    found: Iterable[BadRun], again: Sequence[Delivery], failed_limits: Mapping[str, Decimal]
) -> list[BadRun]:
    """Leave out the runs whose rest a later run has sent and delivered, without many rows that lack answers.

    :param again: what the runs delivered that sent rows of some of these runs again.
    """
    whole = [
        each for each in again if not is_many_unanswered(each, failed_limits.get(each.spec, MANY_FAILED))
    ]
    left = []
    for each in found:
        of_run = [one for one in whole if (one.dag_id, one.retry_of) == each.run]
        has_all = {one.key for one in each.deliveries} <= {one.key for one in of_run}
        if not (of_run and has_all and is_resolved(each.jobs, of_run)):
            left.append(each)
    return left


def many_unanswered(found: Iterable[Delivery], failed_limits: Mapping[str, Decimal]) -> Iterator[Delivery]:
    """Select the deliveries in which many rows have no good answer, in no better delivery either."""
    for each in found:
        limit = failed_limits.get(each.spec, MANY_FAILED)
        if not each.kept_at and is_many_unanswered(each, limit):
            yield each


def describe_run(reader: Reader, bad: BadRun) -> PageProblem:
    """Describe a run in one line: how its jobs ended, who ended them, and which rows have no answer."""
    address = f"/run?{query(dag_id=bad.dag_id, run_id=bad.run_id)}"
    name, said, detail = bad.dag_id, [], ""
    lacking = [
        each.rows
        for each in bad.jobs
        if each.rows.missing and not any(kept.has_better_than(each.job) for kept in bad.earlier)
    ]
    is_bad = bool(bad.deliveries or lacking)
    if bad.jobs:
        job = bad.jobs[0].job
        name = job.spec or job.job_id
        if len(bad.jobs) == 1 and not (bad.run_id and job.state == JobState.CANCELLED):
            address = f"/bill?{query(project=job.project, location=job.location, job=job.job_id)}"
        states = Counter(each.job.state for each in bad.jobs)
        said = [f"job {state(name)}" if n == 1 else f"{n:,} jobs {state(name)}" for name, n in states.items()]
        is_bad = is_bad or any(tone(name) == "bad" for name in states)
        detail = _ended_by(reader, bad.jobs) or _when(job.run_id, job.end_time or job.create_time)
    if found := DeliverySums.of(bad.deliveries):
        name = bad.deliveries[0].spec or name
        is_sample = all(f"/{SAMPLES}/" in each.answers_uri for each in bad.deliveries)
        said.append(f"in a sample, {found.unanswered}" if is_sample else found.unanswered)
        when = detail or _when(bad.run_id, found.until)
        detail = ": ".join(filter(None, [when, bad.main_reason or explain_truncated(found.reasons)]))
        options = {each.task_id: result_options(each.spec, each.job_name) for each in bad.deliveries}
        if any(is_beside(each, options[each.task_id]) for each in bad.deliveries):
            detail = f"{detail.rstrip('.')}. {_BESIDE}"
    elif lacking:
        missing, rows = (
            sum(each.missing or 0 for each in lacking),
            sum(each.input_rows or 0 for each in lacking),
        )
        said.append(f"{missing:,} of {rows:,} rows are missing")
    if any(each.job.state == JobState.CANCELLED for each in bad.jobs):
        paid = add_totals(each.total for each in bad.jobs)
        said.append(f"{usd(paid)} paid")
    detail = " ".join(filter(None, [*bad.stays, detail]))
    return PageProblem(f"{name}: {', '.join(said)}", address, detail, is_bad, bad.is_settled and not is_bad)


def _of_late_jobs(jobs: Sequence[JobCost]) -> PageProblem:
    job = jobs[0].job
    address = f"/run?{query(dag_id=job.dag_id, run_id=job.run_id)}"
    ended = max(filter(None, (each.job.end_time for each in jobs)), default=None)
    advice = "They are safe. The page of the run says which task to clear to deliver them; it costs nothing."
    advice = f"{_when(job.run_id, ended)}: {advice}"
    return PageProblem(f"{job.spec or job.dag_id}: {say_paid_after(jobs)}", address, advice)


def _when(run_id: str, when: datetime | None) -> str:
    """Say which run of a spec is meant."""
    return ", ".join(filter(None, [moment(when), f"run {run_id}" if run_id else ""]))


def _ended_by(reader: Reader, jobs: Sequence[JobCost]) -> str:
    """How jobs were cancelled; empty if that is unknown, or the user may not read it."""
    if found := who_cancelled(reader, jobs):
        return f"Cancelled {found}"
    job = _cancelled_job(reader, jobs)
    marked = marked_failed(job.dag_id, job.run_id) if job else None
    return f"The run was marked as failed {marked}" if marked else ""


def who_cancelled(reader: Reader, jobs: Sequence[JobCost]) -> DoneBy | None:
    """Who cancelled the first of some jobs that was cancelled on the pages, from Airflow's audit log.

    None if that is unknown, or if the user may not read it.
    """
    job = _cancelled_job(reader, jobs)
    return cancelled_by(job) if job else None


def _cancelled_job(reader: Reader, jobs: Sequence[JobCost]) -> JobFacts | None:
    """The first job that was cancelled, if the user may read in the audit log who did it."""
    job = next((each.job for each in jobs if each.job.state == JobState.CANCELLED), None)
    return job if job and job.dag_id and job.run_id and reader.may_read_audit(job.dag_id) else None


def _failed_runs(reader: Reader, only: str, since: date) -> list[tuple[str, str]]:
    """Return DAG and run of the failed runs of our DAGs, the latest first."""
    asked = (
        select(DagRun.dag_id, DagRun.run_id)
        .join(DagTag, DagTag.dag_id == DagRun.dag_id)
        .where(DagTag.name == TAG, DagRun.state == DagRunState.FAILED)
        .where(DagRun.end_date >= datetime.combine(since, time(), UTC))
        .order_by(DagRun.end_date.desc())
    )
    if only:
        asked = asked.where(DagRun.dag_id == only)
    with create_session() as session:
        found = [tuple(row) for row in session.execute(asked.limit(_MAX_READ))]
    return [(dag_id, run_id) for dag_id, run_id in found if reader.may_see(dag_id)]


def _of_failed_run(reader: Reader, dag_id: str, run_id: str) -> PageProblem:
    report = read_run(dag_id, run_id, with_reasons=reader.may_read_logs(dag_id))
    address = f"/run?{query(dag_id=dag_id, run_id=run_id)}"
    first = report.failures[0] if report.failures else None
    where = f" at {first.name}" if first else ""
    reason = first.reason if first else ""
    when = _when(run_id, first.ended_at if first else None)
    text = f"{dag_id}: run failed{where}"
    return PageProblem(text, address, ": ".join(filter(None, [when, reason])))
