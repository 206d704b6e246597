"""Operations: recount the rows of recorded jobs from their outputs."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.operators import RecountJobsOperator
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import RECORDED_JOBS, recorded_jobs_form, refuse_unknown_params, text_field

DOC = """
Reads the outputs of recorded jobs again, row by row, and prices them as recording would today.

* If an output is gone, its bill is kept, and the task fails after the others are recounted.
* **Only compare** is on by default: check the log first, then run it again with it off.
* The old line items are kept in `cost_price_history`. Running it twice changes nothing more.
"""


def recount_dag(file: str) -> DAG:
    """Build the DAG. `file` is the DAG file, beside which the specs are."""
    specs = specs_folder(Path(file).parent)
    with DAG(
        dag_id="vertex_batch_recount",
        description="Recount the rows of recorded batch prediction jobs",
        doc_md=DOC,
        schedule=None,
        max_active_runs=1,
        tags=["vertex-batch", "operations"],
        params=recorded_jobs_form(
            storage=text_field(
                "Storage", "The connection that reads the outputs. Default: `google_cloud_default`."
            ),
        ),
    ) as dag:
        RecountJobsOperator(
            task_id="recount",
            pre_execute=refuse_unknown_params,
            specs_folder=str(specs),
            price_folder=str(prices_folder(specs)),
            gcp_conn_id="{{ params.storage or 'google_cloud_default' }}",
            **RECORDED_JOBS,
        )
    return dag
