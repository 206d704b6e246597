"""The trigger forms: fields of several DAGs, the templates that read them, and the check of their keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.specs.problems import did_you_mean
from vertex_batch.tasks.outcome import explained

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

JOB_IDS = "{{ params.job_ids if params.job_ids is string else (params.job_ids or []) | join(' ') }}"
"""The value of `job_ids_field` as one string: the form sends a list, the API may send a string."""
CONNECTION = "{{ params.connection or 'litellm_default' }}"
"""The value of `connection_field`."""
RECORDED_JOBS = {
    "since": "{{ params.since or '' }}",
    "until": "{{ params.until or '' }}",
    "spec": "{{ params.spec or '' }}",
    "team": "{{ params.team or '' }}",
    "job_ids": JOB_IDS,
    "only_compare": "{{ params.only_compare }}",
    "litellm_conn_id": CONNECTION,
    "batch_costs_conn_id": "{{ params.costs or 'batch_costs' }}",
}
"""The values of `recorded_jobs_form`, as arguments of `RecordedJobsOperator`."""


def text_field(title: str, description: str = "", **schema: Any) -> Param:
    return Param(default=None, type=["null", "string"], title=title, description_md=description, **schema)


def job_ids_field() -> Param:
    return Param(
        default=None,
        type=["null", "array", "string"],
        items={"type": "string"},
        title="Jobs",
        description_md="One per line: an id, `PROJECT/LOCATION/ID`, or the address of its page at Google.",
    )


def connection_field() -> Param:
    return text_field("Connection", "The LiteLLM proxy's connection. Default: `litellm_default`.")


def recorded_jobs_form(**more: Param) -> dict[str, Param]:
    """Make the form that selects recorded jobs and whether anything is written.

    :param more: further fields, shown before the connections.
    """
    return {
        "since": text_field(
            "First day", "Such as `2026-11-01`: the UTC day to which the job is billed.", format="date"
        ),
        "until": text_field("Last day", "Inclusive.", format="date"),
        "spec": text_field("Spec", "Jobs of this spec."),
        "team": text_field("Team", "Jobs with this label `team`."),
        "job_ids": job_ids_field(),
        "only_compare": Param(
            default=True,
            type="boolean",
            title="Only compare",
            description_md="Only report, in the log and the XCom, what would change. Nothing is written.",
        ),
        **more,
        "connection": connection_field(),
        "costs": text_field("Cost table", "The cost table's connection. Default: `batch_costs`."),
    }


def unknown_keys(given: Iterable[str], known: Iterable[str]) -> str | None:
    """Report the keys that a form does not have, each with the nearest one that it has; None if it has all.

    >>> unknown_keys(["input", "dryrun"], ["input", "dry_run"])
    '`dryrun`; did you mean `dry_run`?'
    """
    fields = list(known)
    unknown = [f"`{key[:80]}`{did_you_mean(key, fields)}" for key in given if key not in fields]
    return ", ".join(unknown) or None


def refuse_unknown_params(context: Context) -> None:
    """Refuse a run that was triggered with a key that its form does not have.

    Airflow accepts any key and ignores it, so a misspelled one would run, and pay for, something else than
    what was asked for. This is the ``pre_execute`` of the first task of a DAG with a form.

    :raises AirflowFailException: there is such a key. A retry fails the same way.
    """
    known = sorted({*context["dag"].params, *context["task"].params})
    if unknown := unknown_keys(context["dag_run"].conf or {}, known):
        with explained(context, log):
            raise AirflowFailException(
                f"This run was triggered with a key that its form does not have: {unknown} Nothing was"
                f" submitted or changed. Trigger it again with these keys only: {', '.join(known)}."
            )
