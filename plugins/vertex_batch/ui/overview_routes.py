"""The routes about sums of costs: the overview and its exports."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import chain
from typing import Annotated, Any, cast, get_args

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from vertex_batch.billing.month_end import MonthEnd, month_end
from vertex_batch.billing.succession import ending_models
from vertex_batch.budgets import Ledger
from vertex_batch.costs import CostTable, FocusVersion, JobFilter, daily_csv, stream_csv
from vertex_batch.costs.deliveries import DeliverySums
from vertex_batch.pricing import PriceBook, from_proxy
from vertex_batch.ui.access import CurrentReader, Reader
from vertex_batch.ui.bill_context import delivered
from vertex_batch.ui.chart import draw, sparkline
from vertex_batch.ui.failures import main_failure
from vertex_batch.ui.nights import by_night, by_run, trends
from vertex_batch.ui.open_table import Costs, CostsIfAny
from vertex_batch.ui.overview import DAILY, By, Overview, View, explain_lower_bound, read_overview
from vertex_batch.ui.periods import BadAddressError, Days, read_period
from vertex_batch.ui.problems import read_problems
from vertex_batch.ui.render import page, static_file
from vertex_batch.ui.spec_files import failed_limits, read_limits
from vertex_batch.ui.spend import compare_months

router = APIRouter()

MAX_NIGHTS = 500
MAX_GROUPS = 50
MAX_RUNS = 14


def _today() -> date:
    return datetime.now(UTC).date()


Today = Annotated[date, Depends(_today)]


@cache
def _prices() -> PriceBook:
    """The packaged prices, which take longer to load than the page to make."""
    return PriceBook(from_proxy(None))


@dataclass(frozen=True, slots=True)
class OverviewQuery:
    """What an address asks for.

    :param given: the days as they were given, to show them in the form again.
    :param problem: why the period is invalid; the view then has the usual one.
    """

    view: View
    given: tuple[str, str]
    problem: BadAddressError | None = None


def _read_query(
    today: Today,
    *,
    by: str = "",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    spec: str = "",
    team: str = "",
    dag_id: str = "",
    compare: str = "",
) -> OverviewQuery:
    by = by or ("kind" if spec else "spec")
    if by not in get_args(By):
        raise BadAddressError(f"Spend can be shown by {', '.join(get_args(By))}, not by {by[:40]!r}.")
    problem = None
    try:
        period = read_period(since, until, today)
    except BadAddressError as error:
        problem, period = error, read_period("", "", today)
    where = JobFilter(spec=spec, team=team, dag_id=dag_id, since=period.since, until=period.until)
    return OverviewQuery(View(cast("By", by), period, where, compare == "previous"), (since, until), problem)


def _view(asked: Annotated[OverviewQuery, Depends(_read_query)]) -> View:
    if asked.problem:
        raise asked.problem
    return asked.view


Viewed = Annotated[View, Depends(_view)]


@router.get("/")
def overview(
    request: Request,
    reader: CurrentReader,
    costs: CostsIfAny,
    asked: Annotated[OverviewQuery, Depends(_read_query)],
    today: Today,
) -> Response:
    view = asked.view
    if costs is None:
        return _without_costs(request, reader, view, today)
    owners = costs.owners()
    where = reader.narrowed(owners, view.where)
    form: dict[str, Any] = {"view": view, "today": today, "asked": asked, "dag_id": view.where.dag_id}
    if asked.problem:
        return page(request, "period.html", status=400, **form)
    hidden = None if view.where.dag_id else reader.hidden(costs, owners)
    limits = read_limits(view.where)
    budget = None if hidden else limits.month
    by_spec = failed_limits()
    night = costs.deliveries_of_night(replace(where, since=None, until=None))
    found = read_overview(costs, where, view, today, by_spec, night=night)
    summary = found.summary
    unpriced = [] if summary.total.complete else costs.unpriced(where)
    of_spec = costs.jobs(where, limit=MAX_NIGHTS) if where.spec else []
    nights = by_night(each for each in of_spec if not each.job.is_sample)
    runs = by_run(of_spec)[:MAX_RUNS]
    return page(
        request,
        "overview.html",
        **form,
        found=found,
        spend=found.spend,
        chart=draw(found.spend),
        sparkline=sparkline([each.amount for each in found.trend]),
        months=compare_months(found.days, today),
        forecast=_forecast(costs, where, found, today),
        budget=budget,
        used=Ledger(costs).sums(budget.account, day=today).charged if budget else None,
        many_failed=limits.many_failed,
        failed_limits=by_spec,
        reason=main_failure(costs.failed_reasons(where)) if summary.rows.failed else "",
        nights=nights,
        runs=runs,
        delivered=delivered(costs, [run.jobs for run in runs]),
        trends=trends(nights),
        night=DeliverySums.of(night),
        of_night=night,
        needed=DeliverySums.of([each for each in night if not each.kept_at]),
        unpriced=unpriced,
        lower_bound=explain_lower_bound(found, unpriced),
        max_groups=MAX_GROUPS,
        ending=[each.describe(today) for each in ending_models(costs, where, today, book=_prices())],
        hidden=hidden,
        problems=read_problems(reader, costs, where, today, by_spec, night=night, dag_id=view.where.dag_id),
    )


def _without_costs(request: Request, reader: Reader, view: View, today: date) -> Response:
    """Nothing was recorded yet; runs may have failed."""
    dag_id = view.where.dag_id
    if dag_id and not reader.may_see(dag_id):
        raise HTTPException(404)
    problems = read_problems(reader, None, view.where, today, {}, dag_id=dag_id)
    return page(request, "nothing.html", problems=problems, dag_id=dag_id)


def _forecast(costs: CostTable, where: JobFilter, found: Overview, today: date) -> MonthEnd | None:
    """The end of this month, from the last day with jobs; None without jobs in this month."""
    latest = max((each.group[0] for each in found.days if each.group[0] <= today), default=date.min)
    if latest < today.replace(day=1):
        return None
    return month_end(costs, where, max(latest, today - timedelta(1)), book=_prices())


@router.get("/costs.csv")
def csv_file(reader: CurrentReader, costs: Costs, view: Viewed) -> Response:
    text = daily_csv(view.by, costs.totals(DAILY[view.by], where=reader.narrowed(costs.owners(), view.where)))
    return Response(text, media_type=_CSV, headers=_download(f"batch-costs-by-{view.by}", view.period))


@router.get("/focus.csv")
def focus_file(reader: CurrentReader, costs: Costs, view: Viewed, version: str = "1.2") -> Response:
    """Answer with the line items of the period in the columns of a version of FOCUS."""
    if version not in set(FocusVersion):
        raise BadAddressError(
            f"FOCUS is written in version {' or '.join(FocusVersion)}, not {version[:40]!r}."
        )
    rows = costs.focus(reader.narrowed(costs.owners(), view.where), FocusVersion(version))
    # Read the first row now, so that a failing database gives an error page and not half a file.
    begun = chain([next(rows)], rows)
    name = f"batch-costs-focus-{version}"
    return StreamingResponse(stream_csv(begun), media_type=_CSV, headers=_download(name, view.period))


@router.get("/static/{name}")
def static(name: str) -> Response:
    return static_file(name)


_CSV = "text/csv; charset=utf-8"


def _download(name: str, period: Days) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}-{period.since}-{period.until}.csv"'}
