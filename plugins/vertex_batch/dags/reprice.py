"""Operations: reprice recorded jobs after a price was corrected, or compare them with today's prices."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.operators import RepriceJobsOperator
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import RECORDED_JOBS, recorded_jobs_form, refuse_unknown_params

DOC = """
Reprices recorded jobs from the tokens in the cost table. Their outputs are not read.

* It uses the prices that recording would use today: the spec's, the files in `include/pricing/`, the proxy's.
* **Only compare** is on by default: check the log first, then run it again with it off.
* The old line items are kept in `cost_price_history`. Running it twice changes nothing more.
"""


def reprice_dag(file: str) -> DAG:
    """Build the DAG. `file` is the DAG file, beside which the specs are."""
    specs = specs_folder(Path(file).parent)
    with DAG(
        dag_id="vertex_batch_reprice",
        description="Reprice recorded batch prediction jobs",
        doc_md=DOC,
        schedule=None,
        max_active_runs=1,
        tags=["vertex-batch", "operations"],
        params=recorded_jobs_form(),
    ) as dag:
        RepriceJobsOperator(
            task_id="reprice",
            pre_execute=refuse_unknown_params,
            specs_folder=str(specs),
            price_folder=str(prices_folder(specs)),
            **RECORDED_JOBS,
        )
    return dag
