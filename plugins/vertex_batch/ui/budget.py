"""The monthly limit of what a page shows, from the files that the API server can read."""

from __future__ import annotations

import logging
from decimal import Decimal

from airflow.sdk import conf

from vertex_batch.budgets import Budget, Window
from vertex_batch.costs import JobFilter
from vertex_batch.specs import SpecError, load_specs, specs_folder
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets

log = logging.getLogger(__name__)


def month_budget(where: JobFilter) -> Decimal | None:
    """Return the highest monthly limit of a spec, of a team, or of all teams together.

    None if there is none, if the page shows only a part of it, or if the API server does not have the file.
    """
    if where.dag_id and not where.spec:
        where = JobFilter(spec=where.dag_id)
    if where.spec and where.team:
        return None
    try:
        budget = _of_spec(where.spec) if where.spec else _of_team(where.team)
    except SpecError as error:
        log.info("The pages show no budget: %s", error)
        return None
    limits = budget.limits.get(Window.MONTH, {}) if budget else {}
    return max(limits.values(), default=None)


def _of_spec(name: str) -> Budget | None:
    folder = specs_folder(conf.get("core", "dags_folder"))
    spec = load_specs(folder, only=name).specs.get(name) if folder.is_dir() else None
    return spec.budget.to_budget() if spec and spec.budget else None


def _of_team(team: str) -> Budget | None:
    file = budgets_file(specs_folder(conf.get("core", "dags_folder")))
    if file is None or not file.is_file():
        return None
    budgets = load_team_budgets(file)
    return budgets.teams.get(team) if team else budgets.everyone
