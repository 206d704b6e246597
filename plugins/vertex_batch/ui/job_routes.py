"""The routes about jobs: the finished ones, the running ones, and how to cancel one."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, cast, get_args

from airflow.models.log import Log
from airflow.sdk.exceptions import AirflowException
from airflow.utils.session import create_session
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse

from vertex_batch.costs import CostTable, Delivery, JobCost, JobFacts, JobFilter, JobOrder, RowCounts, Total
from vertex_batch.errors import (
    CancelNotConfirmedError,
    ConfigurationError,
    NotFoundError,
    VertexBatchError,
)
from vertex_batch.lifecycle.cancelling import cancel_and_confirm
from vertex_batch.ui.access import CurrentReader, Reader, RefusedError
from vertex_batch.ui.bill_context import delivered, jobs_of_run, outside_expectation, rest_of_run
from vertex_batch.ui.consent import Form, is_own_form, sign
from vertex_batch.ui.open_table import Costs, CostsIfAny, Named
from vertex_batch.ui.periods import BadAddressError, read_days
from vertex_batch.ui.render import address_of, page
from vertex_batch.ui.running.active_jobs import open_client, what_happened
from vertex_batch.ui.running.in_flight import NO_STATE, InFlight
from vertex_batch.ui.running.submissions import SubmittedJob
from vertex_batch.ui.running.under_way import active_jobs, estimate_costs, find_submissions, list_under_way
from vertex_batch.ui.runs.audit import CANCEL_EVENT
from vertex_batch.ui.runs.clearing import Clearing
from vertex_batch.ui.runs.run_days import run_days
from vertex_batch.ui.spec_files import failed_limits, timezones
from vertex_batch.ui.words import query
from vertex_batch.vertex.names import JobId, parse_job_name
from vertex_batch.vertex.resource import DELETED, TERMINAL_STATES, BatchPredictionJob

log = logging.getLogger(__name__)
router = APIRouter()

JOBS_PER_PAGE = 50
CONFIRM_SECONDS = 4.0
SORTABLE = get_args(JobOrder)
RECORDED_STATES = (*sorted(TERMINAL_STATES), DELETED)


@dataclass(frozen=True, slots=True)
class Search:
    """The parameters of a list of jobs.

    :param given: the days as they were given, to show them in the form again.
    :param problem: why the days are invalid; `where` then has none.
    """

    where: JobFilter
    page: int
    sort: JobOrder
    ascending: bool
    given: tuple[str, str]
    problem: BadAddressError | None = None


def _search(
    *,
    q: str = "",
    state: str = "",
    spec: str = "",
    team: str = "",
    dag_id: str = "",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    page: str = "1",
    sort: str = "day",
    order: str = "desc",
) -> Search:
    problem: BadAddressError | None = None
    days: tuple[date | None, date | None] = (None, None)
    try:
        days = read_days(since, until)
    except BadAddressError as error:
        problem = error
    where = JobFilter(
        spec=spec,
        team=team,
        dag_id=dag_id,
        state=state,
        since=days[0],
        until=days[1],
        text=_wanted(q),
    )
    # No list has this many pages.
    if not (page.isascii() and page.isdigit() and len(page) < 7 and int(page)):  # noqa: PLR2004
        raise BadAddressError(f"{page[:40]!r} is not a valid page number.")
    if sort not in SORTABLE or order not in ("asc", "desc"):
        raise BadAddressError(f"Jobs can be sorted by {', '.join(SORTABLE)}, in the order asc or desc.")
    return Search(where, int(page), cast("JobOrder", sort), order == "asc", (since, until), problem)


def _wanted(text: str) -> str:
    """The text to search for. A job's name or address is reduced to its id, which the table has."""
    if "/" not in text:
        return text.strip()
    try:
        return parse_job_name(text).job_id
    except ConfigurationError:
        return text.strip()


Searched = Annotated[Search, Depends(_search)]


