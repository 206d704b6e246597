"""The routes of one run, and of the bill of one job."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from vertex_batch.budgets import Ledger
from vertex_batch.costs import JobFilter, add_totals
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.results import main_reason
from vertex_batch.ui.access import CurrentReader
from vertex_batch.ui.bill_context import (
    bill_context,
    delivered,
    jobs_of_run,
    outside_expectation,
    rest_of_run,
)
from vertex_batch.ui.open_table import CostsIfAny, Named
from vertex_batch.ui.periods import BadAddressError
from vertex_batch.ui.problems import many_unanswered, who_cancelled
from vertex_batch.ui.render import address_of, page
from vertex_batch.ui.running.under_way import find_submissions
from vertex_batch.ui.runs.audit import marked_failed
from vertex_batch.ui.runs.cancelled import cancelled_run, without_consequences
from vertex_batch.ui.runs.clearing import clearings, latest_jobs
from vertex_batch.ui.runs.restoring import first_delivery, restoring
from vertex_batch.ui.runs.run_days import run_days
from vertex_batch.ui.runs.run_report import read_run
from vertex_batch.ui.spec_files import (
    failed_limits,
    result_options,
    retry_rows_of,
    timezones,
)
from vertex_batch.ui.words import query

router = APIRouter()

_MAX_LISTED = 200


@router.get("/run")
def run(
    request: Request, reader: CurrentReader, costs: CostsIfAny, dag_id: str = "", run_id: str = ""
) -> Response:
    if not dag_id:
        raise BadAddressError("The address of a run needs dag_id and run_id.")
    if not reader.may_see(dag_id):
        raise HTTPException(404)
    limits = failed_limits()
    if not run_id:
        # The page of the spec has its last runs, and the list of jobs those of a DAG that is not of a spec.
        its_runs = f"/?{query(spec=dag_id)}" if dag_id in limits else f"/jobs?{query(dag_id=dag_id)}"
        return RedirectResponse(address_of(its_runs), 303)
    where = JobFilter(dag_id=dag_id, run_id=run_id)
    found = jobs_of_run(costs, dag_id, run_id)
    listed = found[:_MAX_LISTED]
    whole = costs.bill(found[0].job.key) if costs and len(found) == 1 else None
    may_read_logs = reader.may_read_logs(dag_id)
    report = read_run(dag_id, run_id, with_reasons=may_read_logs)
    deliveries = costs.deliveries(where) if costs else []
    marked = marked_failed(dag_id, run_id) if reader.may_read_audit(dag_id) else None
    cancelled = cancelled_run(report, found, who_cancelled(reader, latest_jobs(found)), marked)
    if cancelled:
        were_killed = marked is not None and may_read_logs
        report = without_consequences(report, found, deliveries, were_killed=were_killed)
    failed = {end.task_id for end in report.failures}
    cut = [each for each in many_unanswered(deliveries, limits) if each.task_id not in failed]
    guesses = Ledger(costs).of_jobs([each.job.key for each in found]) if costs and report.has_failed else {}
    expected = {key: each.estimate.expected for key, each in guesses.items()}
    cut_short = clearings(found, expected) if report.has_failed else []
    rest = rest_of_run(costs, found, deliveries)
    total, unbilled = add_totals(each.total for each in found), report.unbilled(found)
    no_bill = {"bill": None, "money": None, "rest": rest}
    return page(
        request,
        "run.html",
        clearings=cut_short,
        jobs=found,
        listed=listed,
        total=replace(total, complete=total.complete and not unbilled),
        unbilled=unbilled,
        marks=outside_expectation(costs, listed) if costs else {},
        delivered=delivered(costs, [[each] for each in listed]) if costs else {},
        failed_limits=limits,
        report=report,
        notes=[f"{rest.staying.get(each.key) or ''} {each.reason}".lstrip() for each in report.notes],
        retry_rows=retry_rows_of(dag_id, report.dry_run.jobs[0].task_id) if report.dry_run else None,
        deliveries=deliveries,
        main_reason=main_reason(costs.failed_reasons(where), sum(each.exceptions for each in deliveries))
        if costs and deliveries
        else "",
        unanswered=None if cancelled else DeliverySums.of(cut),
        restorings={
            (each.task_id, each.map_index): how
            for each in deliveries
            if (how := restoring(each, found, result_options(each.spec, each.job_name)))
        },
        undelivered=[
            (
                task,
                "" if late else first_delivery(mine, result_options(mine[0].job.spec, mine[0].job.job_name)),
                late,
            )
            for task, mine, late in report.undelivered(found, deliveries)
        ],
        marked=marked,
        cancelled=cancelled,
        run_days=run_days([(dag_id, run_id)], timezones()),
        dag_id=dag_id,
        run_id=run_id,
        **(bill_context(reader, costs, whole, limits, rest) if costs and whole else no_bill),
    )


@router.get("/bill")
def bill(request: Request, reader: CurrentReader, costs: CostsIfAny, key: Named) -> Response:
    found = costs.bill(key) if costs else None
    if costs is None or found is None:
        submission = next(iter(find_submissions(reader, key, costs)), None)
        if submission is None:
            raise HTTPException(404)
        # It has no bill yet; the page of its run shows how far it is.
        its_run = query(dag_id=submission.dag_id, run_id=submission.run_id)
        return RedirectResponse(f"{address_of('/run')}?{its_run}", 303)
    # The same answer in both cases, so that a user who may not see a job does not learn that it exists.
    if not reader.may_see(found.job.owner):
        raise HTTPException(404)
    key_of_run = found.job.dag_id, found.job.run_id
    of_run = costs.deliveries_of_runs({key_of_run} if all(key_of_run) else ()).get(key_of_run, [])
    rest = rest_of_run(costs, jobs_of_run(costs, *key_of_run), of_run, found.job.task_id)
    deliveries = [each for each in of_run if each.is_of(found.job)]
    of_bill = bill_context(reader, costs, found, failed_limits(), rest)
    days = run_days([key_of_run], timezones())
    return page(request, "bill.html", **of_bill, deliveries=deliveries, run_days=days)
