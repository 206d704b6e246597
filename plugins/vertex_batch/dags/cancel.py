"""Operations: cancel batch prediction jobs by id or by label, from Airflow's trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Context
from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.dags.operations import PLACE, RETRIES, operations_dag, place_fields
from vertex_batch.operators import CancelBatchPredictionJobOperator
from vertex_batch.tasks.forms import (
    CONNECTION,
    JOB_IDS,
    connection_field,
    job_ids_field,
    refuse_unknown_params,
    text_field,
)

DOC = """
Cancels jobs at Vertex AI, including jobs that other tools submitted, and waits until each has ended.

* **Jobs**: their ids, `PROJECT/LOCATION/ID`, their resource names, or the addresses of their pages in the
  console. A name that contradicts the form's project or location is an error.
* **Label filter**: every active job that it matches, such as `labels.team="search"`.

Rows that were finished before the cancel are billed. The cancelled jobs are in the log of the task and in its
XCom `return_value`. If there is nothing to cancel, the task is skipped. Running it twice is harmless.
"""


class CancelFromFormOperator(CancelBatchPredictionJobOperator):
    """Cancel the jobs in the form, through the connection in the form."""

    def execute(self, context: Context) -> list[dict[str, Any]]:
        if not (self.job_ids or self.label_filter):
            message = "No jobs were selected. Fill in Jobs or Label filter. Nothing was cancelled."
            raise AirflowFailException(message)
        return super().execute(context)


def cancel_dag() -> DAG:
    form = {
        "job_ids": job_ids_field(),
        "label_filter": text_field("Label filter", 'In Vertex\'s grammar: `labels.team="search"`.'),
        **place_fields("the connection's"),
        "connection": connection_field(),
    }
    description = "Cancel batch prediction jobs by id or label"
    with operations_dag("cancel", description, DOC, form, default_args=RETRIES) as dag:
        CancelFromFormOperator(
            task_id="cancel",
            pre_execute=refuse_unknown_params,
            job_ids=JOB_IDS,
            label_filter="{{ params.label_filter or '' }}",
            litellm_conn_id=CONNECTION,
            **PLACE,
        )
    return dag
