"""Operations: tell every morning what the jobs of the day before have cost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, Param

from vertex_batch.operators import SpendDigestOperator
from vertex_batch.specs import specs_folder
from vertex_batch.specs.team_budgets import budgets_file

DOC = """
What the jobs of yesterday (UTC) have cost by spec and by team; this month against the budgets; what failed,
has no price, runs, was held or refused. The text is in the log and the XCom `return_value`.

To send it, name an Airflow notifier in `[vertex_batch] digest_notifier`, and what it is made with as JSON in
`digest_arguments`, where `{{ digest }}` is the text.
"""

_specs = specs_folder(Path(__file__).parent)
_budgets = budgets_file(_specs)

with DAG(
    dag_id="vertex_batch_digest",
    description="What yesterday's batch prediction jobs have cost",
    doc_md=DOC,
    schedule="0 7 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["vertex-batch", "operations"],
    params={
        "day": Param(
            None, type=["null", "string"], format="date", title="Day", description="Default: yesterday."
        ),
    },
) as dag:
    SpendDigestOperator(
        task_id="digest",
        day="{{ params.day or '' }}",
        specs_folder=str(_specs),
        budgets_file=str(_budgets) if _budgets else None,
    )
