"""Operations: count the rows of recorded jobs again, from their outputs."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.operators import RecountJobsOperator
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import RECORDED_JOBS, recorded_jobs_form, text_field

DOC = """
Reads the outputs of recorded jobs again, row by row, and prices them as a recording of today does.

* A bill whose output is gone stays as it is, and the task fails once the others are counted.
* **Only compare** is on by default: look at the log first, then run it again without.
* What line items were before stays in `cost_price_history`. Doing it twice changes nothing more.
"""
SPECS = specs_folder(Path(__file__).parent)

with DAG(
    dag_id="vertex_batch_recount",
    description="Count the rows of recorded batch prediction jobs again",
    doc_md=DOC,
    schedule=None,
    max_active_runs=1,
    tags=["vertex-batch", "operations"],
    params=recorded_jobs_form(
        storage=text_field("Storage", "Connection that reads the outputs. Default: `google_cloud_default`."),
    ),
) as dag:
    RecountJobsOperator(
        task_id="recount",
        specs_folder=str(SPECS),
        price_folder=str(prices_folder(SPECS)),
        gcp_conn_id="{{ params.storage or 'google_cloud_default' }}",
        **RECORDED_JOBS,
    )
