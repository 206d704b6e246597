"""What the pages read from specs and budgets: limits, time zones, rounds, options of results, errors."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

from airflow.sdk import conf

from vertex_batch.budgets import Budget, Limit, Payer, Window
from vertex_batch.costs import JobFilter
from vertex_batch.specs import JobSpec, Spec, SpecError, SpecSet, load_specs, specs_folder
from vertex_batch.specs.results import Results, answer_schema_file
from vertex_batch.specs.retrying import ROUNDS, RetryRowsFields
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets
from vertex_batch.ui.words import MANY_FAILED

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PageLimits:
    """The limits of a spec, of a team, or of all teams together.

    :param month: the highest monthly limit; None if there is none, or it is not known.
    :param many_failed: the share of failed rows that is a problem.
    """

    month: Limit | None = None
    many_failed: Decimal = MANY_FAILED


def read_limits(where: JobFilter) -> PageLimits:
    """Read the limits of the jobs of a page. Without the files, there is no budget."""
    name = where.spec or where.dag_id
    if name and where.team:
        return PageLimits()
    try:
        if not name:
            payer = Payer.TEAM if where.team else Payer.EVERYONE
            return PageLimits(_of_month(_team_budget(where.team), payer, where.team))
        spec = _specs().get(name)
        budget = spec.budget.to_budget() if spec and spec.budget else None
        limit = _of_month(budget, Payer.SPEC, name)
        return PageLimits(limit, _many_failed(spec)) if spec else PageLimits()
    except SpecError as error:
        log.info("The pages show no limits: %s", error)
        return PageLimits()


def failed_limits() -> Mapping[str, Decimal]:
    """The share of failed rows that is a problem, of each spec; it is `MANY_FAILED` of others."""
    return {name: _many_failed(spec) for name, spec in _specs().items()}


def timezones() -> Mapping[str, str]:
    """The time zone of each spec."""
    return {name: spec.timezone for name, spec in _specs().items()}


def retried_reasons(name: str) -> frozenset[str]:
    """The reasons for which a spec's `retry_rows` sends rows again; empty if it does not."""
    spec = _specs().get(name)
    jobs = spec.jobs if spec else ()
    return frozenset(str(reason) for job in jobs if job.retry_rows for reason in job.retry_rows.reasons)


def what_rest_needs(name: str, task_id: str) -> str:
    """What a spec has to say to send the rows again, alone, that a job of a submit task did not reach.

    :returns: what a person does to it; empty if it can already.
    """
    job = _job_of(name, task_id)
    if job is None:
        return f"add `{ROUNDS}` (and `results`, if it has none) to the spec"
    if job.retry_rows is None:
        return job.how_to_retry_rows
    return (
        "" if "transient" in job.retry_rows.reasons else "add `transient` to `retry_rows.reasons` in the spec"
    )


def result_options(name: str, job_name: str) -> tuple[Results, str | None] | None:
    """What a job of a spec delivers, and the file with its JSON Schema; None if that cannot be read."""
    spec = _specs().get(name)
    for job in spec.jobs if spec else ():
        if spec and job.results and job_name in ("", job.name):
            schema = answer_schema_file(spec.file.parent if spec.file else None, job.results)
            return job.results, str(schema) if schema else None
    return None


def retry_rows_of(name: str, task_id: str) -> RetryRowsFields | None:
    """The rounds that follow a submit task of a spec; None if there are none, or if that cannot be read."""
    job = _job_of(name, task_id)
    return job.retry_rows if job else None


def _job_of(name: str, task_id: str) -> JobSpec | None:
    """The job of a spec that a task is of; None if the spec has no such job or cannot be read."""
    spec = _specs().get(name)
    group = task_id.partition(".")[0]
    return next((job for job in spec.jobs if not spec.grouped or job.name == group), None) if spec else None


def _many_failed(spec: Spec) -> Decimal:
    """The lowest `max_failed_ratio` of its jobs; a spec without one has 1: no limit."""
    ratio = min(job.max_failed_ratio for job in spec.jobs)
    return Decimal(str(ratio)) if ratio < 1 else MANY_FAILED


def broken_specs() -> Sequence[SpecError]:
    """What is wrong with each spec file that is broken."""
    return _loaded().errors


def _specs() -> Mapping[str, Spec]:
    return _loaded().specs


def _loaded() -> SpecSet:
    """The specs, which are read again only if a file has changed."""
    folder = specs_folder(conf.get("core", "dags_folder"))
    files = [(path, path.stat()) for path in sorted(folder.rglob("*.y*ml")) if path.is_file()]
    return _read(folder, tuple((str(path), found.st_mtime_ns, found.st_size) for path, found in files))


@lru_cache(maxsize=2)
def _read(folder: Path, files: tuple[tuple[str, int, int], ...]) -> SpecSet:
    return load_specs(folder) if files else SpecSet()


def _team_budget(team: str) -> Budget | None:
    file = budgets_file(specs_folder(conf.get("core", "dags_folder")))
    if file is None or not file.is_file():
        return None
    budgets = load_team_budgets(file)
    return budgets.teams.get(team) if team else budgets.everyone


def _of_month(budget: Budget | None, payer: Payer, name: str) -> Limit | None:
    limits = budget.limits_of(payer, name) if budget else []
    of_month = [limit for limit in limits if limit.account.period is Window.MONTH]
    return max(of_month, key=lambda limit: limit.usd, default=None)
