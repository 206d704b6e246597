"""The routes about sums of costs: the overview and its exports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import chain
from typing import Annotated, Any, Literal, cast, get_args

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi.responses import StreamingResponse

from vertex_batch.billing.succession import ending_models
from vertex_batch.costs import CostTable, FocusVersion, JobFilter, stream_csv
from vertex_batch.ui.access import CurrentReader
from vertex_batch.ui.chart import draw
from vertex_batch.ui.export import to_csv
from vertex_batch.ui.periods import BadAddressError, Days, last_month, read_period
from vertex_batch.ui.render import page, static_file
from vertex_batch.ui.source import Costs
from vertex_batch.ui.spend import SpendChart, add_groups, arrange, compare_months, largest, rank, summarise

router = APIRouter()

By = Literal["spec", "model", "team", "kind"]
_DAILY: dict[By, Literal["spec_day", "model_day", "team_day", "kind_day"]] = {
    "spec": "spec_day",
    "model": "model_day",
    "team": "team_day",
    "kind": "kind_day",
}
MAX_GROUPS = 100


def _today() -> date:
    return datetime.now(UTC).date()


Today = Annotated[date, Depends(_today)]


@dataclass(frozen=True, slots=True)
class View:
    """The parameters of an overview.

    :param where: which jobs of the period.
    """

    by: By
    period: Days
    where: JobFilter

    @property
    def by_job(self) -> Literal["spec", "team"] | None:
        """The grouping if each job is in only one group. A job may have several models and kinds."""
        return self.by if self.by in ("spec", "team") else None

    @property
    def address(self) -> dict[str, object]:
        """The same as the query of an address."""
        return {
            "by": self.by,
            "from": self.period.since,
            "to": self.period.until,
            "spec": self.where.spec,
            "team": self.where.team,
            "dag_id": self.where.dag_id,
        }


def _view(
    today: Today,
    *,
    by: str = "spec",
    since: Annotated[str, Query(alias="from")] = "",
    until: Annotated[str, Query(alias="to")] = "",
    spec: str = "",
    team: str = "",
    dag_id: str = "",
) -> View:
    if by not in get_args(By):
        raise BadAddressError(f"Spend can be shown by {', '.join(get_args(By))}, not by {by[:40]!r}.")
    period = read_period(since, until, today)
    where = JobFilter(spec=spec, team=team, dag_id=dag_id, since=period.since, until=period.until)
    return View(cast("By", by), period, where)


Asked = Annotated[View, Depends(_view)]


@router.get("/")
def overview(request: Request, reader: CurrentReader, costs: Costs, view: Asked, today: Today) -> Response:
    owners = costs.owners()
    where = reader.narrowed(owners, view.where)
    spend = _spend(costs, where, view)
    period, months = view.period, Days(last_month(today).since, today)
    first, last = min(period.since, months.since), max(period.until, months.until)
    days = costs.totals("day", first, last, where)
    summary = summarise([each for each in days if period.since <= each.group[0] <= period.until])
    return page(
        request,
        "overview.html",
        view=view,
        spend=spend,
        chart=draw(spend),
        summary=summary,
        months=compare_months(days, today),
        night=costs.last_night(replace(where, since=None, until=None)),
        unpriced=[] if summary.total.complete else costs.unpriced(where),
        today=today,
        max_groups=MAX_GROUPS,
        ending=[each.describe(today) for each in ending_models(costs, where, today)],
        hidden=None if view.where.dag_id else reader.hidden(costs, owners),
        dag_id=view.where.dag_id,
    )


@router.get("/costs.csv")
def csv_file(reader: CurrentReader, costs: Costs, view: Asked) -> Response:
    text = to_csv(view.by, costs.totals(_DAILY[view.by], where=reader.narrowed(costs.owners(), view.where)))
    return Response(text, media_type=_CSV, headers=_download(f"batch-costs-by-{view.by}", view.period))


@router.get("/focus.csv")
def focus_file(reader: CurrentReader, costs: Costs, view: Asked, version: str = "1.2") -> Response:
    """Answer with the line items of the period in the columns of a version of FOCUS."""
    if version not in set(FocusVersion):
        raise BadAddressError(
            f"FOCUS is written in version {' or '.join(FocusVersion)}, not {version[:40]!r}."
        )
    rows = costs.focus(reader.narrowed(costs.owners(), view.where), FocusVersion(version))
    name = f"batch-costs-focus-{version}"
    return StreamingResponse(stream_csv(_begun(rows)), media_type=_CSV, headers=_download(name, view.period))


@router.get("/static/{name}")
def static(name: str) -> Response:
    found = static_file(name)
    if found is None:
        raise HTTPException(404)
    return found


_CSV = "text/csv; charset=utf-8"


def _download(name: str, period: Days) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}-{period.since}-{period.until}.csv"'}


def _begun(rows: Iterator[Sequence[Any]]) -> Iterator[Sequence[Any]]:
    """Read the first row now, so that a failing database gives an error page and not half a file."""
    return chain([next(rows)], rows)


def _spend(costs: CostTable, where: JobFilter, view: View) -> SpendChart:
    """Read the spend for the overview. If there are many specs, only the largest are read by day."""
    by, by_day = view.by_job, _DAILY[view.by]
    if by is None:
        daily = costs.totals(by_day, where=where)
        return arrange(view.period, add_groups(daily), daily)
    groups = costs.totals(by, where=where)
    of_largest = by, frozenset(each.group[0] for each in rank(groups)[: largest(groups)])
    daily = costs.totals(by_day, where=replace(where, only=of_largest))
    has_rest = len(of_largest[1]) < len(groups)
    rest = costs.totals("day", where=replace(where, but=of_largest)) if has_rest else []
    return arrange(view.period, groups, daily, rest)
