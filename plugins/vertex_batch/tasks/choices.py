"""What a person has chosen for one run: which jobs, which day, and whether anything is submitted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.resource import CreateJobRequest

if TYPE_CHECKING:
    from airflow.sdk import Context

JOBS, DAY, DRY_RUN = "jobs", "run_date", "dry_run"
"""The params of the trigger form."""


def skip_unless_chosen(context: Context, job_name: str) -> None:
    """Leave out a job that the run was not triggered for.

    :param job_name: empty for a task that is no part of a choice.
    :raises AirflowSkipException: other jobs were chosen, and not this one.
    """
    chosen = _params(context).get(JOBS)
    if job_name and isinstance(chosen, list) and chosen and job_name not in chosen:
        names = ", ".join(map(str, chosen))
        message = f"Job {job_name} was not chosen for this run ({names} was): nothing is submitted for it."
        raise AirflowSkipException(message)


def chosen_day(context: Context) -> date | None:
    """The day that the run was told to stand for.

    :raises ConfigurationError: what was entered is no day.
    """
    day = _params(context).get(DAY)
    if not day:
        return None
    try:
        return date.fromisoformat(str(day))
    except ValueError as error:
        raise ConfigurationError(
            f"The param {DAY} is {str(day)[:40]!r}, which is no day. Nothing was submitted.",
            "trigger the run again with a day such as 2026-11-22",
        ) from error


def is_dry_run(context: Context) -> bool:
    """Whether nothing is to be submitted."""
    return _params(context).get(DRY_RUN) is True


def end_dry_run(request: CreateJobRequest) -> None:
    """Say what would have been submitted.

    :raises AirflowSkipException: always.
    """
    body = json.dumps(request.to_wire(), indent=2, ensure_ascii=False)
    message = f"Dry run: the job was looked at and not submitted, and costs nothing. Its request is\n{body}"
    raise AirflowSkipException(message)


def _params(context: Context) -> Mapping[str, Any]:
    return context.get("params") or {}
