"""The route of one job's bill."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import RedirectResponse

from vertex_batch.ui.access import CurrentReader
from vertex_batch.ui.bill_context import bill_context, jobs_of_run, rest_of_run
from vertex_batch.ui.open_table import CostsIfAny, Named
from vertex_batch.ui.render import address_of, page
from vertex_batch.ui.running.under_way import find_submission
from vertex_batch.ui.runs.run_days import run_days
from vertex_batch.ui.spec_files import failed_limits, timezones
from vertex_batch.ui.words import query

router = APIRouter()


@router.get("/bill")
def bill(request: Request, reader: CurrentReader, costs: CostsIfAny, key: Named) -> Response:
    found = costs.bill(key) if costs else None
    if costs is None or found is None:
        submission = find_submission(reader, key, costs)
        if submission is None:
            raise HTTPException(404)
        # It has no bill yet; the page of its run shows how far it is.
        run = query(dag_id=submission.dag_id, run_id=submission.run_id)
        return RedirectResponse(f"{address_of('/run')}?{run}", 303)
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
