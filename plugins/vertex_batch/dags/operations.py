"""What the DAGs of operations share: their frame, and the fields of their forms for the place of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Param

from vertex_batch.tasks.forms import text_field

PLACE: dict[str, Any] = {"project": "{{ params.project or '' }}", "location": "{{ params.location or '' }}"}
"""The values of `place_fields`."""
RETRIES: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": 2.0,
}
"""For tasks that may be repeated at no cost."""


def place_fields(default: str) -> dict[str, Param]:
    """Make the fields for a project and a location; `default` says what an empty one stands for."""
    return {
        "project": text_field("Project", f"Google Cloud project id. Default: {default}."),
        "location": text_field("Location", f"Such as `us-central1`. Default: {default}."),
    }


def operations_dag(
    name: str,
    description: str,
    doc: str,
    form: Mapping[str, Param],
    *,
    cron: str | None = None,
    **more: Any,
) -> DAG:
    """Make the DAG ``vertex_batch_NAME``, without its tasks.

    :param cron: when it runs by itself, in UTC; None: by hand only.
    :param more: further arguments of Airflow's `DAG`.
    """
    regular: dict[str, Any] = {
        "start_date": datetime(2026, 1, 1, tzinfo=UTC),
        "catchup": False,
        "max_active_runs": 1,
    }
    return DAG(
        dag_id=f"vertex_batch_{name}",
        description=description,
        doc_md=doc,
        schedule=cron,
        tags=["vertex-batch", "operations"],
        params=dict(form),
        **(regular if cron else {}),
        **more,
    )
