"""Operations: find batch prediction jobs that run although their run is over, and cancel them if asked to."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, Param

from vertex_batch.operators import ReapBatchPredictionJobsOperator

DOC = """
The last net under all other ways in which a job is cancelled: it looks for active jobs of this Airflow
whose run is over.

* **Action** `report` names them in the log and in the XCom `return_value`; `cancel` cancels them and sees
  them end.
* A job whose run Airflow does not know is reported and never cancelled.

It runs every hour and reports. To have it cancel every hour, change the default below.
"""

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
        "project": Param(None, type=["null", "string"], title="Project", description="The connection's."),
        "location": Param(None, type=["null", "string"], title="Location", description="The connection's."),
        "connection": Param("litellm_default", type="string", title="Connection"),
    },
) as dag:
    ReapBatchPredictionJobsOperator(
        task_id="reap",
        action="{{ params.action }}",
        project="{{ params.project or '' }}",
        location="{{ params.location or '' }}",
        litellm_conn_id="{{ params.connection }}",
    )
