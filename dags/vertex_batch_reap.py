"""Operations: find jobs that run although their run is over, and record jobs that nobody recorded."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, Param

from vertex_batch.billing.spec_settings import BillSettings, bill_settings
from vertex_batch.operators import ReapBatchPredictionJobsOperator
from vertex_batch.specs import job_places, specs_folder

DOC = """
The last net under all other ways in which a job is cancelled and billed: it looks for jobs of this Airflow
whose run is over.

* **Action**: jobs that still run are named in the log and in the XCom `return_value` by `report`; `cancel`
  cancels them and sees them end. A job whose run Airflow does not know is reported and never cancelled.
* **Record**: jobs that have ended and have no bill are recorded in the cost table, as their spec says.
  Airflow skips a run's `record_cost` when the run takes longer than its `dagrun_timeout`.

It looks where the connection says and where the specs that use it have their jobs, unless the form names a
place.
It runs every hour, reports and records. To have it cancel every hour, change the default below.
"""
_PLACES = "Default: the connection's, and those of all specs that use it."


def _settings_of(spec: str, task_id: str) -> BillSettings:
    """Read the spec only when a job of it has to be billed."""
    return bill_settings(specs_folder(Path(__file__).parent), spec, task_id)


def _more_places(connection: str) -> set[tuple[str | None, str | None]]:
    return job_places(specs_folder(Path(__file__).parent), connection)


with DAG(
    dag_id="vertex_batch_reap",
    description="Find batch prediction jobs that nobody waits for",
    doc_md=DOC,
    schedule="17 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["vertex-batch", "operations"],
    params={
        "action": Param("report", enum=["report", "cancel"], title="Action"),
        "record_days": Param(
            7,
            type="number",
            minimum=0,
            title="Record",
            description="Jobs that were created in so many days. 0: none.",
        ),
        "project": Param(None, type=["null", "string"], title="Project", description=_PLACES),
        "location": Param(None, type=["null", "string"], title="Location", description=_PLACES),
        "connection": Param("litellm_default", type="string", title="Connection"),
    },
) as dag:
    ReapBatchPredictionJobsOperator(
        task_id="reap",
        action="{{ params.action }}",
        record_days="{{ params.record_days }}",
        settings_of=_settings_of,
        more_places=_more_places,
        project="{{ params.project or '' }}",
        location="{{ params.location or '' }}",
        litellm_conn_id="{{ params.connection }}",
    )
