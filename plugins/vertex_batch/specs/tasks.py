"""The tasks of a spec's jobs: submit, wait, cancel if that went wrong, record what it cost in any case."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator, TaskGroup, TriggerRule

from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    CancelBatchPredictionJobOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs.form import OVERRIDES
from vertex_batch.specs.model import JobSpec, Spec

LONGEST_RETRY_DELAY = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class JobTasks:
    """The ends of a job's tasks: which begins, and which has results when it succeeds."""

    first: BaseOperator
    results: BaseOperator


def add_jobs(spec: Spec, prices_folder: Path | None) -> None:
    """Add the tasks of all jobs to the DAG that is being built, each job's in a group of its own."""
    made: dict[str, JobTasks] = {}
    for job in spec.jobs:
        group = TaskGroup(job.name) if spec.grouped else nullcontext()
        with group:
            made[job.name] = add_job(spec, job, prices_folder)
    for job in spec.jobs:
        tasks = made[job.name]
        for other in job.after:
            made[other].results >> tasks.first
        if job.after:
            # A job that this run leaves out, or that had nothing to do, does not hold up the others.
            tasks.first.trigger_rule = TriggerRule.NONE_FAILED


def add_job(spec: Spec, job: JobSpec, prices_folder: Path | None) -> JobTasks:
    """Add the tasks of one job.

    The run fails if ``wait`` or ``record_cost`` failed. Both clean-up tasks are teardowns: only those
    still run after a person has marked the run as failed. And because Airflow does not count ``cancel``, a
    teardown that it may ignore, ``wait`` and ``record_cost`` are the tasks that decide. An edge from ``wait``
    straight to ``record_cost`` would leave only the latter: a recorded bill would turn a failed run green.
    """
    always = _of_every_task(job)
    submit = SubmitBatchPredictionJobOperator(task_id="submit", **_submit_arguments(spec, job), **always)
    wait = BatchPredictionJobSensor(
        task_id="wait",
        job=submit.output,
        poll_interval_seconds=job.poll_interval.total_seconds(),
        deadline_seconds=job.deadline.total_seconds(),
        queue_deadline_seconds=_seconds(job.queue_deadline),
        run_deadline_seconds=_seconds(job.run_deadline),
        resubmits=job.resubmits,
        max_failed_ratio=job.max_failed_ratio,
        cancel_on_kill=job.cancel_on_kill,
        litellm_conn_id=job.connection,
        **always,
    )
    cancel = CancelBatchPredictionJobOperator(
        task_id="cancel",
        submit_task_id=submit.task_id,
        resubmit_task_ids=[wait.task_id],
        project=job.project,
        location=job.location,
        litellm_conn_id=job.connection,
        **always,
    )
    record = AggregateTokenUsageOperator(
        task_id="record_cost",
        submit_task_id=submit.task_id,
        resubmit_task_ids=[wait.task_id],
        prices=job.prices or None,
        price_folder=str(prices_folder) if prices_folder else None,
        max_unreadable_rows=job.max_unreadable_rows,
        litellm_conn_id=job.connection,
        gcp_conn_id=job.storage_connection,
        batch_costs_conn_id=job.cost_connection,
        spec=spec.name,
        **always,
    )
    cancel.as_teardown()
    cancel.trigger_rule = TriggerRule.ONE_FAILED
    record.as_teardown(on_failure_fail_dagrun=True)
    wait >> cancel >> record  # `wait` follows `submit` because it is given its output
    return JobTasks(submit, wait)


def _of_every_task(job: JobSpec) -> dict[str, Any]:
    return {
        "retries": job.retries,
        "retry_delay": job.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": max(job.retry_delay, LONGEST_RETRY_DELAY),
    }


def _submit_arguments(spec: Spec, job: JobSpec) -> dict[str, Any]:
    names = f"{spec.name} {job.name}" if spec.grouped else spec.name
    return {
        "model": job.model,
        "inputs": job.inputs,
        "output_uri": job.output,
        "project": job.project,
        "location": job.location,
        "display_name": f"{names} {{{{ run_date }}}}",
        "labels": job.job_labels,
        "model_parameters": job.generation or None,
        "overrides": OVERRIDES,
        "preflight": job.preflight,
        "cancel_on_kill": job.cancel_on_kill,
        "litellm_conn_id": job.connection,
        "gcp_conn_id": job.storage_connection,
        "spec": spec.name,
    }


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration else None
