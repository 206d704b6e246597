"""Operations: find jobs that still run although their run is over, and record jobs without a bill."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from airflow.sdk import DAG, Param

from vertex_batch.billing.spec_settings import BillSettings, bill_settings
from vertex_batch.dags.operations import PLACE, RETRIES, operations_dag, place_fields
from vertex_batch.operators import ReapBatchPredictionJobsOperator
from vertex_batch.specs import job_places, specs_folder
from vertex_batch.tasks.forms import CONNECTION, connection_field, refuse_unknown_params

DOC = """
The safety net of last resort for cancelling and billing: it looks for jobs of this Airflow whose run is over.

* **Action**: `report` lists jobs that still run in the log and in the XCom `return_value`; `cancel` cancels
  them and waits until they have ended. A job whose run Airflow does not know is reported and never cancelled.
* **Record**: jobs that have ended and have no bill are recorded in the cost table, with their spec's prices.
  Airflow skips a run's `record_cost` when the run takes longer than its `dagrun_timeout`.

It checks the connection's project and location and those of all specs that use the connection, unless the
form has others. It runs every hour, records, and reports. To cancel every hour, write
`reap_dag(__file__, action="cancel")` in its DAG file.
"""


def reap_dag(file: str, *, action: Literal["report", "cancel"] = "report") -> DAG:
    """Make the DAG that looks every hour for jobs whose run is over.

    :param file: the DAG file, beside whose folder the specs are.
    :param action: what its hourly runs do with jobs that still run; the form of a manual run begins with it.
    """
    folder = Path(file).parent

    def settings_of(spec: str, task_id: str) -> BillSettings:
        """Read the spec only when one of its jobs has to be billed."""
        return bill_settings(specs_folder(folder), spec, task_id)

    def more_places(connection: str) -> set[tuple[str | None, str | None]]:
        return job_places(specs_folder(folder), connection)

    form = {
        "action": Param(action, enum=["report", "cancel"], title="Action"),
        "record_days": Param(
            7,
            type="number",
            minimum=0,
            title="Record",
            description="Record jobs that were created in the last so many days. 0: none.",
        ),
        **place_fields("the connection's, and those of all specs that use it"),
        "connection": connection_field(),
    }
    description = "Find batch prediction jobs that no task waits for"
    with operations_dag("reap", description, DOC, form, cron="17 * * * *", default_args=RETRIES) as dag:
        ReapBatchPredictionJobsOperator(
            task_id="reap",
            pre_execute=refuse_unknown_params,
            action="{{ params.action }}",
            record_days="{{ params.record_days }}",
            settings_of=settings_of,
            more_places=more_places,
            litellm_conn_id=CONNECTION,
            **PLACE,
        )
    return dag
