"""Operations: cancel batch prediction jobs by id or by label, from Airflow's trigger form."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Context, Param
from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.operators import CancelBatchPredictionJobOperator

DOC = """
Cancels jobs at Vertex AI, whoever submitted them, and waits until each has ended.

* **Jobs**: their ids, their names as Google shows them, or the addresses of their pages in the console.
* **Label filter**: every active job it matches, such as `labels.team="search"`.

Rows that were finished before the cancel are billed. What was cancelled is in the log of the task and in its
XCom `return_value`; with nothing to cancel, the task is skipped. Running it twice is harmless.
"""


def _text(title: str, description: str) -> Param:
    return Param(default=None, type=["null", "string"], title=title, description_md=description)


class CancelFromFormOperator(CancelBatchPredictionJobOperator):
    """Cancel what the form names, by the connection that it names."""

    def execute(self, context: Context) -> Any:
        if not (self.job_ids or self.label_filter):
            message = "The form names no job: fill in Jobs or Label filter. Nothing was cancelled."
            raise AirflowFailException(message)
        return super().execute(context)


with DAG(
    dag_id="vertex_batch_cancel",
    description="Cancel batch prediction jobs by id or label",
    doc_md=DOC,
    schedule=None,
    tags=["vertex-batch", "operations"],
    params={
        "job_ids": Param(
            default=None,
            type=["null", "array", "string"],
            items={"type": "string"},
            title="Jobs",
            description_md="One id per line.",
        ),
        "label_filter": _text("Label filter", 'In Vertex\'s grammar: `labels.team="search"`.'),
        "project": _text("Project", "Google Cloud project id. Default: the connection's."),
        "location": _text("Location", "Such as `us-central1`. Default: the connection's."),
        "connection": _text("Connection", "Of the LiteLLM proxy. Default: `litellm_default`."),
    },
) as dag:
    CancelFromFormOperator(
        task_id="cancel",
        job_ids="{{ params.job_ids if params.job_ids is string else (params.job_ids or []) | join(' ') }}",
        label_filter="{{ params.label_filter or '' }}",
        project="{{ params.project or '' }}",
        location="{{ params.location or '' }}",
        litellm_conn_id="{{ params.connection or 'litellm_default' }}",
    )
