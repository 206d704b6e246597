"""The limits of what a page shows, from the files that the API server can read: budgets and failed rows."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from decimal import Decimal

from airflow.sdk import conf

from vertex_batch.budgets import Budget, Window
from vertex_batch.costs import JobFilter
from vertex_batch.specs import SpecError, load_specs, specs_folder
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets
from vertex_batch.ui.words import MANY_FAILED

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of a spec, of a team, or of all teams together.

    :param month_usd: the highest monthly limit; None if there is none, or it is not known.
    :param many_failed: the share of failed rows that is a problem.
    """

    month_usd: Decimal | None = None
    many_failed: Decimal = MANY_FAILED


def read_limits(where: JobFilter) -> PageLimits:
    """Read the limits of the jobs of a page. Without the files, there is no budget."""
    name = where.spec or where.dag_id
    if name and where.team:
        return PageLimits()
    try:
        return _of_spec(name) if name else PageLimits(_of_month(_team_budget(where.team)))
    except SpecError as error:
        log.info("The pages show no limits: %s", error)
        return PageLimits()


def _of_spec(name: str) -> PageLimits:
    folder = specs_folder(conf.get("core", "dags_folder"))
    spec = load_specs(folder, only=name).specs.get(name) if folder.is_dir() else None
    if spec is None:
        return PageLimits()
    ratio = min(job.max_failed_ratio for job in spec.jobs)
    many_failed = Decimal(str(ratio)) if ratio < 1 else MANY_FAILED
    return PageLimits(_of_month(spec.budget.to_budget() if spec.budget else None), many_failed)


def _team_budget(team: str) -> Budget | None:
    file = budgets_file(specs_folder(conf.get("core", "dags_folder")))
    if file is None or not file.is_file():
        return None
    budgets = load_team_budgets(file)
    return budgets.teams.get(team) if team else budgets.everyone


def _of_month(budget: Budget | None) -> Decimal | None:
    return max(budget.limits.get(Window.MONTH, {}).values(), default=None) if budget else None
