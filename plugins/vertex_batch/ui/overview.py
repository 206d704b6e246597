"""What the overview shows, read from the cost table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from vertex_batch.budgets import Ledger
from vertex_batch.costs import CostTable, Delivery, GroupTotal, JobFilter, Total, about
from vertex_batch.costs.questions import UnpricedUsage
from vertex_batch.ui import numbers
from vertex_batch.ui.periods import Days, last_month
from vertex_batch.ui.spend import (
    SpendChart,
    Summary,
    add_groups,
    arrange,
    largest,
    rank,
    summarise,
    unread,
)
from vertex_batch.ui.unusual import DAYS_BEFORE, Unusual, factor, find_paid_again, find_unusual, often_run

By = Literal["spec", "model", "team", "kind"]
DAILY: dict[By, Literal["spec_day", "model_day", "team_day", "kind_day"]] = {
    "spec": "spec_day",
    "model": "model_day",
    "team": "team_day",
    "kind": "kind_day",
}


@dataclass(frozen=True, slots=True)
class View:
    """The parameters of an overview.

    :param where: which jobs of the period.
    :param compare: whether the chart shows the period before, too.
    """

    by: By
    period: Days
    where: JobFilter
    compare: bool = False

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
            "compare": "previous" if self.compare else "",
        }


@dataclass(frozen=True, slots=True)
class Overview:
    """The sums of a period, and of the one before.

    :param spend: for the chart and the tables; it begins with the first recorded day.
    :param days: sums by day, of this month and the last one and of both periods.
    :param before: what each group cost in the period before, by name; only by spec and by team.
    :param recent: of yesterday and today.
    """

    spend: SpendChart
    days: Sequence[GroupTotal]
    summary: Summary
    previous: Summary
    before: dict[str, Total]
    unusual: Sequence[Unusual]
    recent: Summary

    @property
    def trend(self) -> list[Total]:
        """The cost of a thousand answered rows, by day."""
        by_start: dict[date, list[GroupTotal]] = {}
        period = self.spend.period
        for each in _within(self.days, period):
            by_start.setdefault(period.start_of(each.group[0]), []).append(each)
        sums = (summarise(by_start[start]) for start in period.starts if start in by_start)
        return [cost for each in sums if (cost := each.per_thousand_rows)]

    @property
    def notes(self) -> dict[str, Unusual]:
        """The most important unusual thing of each spec."""
        return {each.spec: each for each in reversed(self.unusual)}

    @property
    def peaks(self) -> dict[date, Decimal]:
        """The bars that are far above those before them, with how many times the usual they are."""
        starts, totals = self.spend.days, self.spend.totals
        found = {}
        for n, start in enumerate(starts):
            earlier = [totals[each].amount for each in starts[max(0, n - DAYS_BEFORE) : n]]
            if times := factor(totals[start].amount, [amount for amount in earlier if amount]):
                found[start] = times
        return found


def explain_lower_bound(found: Overview, unpriced: Sequence[UnpricedUsage]) -> str:
    """Write why a sum is a lower bound, and how much is probably missing."""
    rows, said = found.summary.rows, []
    if rows.not_counted and rows.ok:
        likely = sum((unread(each.sums) for each in found.spend.groups if each.sums.rows), Decimal(0))
        part = numbers.share(rows.not_counted, rows.total)
        said.append(
            f"{rows.not_counted:,} of {rows.total:,} rows ({part}) could not be read. If they cost as much as"
            f" the others, about {about(likely or unread(found.summary))} USD is missing."
        )
    if not said or any(each.tokens for each in unpriced):
        said.append("Some usage has no price. It is listed below, and is not included.")
    return f"marks a lower bound. {' '.join(said)}"


def read_overview(
    costs: CostTable,
    where: JobFilter,
    view: View,
    today: date,
    failed_limits: Mapping[str, Decimal],
    *,
    night: Sequence[Delivery] = (),
) -> Overview:
    """Read the sums of an overview.

    :param where: the jobs of the view that the reader may see.
    :param failed_limits: the share of failed rows that is a problem, by spec.
    :param night: what was delivered in the last night.
    """
    period = view.period
    first = min(period.previous.since, last_month(today).since)
    days = costs.totals("day", first, max(period.until, today), where)
    recorded_since = costs.first_day(where)
    shown = _from_first_record(recorded_since, period)
    # A period that was recorded only in part cannot be compared.
    is_comparable = recorded_since is not None and recorded_since <= shown.previous.since
    before = _within(days, shown.previous) if is_comparable else []
    spend = _read_spend(costs, where, view, shown, before if view.compare else [])
    since = today - timedelta(DAYS_BEFORE)
    of_before = (
        costs.each_total(view.by_job, shown.previous.since, shown.previous.until, where)
        if before and view.by_job
        else ()
    )
    return Overview(
        spend=spend,
        days=days,
        summary=summarise(_within(days, period)),
        previous=summarise(before),
        before={each.group[0]: each.total for each in of_before},
        unusual=[
            *find_unusual(costs.each_total("spec_day", since, today, where), today, failed_limits),
            *_read_paid_again(costs, night),
        ],
        recent=summarise(_within(days, Days(today - timedelta(1), today))),
    )


def _read_paid_again(costs: CostTable, night: Sequence[Delivery]) -> list[Unusual]:
    if not (runs := often_run(night)):
        return []
    jobs = costs.jobs_of_runs(runs)
    stored = Ledger(costs).of_jobs([each.job.key for each in jobs])
    return find_paid_again(jobs, {key: each.estimate.size for key, each in stored.items()})


def _within(days: Sequence[GroupTotal], period: Days) -> list[GroupTotal]:
    return [each for each in days if period.since <= each.group[0] <= period.until]


def _from_first_record(first: date | None, period: Days) -> Days:
    """Leave out the days before the first job that was ever recorded."""
    is_later = first is not None and period.since < first <= period.until
    return Days(first, period.until) if first and is_later else period


def _read_spend(
    costs: CostTable, where: JobFilter, view: View, shown: Days, before: Sequence[GroupTotal]
) -> SpendChart:
    """Read the spend by group. If there are many specs, only the largest are read by day."""
    by, by_day = view.by_job, DAILY[view.by]
    if by is None:
        daily = costs.totals(by_day, where=where)
        return arrange(shown, add_groups(daily), daily, previous=before)
    groups = costs.totals(by, where=where)
    of_largest = by, frozenset(each.group[0] for each in rank(groups)[: largest(groups)])
    daily = costs.totals(by_day, where=replace(where, only=of_largest))
    has_rest = len(of_largest[1]) < len(groups)
    rest = costs.totals("day", where=replace(where, but=of_largest)) if has_rest else []
    return arrange(shown, groups, daily, rest, before)
