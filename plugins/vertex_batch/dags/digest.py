"""Operations: report every morning what the jobs of the day before cost."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import DAG

from vertex_batch.dags.operations import RETRIES, operations_dag
from vertex_batch.operators import SpendDigestOperator
from vertex_batch.specs import specs_folder
from vertex_batch.specs.team_budgets import budgets_file
from vertex_batch.tasks.forms import refuse_unknown_params, text_field

DOC = """
Reports the cost of yesterday's jobs (UTC) by spec and by team, and that of jobs of earlier days, such as of a
backfill, which ended yesterday; this month's spend compared with the budgets; and the jobs that failed, have
no price, are running, or were held or refused. The text is in the log and in the XCom `return_value`.

To send it, set `[vertex_batch] digest_notifier` to an Airflow notifier and `digest_arguments` to its
arguments as JSON, in which `{{ digest }}` is the text.
"""


def digest_dag(file: str) -> DAG:
    specs = specs_folder(Path(file).parent)
    budgets = budgets_file(specs)
    description = "Report what yesterday's batch prediction jobs cost"
    form = {"day": text_field("Day", "Default: yesterday.", format="date")}
    with operations_dag("digest", description, DOC, form, cron="0 7 * * *", default_args=RETRIES) as dag:
        SpendDigestOperator(
            task_id="digest",
            pre_execute=refuse_unknown_params,
            day="{{ params.day or '' }}",
            specs_folder=str(specs),
            budgets_file=str(budgets) if budgets else None,
        )
    return dag