@router.get("/jobs")
def jobs(request: Request, reader: CurrentReader, costs: Costs, search: Searched) -> Response:
    owners = costs.owners()
    where = reader.narrowed(owners, search.where)
    form: dict[str, Any] = {"search": search, "states": RECORDED_STATES, "dag_id": search.where.dag_id}
    if search.problem:
        return page(request, "jobs.html", status=400, hidden=None, jobs=(), **form)
    first = (search.page - 1) * JOBS_PER_PAGE
    found = costs.jobs(where, limit=JOBS_PER_PAGE, offset=first, sort=search.sort, ascending=search.ascending)
    return page(
        request,
        "jobs.html",
        **form,
        jobs=found,
        first=first + 1,
        count=first + len(found) if _is_last(found, search.page) else costs.count(where),
        marks=outside_expectation(costs, found),
        delivered=delivered(costs, [[each] for each in found]),
        failed_limits=failed_limits(),
        run_days=run_days(((each.job.dag_id, each.job.run_id) for each in found), timezones()),
        hidden=None if search.where.dag_id else reader.hidden(costs, owners),
    )


def _is_last(found: Sequence[JobCost], number: int) -> bool:
    """Whether a page of the list is the last one, so that nothing has to be counted."""
    return len(found) < JOBS_PER_PAGE and (bool(found) or number == 1)


@router.get("/running")
def running(
    request: Request,
    reader: CurrentReader,
    costs: CostsIfAny,
    search: Searched,
    *,
    part: str = "",
    run_id: str = "",
) -> Response:
    """Show the running jobs: a page, or the part that the script inserts into one."""
    where = search.where
    if where.dag_id and not reader.may_see(where.dag_id):
        raise HTTPException(404)
    wanted = {"text": where.text, "spec": where.spec, "team": where.team, "dag_id": where.dag_id}
    wanted["run_id"] = run_id
    return page(
        request,
        {"": "running.html", "card": "running_card.html"}.get(part, "running_part.html"),
        found=list_under_way(reader, costs, wanted),
        now=datetime.now(UTC),
        searched=any((where.text, where.spec, where.team)),
        dag_id=where.dag_id,
        run_id=run_id,
    )


@router.get("/cancel")
def confirm_cancel(
    request: Request,
    reader: CurrentReader,
    costs: CostsIfAny,
    key: Named,
) -> Response:
    """Show a job's current state and what cancelling it would mean. This changes nothing."""
    submission, read, error = _find(reader, key, costs)
    each = InFlight(submission, read, read.raw_state if read else NO_STATE)
    (estimate,) = estimate_costs(costs, [each])
    bill = costs.bill(submission.key) if costs else None
    clearing = Clearing(
        submission.task_id,
        each.spec,
        sum(each.rows) if each.rows else bill.rows.input_rows if bill else None,
        bill.rows.ok if bill else each.finished_rows,
        bill.total if bill else estimate.so_far,
        None if each.has_ended else estimate.whole,
        is_running=not each.has_ended,
        is_estimate=bill is None,
    )
    jobs = jobs_of_run(costs, submission.dag_id, submission.run_id)
    if bill is None and read:
        jobs.append(_without_bill(submission, read, each.finished_rows or 0))
    of_run = JobFilter(dag_id=submission.dag_id, run_id=submission.run_id)
    deliveries = costs.deliveries(of_run) if costs else []
    same_input = _deliveries_of_same_input(costs, each, read) if costs and read else []
    return page(
        request,
        "cancel.html",
        submission=submission,
        job=read,
        each=each,
        estimate=estimate,
        problem=what_happened(error) if error else "",
        bill=bill,
        clearing=clearing,
        rest=rest_of_run(costs, jobs, deliveries, submission.task_id),
        deliveries=[each for each in (*deliveries, *same_input) if not each.replaced_by],
        may_cancel=reader.may_cancel(submission.dag_id),
        token=sign(reader.user_id, _action(submission)),
    )


def _deliveries_of_same_input(costs: CostTable, each: InFlight, job: BatchPredictionJob) -> list[Delivery]:
    """What earlier runs of the same DAG have delivered of the input that a job reads."""
    mine = each.submission
    found = costs.answered(each.spec, job.input_uris, dag_id=mine.dag_id, run_id=mine.run_id)
    runs = {(mine.dag_id, one.job.run_id) for one in found if one.job.dag_id == mine.dag_id}
    return [delivery for of_run in costs.deliveries_of_runs(runs).values() for delivery in of_run]


