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


def _view(destination: str, url_route: str, address: str, **more: str) -> dict[str, str]:
    href = f"{_ROOT}{address}"
    return {
        "name": "Batch costs",
        "href": href,
        "destination": destination,
        "url_route": url_route,
        **more,
    }


class VertexBatchPlugin(AirflowPlugin):
    """The cost pages: all costs in the navigation, and tabs for one DAG and one run.

    The timetables are a plugin of their own: a fault in the pages must not stop the scheduler.
    """

    name = "vertex_batch"
    fastapi_apps = [  # noqa: RUF012 - it is Airflow that says what this is
        {"app": Pages(), "url_prefix": URL_PREFIX, "name": "Vertex AI batch costs"}
    ]
    external_views = [  # noqa: RUF012
        _view("nav", "batch-costs", "/", category="browse"),
        _view("dag", "dag-batch-costs", "/?dag_id={DAG_ID}"),
        _view("dag_run", "run-batch-costs", "/run?dag_id={DAG_ID}&run_id={RUN_ID}"),
    ]
