"""Renders the jobs of a spec for one date without Airflow, for the command line."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter  # type: ignore[import-untyped]
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from vertex_batch.errors import ConfigurationError
from vertex_batch.inputs import file_pattern
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.run_dates import template_dates
from vertex_batch.specs.templates import TEMPLATE_PART, is_template


@dataclass(frozen=True, slots=True)
class RenderedJob:
    """One job of a spec, rendered for a date.

    :param project: None: the connection's; likewise for ``location``.
    :param delivery: the file of the answers; empty if they stay in the output.
    """

    project: str | None
    location: str | None
    uris: tuple[str, ...]
    output: str
    labels: dict[str, str]
    parameters: dict[str, object]
    display_name: str
    delivery: str = ""


def display_name(spec: Spec, job: JobSpec) -> str:
    """The template of a job's name in Google's console."""
    names = f"{spec.name} {job.name}" if spec.grouped else spec.name
    return f"{names} {{{{ run_date }}}}"


def moment_on(spec: Spec, day: date) -> datetime:
    """The logical time of a day's scheduled run, or midnight if none is scheduled on that day."""
    midnight = datetime.combine(day, time(), ZoneInfo(spec.timezone))
    due = _due(spec, midnight - timedelta(seconds=1), croniter.get_next)
    return due if due and due.date() == day else midnight


def latest_moment(spec: Spec, now: datetime) -> datetime:
    """The latest time of the cron schedule that has come; without one, the start of the day."""
    local = now.astimezone(ZoneInfo(spec.timezone))
    due = _due(spec, local, croniter.get_prev)
    return due or local.replace(hour=0, minute=0, second=0, microsecond=0)


def _due(
    spec: Spec, start: datetime, step: Callable[[croniter, type[datetime]], datetime]
) -> datetime | None:
    """The time of the cron schedule next to a start; None without such a schedule."""
    try:
        return step(croniter(spec.schedule, start), datetime) if isinstance(spec.schedule, str) else None
    except (ValueError, KeyError):
        return None


def render_job(spec: Spec, job: JobSpec, moment: datetime) -> RenderedJob:
    """Render a job's templates.

    :param moment: the run's logical time; see `run_dates`.
    :raises ConfigurationError: a template needs a value that only Airflow knows, or does not render.
    """
    names = {**_names(spec, job, moment), "run_id": "manual", "params": {}}

    def rendered(key: str, value: object) -> Any:
        if isinstance(value, dict):
            return {name: rendered(f"{key}.{name}", inner) for name, inner in value.items()}
        if isinstance(value, list):
            return [rendered(key, inner) for inner in value]
        return _render(spec, key, value, names) if isinstance(value, str) else value

    return RenderedJob(
        project=job.project,
        location=job.location,
        uris=tuple(map(file_pattern, rendered("inputs", job.inputs))),
        output=rendered("output", job.output),
        labels=rendered("labels", job.job_labels),
        parameters=rendered("generation", job.generation),
        display_name=rendered("name", display_name(spec, job)),
        delivery=rendered("results.to", job.results.to) if job.results else "",
    )


def render_pattern(spec: Spec, job: JobSpec, uri: str, moment: datetime) -> str:
    """Render an address of a job's inputs as a pattern of files. What only Airflow knows becomes `*`.

    :param moment: the run's logical time; see `run_dates`.
    """
    names = _names(spec, job, moment)

    def rendered(part: re.Match[str]) -> str:
        try:
            return _render(spec, "inputs", part[0], names)
        except ConfigurationError:
            return "*"

    return file_pattern(TEMPLATE_PART.sub(rendered, uri))


def _names(spec: Spec, job: JobSpec, moment: datetime) -> dict[str, object]:
    run = SimpleNamespace(partition_date=None, logical_date=moment, run_after=datetime.now(UTC))
    job_name = job.name if spec.grouped else spec.name
    return {**template_dates(run, spec.timezone), "job_name": job_name}


def _render(spec: Spec, key: str, text: str, names: dict[str, object]) -> str:
    if not is_template(text):
        return text
    try:
        return _environment().from_string(text).render(names)
    except (TemplateError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        raise ConfigurationError(
            f"{spec.file or spec.name}: {key}: `{text[:80]}` cannot be rendered outside Airflow: {error}."
            f" There, a template may use {', '.join(sorted(names))}. Nothing was submitted."
        ) from error


@cache
def _environment() -> ImmutableSandboxedEnvironment:
    # The texts become URIs and labels, never HTML.
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
