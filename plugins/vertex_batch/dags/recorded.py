"""Operations: reprice recorded jobs from their tokens, or recount their rows from their outputs."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.dags.operations import operations_dag
from vertex_batch.operators import RecountJobsOperator, RepriceJobsOperator
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import RECORDED_JOBS, recorded_jobs_form, refuse_unknown_params, text_field

_BOTH = """
* **Only compare** is on by default: check the log first, then run it again with it off.
* The old line items are kept in `cost_price_history`. Running it twice changes nothing more.
"""
REPRICE = f"""
Reprices recorded jobs from the tokens in the cost table. Their outputs are not read.

* It uses the prices that recording would use today: the spec's, the files in `include/pricing/`, the proxy's.
{_BOTH.lstrip()}"""
RECOUNT = f"""
Reads the outputs of recorded jobs again, row by row, and prices them as recording would today.

* If an output is gone, its bill is kept, and the task fails after the others are recounted.
{_BOTH.lstrip()}"""


def reprice_dag(file: str) -> DAG:
    description = "Reprice recorded batch prediction jobs"
    with operations_dag("reprice", description, REPRICE, recorded_jobs_form(), max_active_runs=1) as dag:
        RepriceJobsOperator(
            task_id="reprice", pre_execute=refuse_unknown_params, **_folders(file), **RECORDED_JOBS
        )
    return dag


def recount_dag(file: str) -> DAG:
    description = "Recount the rows of recorded batch prediction jobs"
    form = recorded_jobs_form(
        storage=text_field(
            "Storage", "The connection that reads the outputs. Default: `google_cloud_default`."
        )
    )
    with operations_dag("recount", description, RECOUNT, form, max_active_runs=1) as dag:
        RecountJobsOperator(
            task_id="recount",
            pre_execute=refuse_unknown_params,
            gcp_conn_id="{{ params.storage or 'google_cloud_default' }}",
            **_folders(file),
            **RECORDED_JOBS,
        )
    return dag


def _folders(file: str) -> dict[str, str]:
    specs = specs_folder(Path(file).parent)
    return {"specs_folder": str(specs), "price_folder": str(prices_folder(specs))}
