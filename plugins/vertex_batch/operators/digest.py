"""Report once a day what was spent, what is left of the budgets, and what needs attention."""

from __future__ import annotations

import importlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseNotifier, BaseOperator, conf

from vertex_batch import budgets
from vertex_batch.billing.month_end import month_end
from vertex_batch.billing.succession import ending_models
from vertex_batch.budgets import Limit, Payer, Window
from vertex_batch.budgets.digest import DaySpend, Digest, highest
from vertex_batch.costs import JobFilter, RowCounts
from vertex_batch.errors import ConfigurationError, count_of
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.pricing import CONTRADICTION
from vertex_batch.specs import load_specs
from vertex_batch.specs.team_budgets import load_team_budgets
from vertex_batch.vertex.resource import STATES_WITH_RESULTS

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.costs import CostTable, GroupTotal

_SECTION = "vertex_batch"


class SpendDigestOperator(BaseOperator):
    """Write a digest of one day to the log and pass it to a notifier.

    :param day: the UTC day, such as ``2026-11-22``. Defaults to the day before the run.
    :param notifier: import path of an Airflow notifier. Defaults to ``[vertex_batch] digest_notifier``; if
        that is not set either, the digest is only logged. Its template fields may use ``{{ digest }}``.
    :param arguments: the notifier's arguments. Default: ``[vertex_batch] digest_arguments``, a JSON object.
    :param specs_folder: the specs whose budgets the spend is compared with.
    :param budgets_file: the limits of teams.
    :param batch_costs_conn_id: the cost table.
    :returns: the text of the digest.
    """

    template_fields = ("day",)

    def __init__(
        self,
        *,
        day: str = "",
        notifier: str | None = None,
        arguments: Mapping[str, Any] | None = None,
        specs_folder: str | None = None,
        budgets_file: str | None = None,
        batch_costs_conn_id: str = CostTableHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.day = day
        self.notifier = notifier
        self.arguments = arguments
        self.specs_folder = specs_folder
        self.budgets_file = budgets_file
        self.batch_costs_conn_id = batch_costs_conn_id

    def execute(self, context: Context) -> str:
        day = date.fromisoformat(self.day) if self.day else _day_before(context)
        text = self._digest(day).text()
        self.log.info("%s", text)
        path = self.notifier or conf.get(_SECTION, "digest_notifier", fallback=None)
        if path:
            extended: Any = {**context, "digest": text, "digest_day": str(day)}
            load_notifier(path)(**self._arguments())(extended)
        return text

    def _digest(self, day: date) -> Digest:
        table = CostTableHook(self.batch_costs_conn_id).table()
        ledger = budgets.Ledger(table)
        return Digest(
            day,
            specs=[_spend(group) for group in table.totals("spec", day, day)],
            teams=[_spend(group) for group in table.totals("team", day, day)],
            earlier=[_spend(group) for group in table.totals("spec", where=_of_earlier_days(day))],
            failed=_failed(table, day),
            month=[(limit, ledger.sums(limit.account, day=day)) for limit in self._limits()],
            running=ledger.unbilled(),
            kept_back=ledger.kept_back(day),
            month_end=str(month_end(table, JobFilter(), day)),
            price_flags=_price_flags(table, day),
            ending=[each.describe(day) for each in ending_models(table, JobFilter(), day)],
        )

    def _limits(self) -> list[Limit]:
        """The highest limit of each monthly account."""
        found: list[Limit] = []
        if self.budgets_file:
            teams = load_team_budgets(Path(self.budgets_file))
            if teams.everyone:
                found += teams.everyone.limits_of(Payer.EVERYONE, "")
            for team, budget in teams.teams.items():
                found += budget.limits_of(Payer.TEAM, team)
        if self.specs_folder:
            for name, spec in load_specs(self.specs_folder).specs.items():
                found += spec.budget.to_budget().limits_of(Payer.SPEC, name) if spec.budget else []
        return highest(limit for limit in found if limit.account.period is Window.MONTH)

    def _arguments(self) -> dict[str, Any]:
        if self.arguments is not None:
            return dict(self.arguments)
        written = conf.get(_SECTION, "digest_arguments", fallback=None) or "{}"
        try:
            read = json.loads(written)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise ConfigurationError(
                "[vertex_batch] digest_arguments must be a JSON object. The digest is in the task's log."
            )
        return read


def _spend(group: GroupTotal) -> DaySpend:
    rows = group.rows or RowCounts()
    name = str(group.group[0] or "")
    return DaySpend(name, group.total, group.jobs, rows.failed, rows.total, rows.unrecognized)


def _failed(table: CostTable, day: date) -> list[str]:
    return [
        f"{cost.job.spec or cost.job.dag_id}: {cost.job.state} job {cost.job.job_id}"
        for where in (JobFilter(since=day, until=day), _of_earlier_days(day))
        for cost in table.jobs(where)
        if cost.job.state not in STATES_WITH_RESULTS
    ]


def _of_earlier_days(day: date) -> JobFilter:
    """Jobs of earlier days that ended on this one: those of a backfill, or very long ones."""
    return JobFilter(until=day - timedelta(days=1), ended=day)


def _day_before(context: Context) -> date:
    """The day before that of the run, also when its task is cleared later."""
    dag_run: Any = context["dag_run"]
    run_after: datetime = dag_run.run_after
    return run_after.astimezone(UTC).date() - timedelta(days=1)


def _price_flags(table: CostTable, day: date) -> list[str]:
    """The flags about contradicting prices on the day's bills, and on how many bills each is."""
    found = Counter(
        flag
        for cost in table.jobs(JobFilter(since=day, until=day))
        for flag in cost.flags
        if flag.startswith(CONTRADICTION)
    )
    return [f"{flag} ({count_of(count, 'bill')})" for flag, count in found.most_common()]


def load_notifier(path: str) -> type[BaseNotifier]:
    """Import an Airflow notifier.

    :raises ConfigurationError: there is none at this path.
    """
    module, _, name = path.rpartition(".")
    found = getattr(importlib.import_module(module), name, None) if module else None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(
            f"{path} is not an Airflow notifier. What it would send is in the task's log."
        )
    return found
