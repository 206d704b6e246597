"""What a person has chosen for one run: which jobs, which day, and whether anything is submitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow.sdk.exceptions import AirflowSkipException

from vertex_batch.errors import ConfigurationError
from vertex_batch.tasks.delivery_order import check_delivery

if TYPE_CHECKING:
    from airflow.sdk import Context

JOBS, DAY, DRY_RUN, RETRY_OF = "jobs", "run_date", "dry_run", "retry_of"
"""The params of the trigger form."""


def skip_unless_chosen(context: Context, job_name: str) -> None:
    """Skip a job that the run was not triggered for.

    :param job_name: empty for a task that cannot be chosen.
    :raises AirflowSkipException: the run was limited to other jobs.
    """
    chosen = _params(context).get(JOBS)
    if job_name and isinstance(chosen, list) and chosen and job_name not in chosen:
        names = ", ".join(map(str, chosen))
        raise AirflowSkipException(
            f"Skipped job {job_name}: this run was limited to {names}. Nothing was submitted for it."
        )


def retried_run(context: Context) -> str | None:
    """The id of the earlier run whose rows alone this run sends again; None for an ordinary run."""
    return earlier_run(_params(context))


def earlier_run(params: Mapping[str, object]) -> str | None:
    """The earlier run that the params of a run name; None for an ordinary run."""
    return str(params.get(RETRY_OF) or "").strip() or None


def skip_if_retry(context: Context, submit_task_id: str) -> None:
    """Skip a task of the first submission in a run that only sends rows of an earlier run again.

    :param submit_task_id: the task of the first submission that submits.
    :raises AirflowSkipException: it is one.
    :raises VersionNotReadError: this run does not have the rounds that send the rows. A retry succeeds later.
    """
    if run_id := retried_run(context):
        check_delivery(context, submit_task_id, needs_rounds=True)
        raise AirflowSkipException(
            f"This run only sends rows of run {run_id} again. Its whole input is not submitted."
        )


def chosen_day(context: Context) -> date | None:
    """The day that was entered for the run; see `entered_day`."""
    return entered_day(_params(context))


def entered_day(params: Mapping[str, object]) -> date | None:
    """The day that the params of a run name, or None.

    :raises ConfigurationError: the entry is not a valid day.
    """
    day = params.get(DAY)
    if not day:
        return None
    try:
        return date.fromisoformat(str(day))
    except ValueError as error:
        raise ConfigurationError(
            f"The param `{DAY}` is {str(day)[:40]!r}, which is not a valid day. Nothing was submitted.",
            "trigger the run again with a day such as 2026-11-22",
        ) from error


class StoredRun(Protocol):
    """A run as Airflow has stored it."""

    @property
    def conf(self) -> Mapping[str, Any] | None:
        """The params that were entered."""


_Run = TypeVar("_Run", bound=StoredRun)


def run_with_dates(run_id: str, find: Callable[[str], _Run | None]) -> tuple[_Run, date | None] | None:
    """Return the run whose dates a run has, and the day that was entered for it; None: it is not known.

    It is the run itself, unless that sent rows of an earlier run again. Then it is the first of these runs.

    :param find: looks up a run of the same DAG by its id; None: Airflow does not know it.
    :raises ConfigurationError: what was entered is not a valid day.
    """
    following: str | None = run_id
    seen, found = set[str](), None
    while following and following not in seen:
        seen.add(following)
        run = find(following)
        if run is None:
            return found if found and found[1] else None
        found = run, entered_day(run.conf or {})
        following = earlier_run(run.conf or {})
    return found


def check_day(run_id: str, day: date | None, entered: date | None, consequence: str) -> None:
    """See that a run that sends rows of an earlier run again has the day of that run.

    :param day: of the earlier run; None: Airflow does not know that run.
    :param entered: the day that was entered for the present run.
    :param consequence: what did not happen, such as "Nothing was submitted".
    :raises ConfigurationError: it has another day, so its answers would replace those of that day; or neither
        day is known.
    """
    if day is None and entered is None:
        raise ConfigurationError(
            f"Airflow does not know run {run_id} of this DAG, so the day of its answers is not known."
            f" {consequence}",
            "trigger again with the id of the run as Airflow shows it, such as"
            " scheduled__2026-11-22T02:30:00+00:00",
        )
    if day and entered and day != entered:
        raise ConfigurationError(
            f"Run {run_id} is of {day}, but the run date {entered} was entered. Its answers would be"
            f" delivered as those of {entered}. {consequence}",
            f"trigger again without a run date or with {day}, or run `vertex-batch retry-rows` without"
            f" `--date` or with `--date {day}`",
        )


def is_dry_run(context: Context) -> bool:
    """Whether nothing is to be submitted."""
    return _params(context).get(DRY_RUN) is True


def _params(context: Context) -> Mapping[str, object]:
    return context.get("params") or {}
