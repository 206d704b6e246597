"""A job spec -> an Airflow DAG: submit, wait, cancel if that went wrong, record what it cost in any case."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
from airflow.sdk import DAG, CronTriggerTimetable, TriggerRule

from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs.form import OVERRIDES, form, page
from vertex_batch.specs.load import SpecSet
from vertex_batch.specs.model import JobSpec
from vertex_batch.specs.problems import Problem, SpecError
from vertex_batch.specs.schedule import ONCE

TAG = "vertex-batch"
LONGEST_RETRY_DELAY = timedelta(hours=1)


def build_dag(spec: JobSpec, prices_folder: Path | None = None) -> DAG:
    """Build the DAG of one spec.

    :param prices_folder: where price files that hold for all specs lie.

    The run fails if ``wait`` or ``record_cost`` failed. Both clean-up tasks are teardowns: only those
    still run after a person has marked the run as failed. And because Airflow does not count ``cancel``, a
    teardown that it may ignore, ``wait`` and ``record_cost`` are the tasks that decide. An edge from ``wait``
    straight to ``record_cost`` would leave only the latter: a recorded bill would turn a failed run green.
    """
    dag = DAG(
        dag_id=spec.name,
        description=_first_line(spec.description),
        doc_md=page(spec),
        schedule=_timetable(spec),
        start_date=spec.start_date,
        end_date=spec.end_date,
        catchup=spec.catchup,
        max_active_runs=spec.max_active_runs,
        tags=[TAG, *spec.tags],
        params=form(spec),
        auto_register=False,  # it is the DAG file that offers it
        default_args={
            "owner": spec.owner,
            "retries": spec.retries,
            "retry_delay": spec.retry_delay,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": max(spec.retry_delay, LONGEST_RETRY_DELAY),
        },
    )
    # Airflow takes the zone from the start date, which a spec need not have. Our date names are of this zone.
    dag.timezone = pendulum.timezone(spec.timezone)
    with dag:
        submit = SubmitBatchPredictionJobOperator(task_id="submit", **_submit_arguments(spec))
        wait = BatchPredictionJobSensor(
            task_id="wait",
            job=submit.output,
            poll_interval_seconds=spec.poll_interval.total_seconds(),
            deadline_seconds=spec.deadline.total_seconds(),
            queue_deadline_seconds=_seconds(spec.queue_deadline),
            run_deadline_seconds=_seconds(spec.run_deadline),
            resubmits=spec.resubmits,
            max_failed_ratio=spec.max_failed_ratio,
            cancel_on_kill=spec.cancel_on_kill,
            litellm_conn_id=spec.connection,
        )
        cancel = CancelBatchPredictionJobOperator(
            task_id="cancel",
            submit_task_id=submit.task_id,
            resubmit_task_ids=[wait.task_id],
            project=spec.project,
            location=spec.location,
            litellm_conn_id=spec.connection,
        )
        record = AggregateTokenUsageOperator(
            task_id="record_cost",
            submit_task_id=submit.task_id,
            resubmit_task_ids=[wait.task_id],
            prices=spec.prices or None,
            price_folder=str(prices_folder) if prices_folder else None,
            max_unreadable_rows=spec.max_unreadable_rows,
            litellm_conn_id=spec.connection,
            gcp_conn_id=spec.storage_connection,
            batch_costs_conn_id=spec.cost_connection,
            spec=spec.name,
        )
        cancel.as_teardown()
        cancel.trigger_rule = TriggerRule.ONE_FAILED
        record.as_teardown(on_failure_fail_dagrun=True)
        submit >> wait >> cancel >> record
    return dag


def build_dags(found: SpecSet, prices_folder: Path | None = None) -> list[DAG]:
    """Build the DAG of every good spec; what Airflow refuses becomes one of the set's errors.

    A spec that loads should give a DAG. Where it does not, it still hides no other.
    """
    dags = []
    for spec in found.specs.values():
        try:
            dags.append(build_dag(spec, prices_folder))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not reach the other specs
            message = f"Airflow refuses the DAG of this spec: {type(error).__name__}: {error}"
            found.errors.append(SpecError(str(spec.file), [Problem(1, 1, "", message)]))
    return dags


def _submit_arguments(spec: JobSpec) -> dict[str, Any]:
    return {
        "model": spec.model,
        "inputs": spec.inputs,
        "output_uri": spec.output,
        "project": spec.project,
        "location": spec.location,
        "display_name": f"{spec.name} {{{{ run_date }}}}",
        "labels": spec.job_labels,
        "model_parameters": spec.generation or None,
        "overrides": OVERRIDES,
        "cancel_on_kill": spec.cancel_on_kill,
        "litellm_conn_id": spec.connection,
        "gcp_conn_id": spec.storage_connection,
        "spec": spec.name,
    }


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration else None


def _timetable(spec: JobSpec) -> Any:
    if spec.schedule in {None, ONCE}:
        return spec.schedule
    return CronTriggerTimetable(spec.schedule, timezone=spec.timezone)


def _first_line(text: str) -> str | None:
    return text.strip().partition("\n")[0] or None
