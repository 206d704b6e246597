"""What no spec offers, for the system tests: waiting in the worker, Airflow's time-outs, mapped tasks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, TriggerRule

from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor

RETRIES = {"retries": 2, "retry_delay": timedelta(seconds=1)}


def build(dag_id: str, *, dagrun_timeout: timedelta | None = None, **waiting: Any) -> DAG:
    with DAG(dag_id, schedule=None, dagrun_timeout=dagrun_timeout, default_args=RETRIES) as dag:
        submit = SubmitBatchPredictionJobOperator(
            task_id="submit",
            model="gemini-3.8-flash",
            inputs=f"gs://demo-bucket/{dag_id}/{{{{ run_date }}}}.jsonl",
            output_uri=f"gs://demo-bucket/{dag_id}_out/",
        )
        wait = BatchPredictionJobSensor(task_id="wait", job=submit.output, poll_interval_seconds=1, **waiting)
        record = AggregateTokenUsageOperator(task_id="record_cost", submit_task_id="submit")
        record.as_teardown(on_failure_fail_dagrun=True)
        submit >> wait >> record
    return dag


in_worker = build("system_in_worker", deferrable=False)
in_worker_timeout = build(
    "system_in_worker_timeout", deferrable=False, execution_timeout=timedelta(seconds=5)
)
run_timeout = build("system_run_timeout", dagrun_timeout=timedelta(hours=1))


def build_mapped(dag_id: str, parts: int) -> DAG:
    """Submit and wait are mapped, the clean-up is not: a job for each part, one task that bills them all."""
    with DAG(dag_id, schedule=None, default_args=RETRIES) as dag:
        submit = SubmitBatchPredictionJobOperator.partial(
            task_id="submit", model="gemini-3.8-flash", output_uri=f"gs://demo-bucket/{dag_id}_out/"
        ).expand(
            inputs=[f"gs://demo-bucket/{dag_id}/{{{{ run_date }}}}.jsonl"] * parts,
        )
        wait = BatchPredictionJobSensor.partial(task_id="wait", poll_interval_seconds=1).expand(
            job=submit.output
        )
        of_all = {"submit_task_id": "submit", "resubmit_task_ids": ["wait"]}
        cancel = CancelBatchPredictionJobOperator(task_id="cancel", **of_all)
        record = AggregateTokenUsageOperator(task_id="record_cost", **of_all)
        cancel.as_teardown()
        cancel.trigger_rule = TriggerRule.ONE_FAILED
        record.as_teardown(on_failure_fail_dagrun=True)
        submit >> wait >> cancel >> record
    return dag


mapped = build_mapped("system_mapped", parts=3)
