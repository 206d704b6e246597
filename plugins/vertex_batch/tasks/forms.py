"""What the trigger forms of several DAGs ask, and how their tasks read it."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param

JOB_IDS = "{{ params.job_ids if params.job_ids is string else (params.job_ids or []) | join(' ') }}"
"""The field of `job_ids_field` as one text: the form sends a list, the API may send a text."""
CONNECTION = "{{ params.connection or 'litellm_default' }}"
"""The field of `connection_field`."""
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
"""The fields of `recorded_jobs_form`, as `RecordedJobsOperator` takes them."""


def text_field(title: str, description: str = "", **schema: Any) -> Param:
    """Make the field of a text that may be left empty."""
    return Param(default=None, type=["null", "string"], title=title, description_md=description, **schema)


def job_ids_field() -> Param:
    """Make the field of several jobs."""
    return Param(
        default=None,
        type=["null", "array", "string"],
        items={"type": "string"},
        title="Jobs",
        description_md="One per line: an id, `PROJECT/LOCATION/ID`, or the address of the page at Google.",
    )


def connection_field() -> Param:
    """Make the field of the proxy's connection."""
    return text_field("Connection", "Of the LiteLLM proxy. Default: `litellm_default`.")


def recorded_jobs_form(**more: Param) -> dict[str, Param]:
    """Make the form that chooses recorded jobs, and says whether anything is written.

    :param more: further fields, shown before the connections.
    """
    return {
        "since": text_field(
            "First day", "Such as `2026-11-01`: the UTC day that the job is billed to.", format="date"
        ),
        "until": text_field("Last day", "Inclusive.", format="date"),
        "spec": text_field("Spec", "Jobs of this spec."),
        "team": text_field("Team", "Jobs with this label `team`."),
        "job_ids": job_ids_field(),
        "only_compare": Param(
            default=True,
            type="boolean",
            title="Only compare",
            description_md="The log and the XCom say what would change; nothing is written.",
        ),
        **more,
        "connection": connection_field(),
        "costs": text_field("Cost table", "Its connection. Default: `batch_costs`."),
    }
