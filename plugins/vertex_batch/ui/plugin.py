"""Registers the cost pages and their places in Airflow's UI. The package's entry point names it.

Every process of Airflow imports this module, so it imports no web framework and no database.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.plugins_manager import AirflowPlugin
from airflow.sdk import conf

from vertex_batch.ui import URL_PREFIX, Pages

# Airflow puts the address into an iframe as it is, also where it is itself served below a path.
_ROOT = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/") + URL_PREFIX


class VertexBatchPlugin(AirflowPlugin):
    """The cost pages: all costs in the navigation, and tabs for one DAG and one run.

    The timetables are a plugin of their own: a fault in the pages must not stop the scheduler.
    """

    name = "vertex_batch"
    fastapi_apps = [  # noqa: RUF012 - it is Airflow that says what this is
        {"app": Pages(), "url_prefix": URL_PREFIX, "name": "Vertex AI batch costs"}
    ]
    external_views = [  # noqa: RUF012
        {
            "name": "Batch costs",
            "href": f"{_ROOT}/",
            "destination": "nav",
            "category": "browse",
            "url_route": "batch-costs",
        },
        {
            "name": "Batch costs",
            "href": f"{_ROOT}/?dag_id={{DAG_ID}}",
            "destination": "dag",
            "url_route": "dag-batch-costs",
        },
        {
            "name": "Batch costs",
            "href": f"{_ROOT}/run?dag_id={{DAG_ID}}&run_id={{RUN_ID}}",
            "destination": "dag_run",
            "url_route": "run-batch-costs",
        },
    ]
