"""Operations: price recorded jobs anew after a price was corrected, or compare them with today's prices."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.operators import RepriceJobsOperator
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.tasks.forms import RECORDED_JOBS, recorded_jobs_form

DOC = """
Prices recorded jobs anew, from the tokens in the cost table; their outputs are not read.

* The prices are those of a recording of today: the spec's, the files of `include/pricing/`, the proxy's.
* **Only compare** is on by default: look at the log first, then run it again without.
* What line items were before stays in `cost_price_history`. Doing it twice changes nothing more.
"""
SPECS = specs_folder(Path(__file__).parent)

with DAG(
    dag_id="vertex_batch_reprice",
    description="Price recorded batch prediction jobs anew",
    doc_md=DOC,
    schedule=None,
    max_active_runs=1,
    tags=["vertex-batch", "operations"],
    params=recorded_jobs_form(),
) as dag:
    RepriceJobsOperator(
        task_id="reprice",
        specs_folder=str(SPECS),
        price_folder=str(prices_folder(SPECS)),
        **RECORDED_JOBS,
    )
