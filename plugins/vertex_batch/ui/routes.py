"""What the addresses answer. Each reads the cost table, and fills in a template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Literal, cast, get_args

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from vertex_batch.costs import CostTable, GroupTotal, JobFilter, Total
from vertex_batch.ui.access import CurrentReader
from vertex_batch.ui.chart import draw
from vertex_batch.ui.export import to_csv
from vertex_batch.ui.periods import (
    BadAddressError,
    Period,
    last_month,
    read_day,
    read_period,
    so_far_last_month,
    this_month,
)
from vertex_batch.ui.render import page, static_file
from vertex_batch.ui.source import Costs
from vertex_batch.ui.spend import add, arrange

router = APIRouter()

By = Literal["spec", "model", "team"]
JOBS_PER_PAGE = 50
MAX_JOBS_OF_RUN = 500


def _today() -> date:
    return datetime.now(UTC).date()


Today = Annotated[date, Depends(_today)]


@dataclass(frozen=True, slots=True)
class View:
    """What the address of an overview asks for."""

    by: By
    period: Period
    dag_id: str


def _view(
    today: Today,
    by: str = "spec",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    dag_id: str = "",
) -> View:
    if by not in get_args(By):
        raise BadAddressError(f"Spend is shown by {', '.join(get_args(By))}; not by {by[:40]!r}.")
    return View(cast("By", by), read_period(since, until, today), dag_id)


Asked = Annotated[View, Depends(_view)]


@router.get("/")
def overview(request: Request, reader: CurrentReader, costs: Costs, view: Asked, today: Today) -> Response:
    where = _narrowed(reader, costs, JobFilter(dag_id=view.dag_id))
    daily = _daily(costs, where, view)
    spend = arrange(view.period.days, daily)
    return page(
        request,
        "overview.html",
        view=view,
        spend=spend,
        chart=draw(spend),
        groups=costs.totals(view.by, view.period.since, view.period.until, where),
        months={
            "This month": _total(costs, where, this_month(today)),
            "Last month to the same day": _total(costs, where, so_far_last_month(today)),
            "Last month": _total(costs, where, last_month(today)),
        },
        misses_some=not view.dag_id and reader.misses_some(costs),
        dag_id=view.dag_id,
    )


@router.get("/costs.csv")
def csv_file(reader: CurrentReader, costs: Costs, view: Asked) -> Response:
    where = _narrowed(reader, costs, JobFilter(dag_id=view.dag_id))
    name = f"batch-costs-by-{view.by}-{view.period.since}-{view.period.until}.csv"
    return Response(
        to_csv(view.by, _daily(costs, where, view)),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@dataclass(frozen=True, slots=True)
class Search:
    """What the address of a list of jobs asks for."""

    where: JobFilter
    page: int


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
) -> Search:
    where = JobFilter(
        spec=spec,
        team=team,
        dag_id=dag_id,
        state=state,
        since=read_day(since),
        until=read_day(until),
        text=q.strip(),
    )
    # More digits than these are no page of anybody's.
    if not (page.isascii() and page.isdigit() and len(page) < 7 and int(page)):  # noqa: PLR2004
        raise BadAddressError(f"{page[:40]!r} is not the number of a page.")
    return Search(where, int(page))


@router.get("/jobs")
def jobs(
    request: Request, reader: CurrentReader, costs: Costs, search: Annotated[Search, Depends(_search)]
) -> Response:
    where = _narrowed(reader, costs, search.where)
    first = (search.page - 1) * JOBS_PER_PAGE
    found = costs.jobs(where, limit=JOBS_PER_PAGE + 1, offset=first)
    states = costs.totals("state", where=reader.narrow(costs, JobFilter()))
    return page(
        request,
        "jobs.html",
        search=search,
        jobs=found[:JOBS_PER_PAGE],
        first=first + 1,
        more=len(found) > JOBS_PER_PAGE,
        states=[each.group[0] for each in states],
        misses_some=not where.dag_id and reader.misses_some(costs),
        dag_id=where.dag_id,
    )


@router.get("/bill")
def bill(
    request: Request,
    reader: CurrentReader,
    costs: Costs,
    *,
    project: str = "",
    location: str = "",
    job: str = "",
) -> Response:
    found = costs.bill(project, location, job)
    # The same answer for both: who may not see a job does not learn that it exists.
    if found is None or not reader.may_see(found.job.dag_id):
        raise HTTPException(404)
    return page(request, "bill.html", bill=found)


@router.get("/run")
def run(
    request: Request, reader: CurrentReader, costs: Costs, dag_id: str = "", run_id: str = ""
) -> Response:
    if not dag_id or not run_id:
        raise BadAddressError("A run is named by dag_id and run_id.")
    where = _narrowed(reader, costs, JobFilter(dag_id=dag_id, run_id=run_id))
    found = costs.jobs(where, limit=MAX_JOBS_OF_RUN)
    only = found[0].job if len(found) == 1 else None
    return page(
        request,
        "run.html",
        jobs=found,
        total=add(each.total for each in found),
        bill=costs.bill(only.project, only.location, only.job_id) if only else None,
        dag_id=dag_id,
        run_id=run_id,
    )


@router.get("/static/{name}")
def static(name: str) -> Response:
    found = static_file(name)
    if found is None:
        raise HTTPException(404)
    return found


def _narrowed(reader: CurrentReader, costs: CostTable, where: JobFilter) -> JobFilter:
    if where.dag_id and not reader.may_see(where.dag_id):
        raise HTTPException(404)
    return reader.narrow(costs, where)


def _daily(costs: CostTable, where: JobFilter, view: View) -> list[GroupTotal]:
    by: dict[By, Literal["spec_day", "model_day", "team_day"]] = {
        "spec": "spec_day",
        "model": "model_day",
        "team": "team_day",
    }
    return costs.totals(by[view.by], view.period.since, view.period.until, where)


def _total(costs: CostTable, where: JobFilter, period: Period) -> Total:
    return add(each.total for each in costs.totals("day", period.since, period.until, where))
