"""Operations: price recorded jobs anew after a price was corrected, or compare them with today's prices."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG, Param

from vertex_batch.operators import RepriceJobsOperator
from vertex_batch.specs import prices_folder, specs_folder

DOC = """
Prices recorded jobs anew, from the tokens in the cost table; their outputs are not read.

* The prices are those of a recording of today: the spec's, the files of `include/pricing/`, the proxy's.
* **Only compare** is on by default: look at the log first, then run it again without.
* What line items were before stays in `cost_price_history`. Doing it twice changes nothing more.
"""
SPECS = specs_folder(Path(__file__).parent)


def _text(title: str, description: str = "", **more: str) -> Param:
    return Param(default=None, type=["null", "string"], title=title, description_md=description, **more)


with DAG(
    dag_id="vertex_batch_reprice",
    description="Price recorded batch prediction jobs anew",
    doc_md=DOC,
    schedule=None,
    max_active_runs=1,
    tags=["vertex-batch", "operations"],
    params={
        "since": _text(
            "First day", "Such as `2026-11-01`: the UTC day that the job is billed to.", format="date"
        ),
        "until": _text("Last day", "Inclusive.", format="date"),
        "spec": _text("Spec", "Jobs of this spec."),
        "team": _text("Team", "Jobs with this label `team`."),
        "job_ids": Param(
            default=None,
            type=["null", "array", "string"],
            items={"type": "string"},
            title="Jobs",
            description_md="One id per line.",
        ),
        "only_compare": Param(
            default=True,
            type="boolean",
            title="Only compare",
            description_md="The log and the XCom say what would change; nothing is written.",
        ),
        "connection": _text("Connection", "Of the LiteLLM proxy. Default: `litellm_default`."),
        "costs": _text("Cost table", "Its connection. Default: `batch_costs`."),
    },
) as dag:
    RepriceJobsOperator(
        task_id="reprice",
        since="{{ params.since or '' }}",
        until="{{ params.until or '' }}",
        spec="{{ params.spec or '' }}",
        team="{{ params.team or '' }}",
        job_ids="{{ params.job_ids if params.job_ids is string else (params.job_ids or []) | join(' ') }}",
        only_compare="{{ params.only_compare }}",
        specs_folder=str(SPECS),
        price_folder=str(prices_folder(SPECS)),
        litellm_conn_id="{{ params.connection or 'litellm_default' }}",
        batch_costs_conn_id="{{ params.costs or 'batch_costs' }}",
    )
