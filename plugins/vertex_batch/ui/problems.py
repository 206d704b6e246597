"""What went wrong lately, each with a link: jobs without results, rows without an answer, failed runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from airflow.models.dag import DagTag
from airflow.models.dagrun import DagRun
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState
from sqlalchemy import select

from vertex_batch.costs import CostTable, Delivery, JobCost, JobFilter
from vertex_batch.dag_factory import TAG
from vertex_batch.ui.access import Reader
from vertex_batch.ui.run_report import read_run
from vertex_batch.ui.words import MANY_FAILED, explain_truncated, moment, query, state, tone

MAX_SHOWN = 5
_MAX_READ = 200


@dataclass(frozen=True, slots=True)
class PageProblem:
    """One thing that went wrong.

    :param text: what, and to which spec or DAG.
    :param address: of the page that has more about it, without the root of the pages.
    :param is_bad: it failed, and no person ended it.
    """

    text: str
    address: str
    detail: str = ""
    is_bad: bool = True


@dataclass(frozen=True, slots=True)
class Problems:
    """The problems to show.

    :param more: how many others there are.
    """

    shown: Sequence[PageProblem] = ()
    more: int = 0

    @property
    def count(self) -> int:
        return len(self.shown) + self.more


def read_problems(
    reader: Reader,
    costs: CostTable | None,
    where: JobFilter,
    today: date,
    failed_limits: Mapping[str, Decimal],
    *,
    dag_id: str = "",
) -> Problems:
    """Read what went wrong since yesterday, and in the last night.

    :param costs: None: nothing was recorded yet.
    :param where: the jobs of the page that the reader may see. Its period is ignored.
    :param failed_limits: the share of rows without an answer that is a problem, by spec.
    :param dag_id: the only DAG of the page; empty: all.
    """
    yesterday = today - timedelta(1)
    jobs: Sequence[JobCost] = ()
    deliveries: Sequence[Delivery] = ()
    if costs:
        recent = replace(where, since=yesterday, until=today, incomplete=True)
        jobs = costs.jobs(recent, limit=_MAX_READ)
        deliveries = list(
            many_unanswered(costs.deliveries_of_night(replace(where, since=None, until=None)), failed_limits)
        )
    known = {(each.job.dag_id, each.job.run_id) for each in jobs}
    # The runs of a team are not known to Airflow.
    runs = [] if where.team else _failed_runs(reader, dag_id or where.spec, yesterday)
    runs = [each for each in runs if each not in known]
    shown = [
        *(of_job(each) for each in jobs[:MAX_SHOWN]),
        *(of_delivery(each) for each in deliveries[:MAX_SHOWN]),
        *(_of_run(reader, *each) for each in runs[:MAX_SHOWN]),
    ]
    return Problems(shown, len(jobs) + len(deliveries) + len(runs) - len(shown))


def many_unanswered(found: Iterable[Delivery], failed_limits: Mapping[str, Decimal]) -> Iterator[Delivery]:
    """Select the deliveries in which many rows have no good answer."""
    for each in found:
        limit = failed_limits.get(each.spec, MANY_FAILED)
        if each.exceptions and Decimal(each.exceptions) / each.input_rows >= limit:
            yield each


def of_job(each: JobCost) -> PageProblem:
    """Describe a job that ended without results, or lacks rows."""
    job, rows = each.job, each.rows
    address = f"/bill?{query(project=job.project, location=job.location, job=job.job_id)}"
    lacking = f"{rows.missing:,} of {rows.input_rows:,} rows are missing" if rows.missing else ""
    text = f"{job.spec or job.job_id}: job {state(job.state)}"
    ended = moment(job.end_time or job.create_time)
    return PageProblem(
        f"{text}, {lacking}" if lacking else text, address, ended, tone(job.state) == "bad" or bool(lacking)
    )


def of_delivery(each: Delivery) -> PageProblem:
    """Describe a delivery in which many rows have no good answer."""
    text = (
        f"{each.spec or each.dag_id}: {each.exceptions:,} of {each.input_rows:,} rows have no good answer"
        f"{each.in_reasons}"
    )
    address = f"/run?{query(dag_id=each.dag_id, run_id=each.run_id)}"
    return PageProblem(text, address, explain_truncated(each.reasons) or moment(each.delivered_at))


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


def _of_run(reader: Reader, dag_id: str, run_id: str) -> PageProblem:
    report = read_run(dag_id, run_id, with_reasons=reader.may_read_logs(dag_id))
    address = f"/run?{query(dag_id=dag_id, run_id=run_id)}"
    first = report.failures[0] if report.failures else None
    where = f" at {first.name}" if first else ""
    reason = first.reason.partition("\n")[0] if first else ""
    when = moment(first.ended_at) if first else ""
    text = f"{dag_id}: run failed{where}"
    return PageProblem(text, address, " ".join(filter(None, [when, reason[:300]])))