@router.post("/cancel")
def cancel(
    request: Request,
    reader: CurrentReader,
    costs: CostsIfAny,
    form: Form,
) -> Response:
    """Cancel a job, and redirect to the page with its new state."""
    key = JobId(form.get("project", ""), form.get("location", ""), form.get("job", ""))
    submission, _, unread = _find(reader, key, costs)
    _demand_consent(request, reader, submission, form)
    _note(reader, submission)
    try:
        _cancel(submission, unread)
    except (VertexBatchError, AirflowException) as error:
        log.warning("Job %s could not be cancelled: %s", submission.key, error)
        text = (
            f"Vertex AI is not reachable: {what_happened(error)}. The job may still run and cost money. Try"
            " again, or cancel it in Google's console."
        )
        return page(request, "error.html", status=502, title="The job was not cancelled", text=text)
    finally:
        active_jobs.forget()
    project, location, job = submission.key
    return RedirectResponse(
        f"{address_of('/cancel')}?{query(project=project, location=location, job=job)}", 303
    )


def _demand_consent(
    request: Request, reader: Reader, submission: SubmittedJob, form: Mapping[str, str]
) -> None:
    if not reader.may_cancel(submission.dag_id):
        raise RefusedError(
            "Access denied",
            "Your role in Airflow may not end runs of this DAG, so you cannot cancel its jobs.",
        )
    if not is_own_form(request, form, reader.user_id, _action(submission)):
        raise RefusedError(
            "Nothing was cancelled",
            "The form is more than an hour old, or was not sent from this page. Open the job again.",
        )


def _action(submission: SubmittedJob) -> str:
    return "/".join(("cancel", *submission.key))


def _note(reader: Reader, submission: SubmittedJob) -> None:
    """Write the user to Airflow's audit log and the server's log, before anything is done."""
    job = "/".join(submission.key)
    with create_session() as session:
        session.add(
            Log(
                event=CANCEL_EVENT,
                owner=reader.name,
                owner_display_name=reader.name,
                dag_id=submission.dag_id,
                run_id=submission.run_id,
                task_id=submission.task_id,
                extra=json.dumps({"job": job}),
            )
        )
    log.info("%s cancels job %s of DAG %s, run %s", reader.name, job, submission.dag_id, submission.run_id)


def _cancel(submission: SubmittedJob, unread: Exception | None) -> None:
    """Cancel it, unless it could not be read: then it is not certain whose it is."""
    try:
        if unread:
            raise unread
        with open_client(submission.litellm_conn_id) as client:
            job = cancel_and_confirm(client, submission.key, confirm_seconds=CONFIRM_SECONDS)
    except CancelNotConfirmedError as error:
        log.info("%s", error)
    except NotFoundError:
        log.info("Job %s no longer exists; nothing to cancel", submission.key)
    else:
        log.info("Job %s is %s after the cancel request", submission.key, job.state)


def _without_bill(submission: SubmittedJob, job: BatchPredictionJob, answered: int) -> JobCost:
    """What is known of a job before its cost is recorded."""
    facts = JobFacts(
        *submission.key,
        dag_id=submission.dag_id,
        run_id=submission.run_id,
        task_id=submission.task_id,
        labels=job.labels,
        create_time=job.create_time,
    )
    return JobCost(facts, RowCounts(ok=answered), Total(Decimal(0), complete=False), 0, ())


def _find(
    reader: Reader, key: JobId, costs: CostTable | None
) -> tuple[SubmittedJob, BatchPredictionJob | None, Exception | None]:
    """The task that submitted a job, and the job as it is now; or None, and why it cannot be read."""
    for submission in find_submissions(reader, key, costs):
        try:
            with open_client(submission.litellm_conn_id) as client:
                job = client.get(*key)
        except (VertexBatchError, AirflowException) as error:
            log.warning("Job %s cannot be read: %s", key, error)
            return submission, None, error
        if submission.owns(job):
            return submission, job, None
    raise HTTPException(404)
