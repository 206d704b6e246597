"""The operators of a spec's job, with its settings. `tasks` connects them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import TriggerRule

from vertex_batch.dag_factory.form import OVERRIDES
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    BudgetSettings,
    CheckTasksOperator,
    DeliverResultsOperator,
    PlanInputsOperator,
    PrepareRetryOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.rendering import display_name
from vertex_batch.specs.results import Results, answer_schema_file
from vertex_batch.tasks.forms import refuse_unknown_params
from vertex_batch.tasks.rounds import RoundTasks

LONGEST_RETRY_DELAY = timedelta(hours=1)
FEWEST_RESUMED_RETRIES = 2
"""Of tasks that give up their worker and resume. An executor counts a task by its key, which stays the same.

If a busy scheduler sees the exit of the first process only after the resumed one was queued, it takes the
resumed one for dead, and Airflow 3.3 counts that as a failed try ("Executor ... reported that the task
instance ... finished with state success, but the task instance's state attribute is queued"). Without a retry
the run would be lost, and its job cancelled. A retry resumes the same job and costs nothing.
"""


class JobOperators:
    """Makes the operators of one job.

    :param prices_folder: folder with the price files for all specs.
    :param budgets_file: the file with the limits of teams.
    """

    def __init__(
        self, spec: Spec, job: JobSpec, prices_folder: Path | None, budgets_file: Path | None
    ) -> None:
        self.spec, self.job = spec, job
        self._folder = spec.file.parent if spec.file else None
        self._always: dict[str, Any] = {
            "litellm_conn_id": job.connection,
            "retries": job.retries,
            "retry_delay": job.retry_delay,
            "retry_exponential_backoff": 2.0,
            "max_retry_delay": max(job.retry_delay, LONGEST_RETRY_DELAY),
        }
        self._resumed = {**self._always, "retries": max(job.retries, FEWEST_RESUMED_RETRIES)}
        self._storage: dict[str, Any] = {"gcp_conn_id": job.storage_connection}
        self._named: dict[str, Any] = {"job_name": job.name if spec.grouped else "", **self._storage}
        self._place: dict[str, Any] = {"project": job.project, "location": job.location}
        self._staged: dict[str, Any] = {
            "model": job.model,
            "output_uri": job.output,
            "staging": job.staging,
            "max_rows": job.max_rows_per_job,
            "max_bytes": job.max_bytes_per_job,
        }
        self._checked: dict[str, Any] = {
            "preflight": job.preflight,
            "key": job.results.key if job.results else None,
            "failure_limits": job.failure_limits,
        }
        self._prices: dict[str, Any] = {
            "prices": job.prices or None,
            "price_folder": str(prices_folder) if prices_folder else None,
            "batch_costs_conn_id": job.cost_connection,
        }
        self._money = BudgetSettings(
            estimate=True,
            budget=spec.budget.to_budget() if spec.budget else None,
            budgets_file=str(budgets_file) if budgets_file else None,
            **self._prices,
        )

    def plan(self) -> PlanInputsOperator:
        return PlanInputsOperator(
            task_id="plan_inputs",
            pre_execute=refuse_unknown_params,
            inputs=self.job.inputs,
            overrides={field: OVERRIDES[field] for field in ("inputs", "model")},
            **self._checked,
            **self._staged,
            **self._place,
            **self._named,
            **self._always,
        )

    def submit(self, prefix: str, part: object, plan_task_id: str | None) -> SubmitBatchPredictionJobOperator:
        """Make the task that submits one Vertex job.

        :param prefix: of the task's id.
        :param part: the part of the input that it reads, if there is a plan.
        :param plan_task_id: the task with the plan.
        """
        job, may_be_held = self.job, bool(self._money.budget or self._money.budgets_file)
        submit = SubmitBatchPredictionJobOperator(
            task_id=f"{prefix}submit",
            task_display_name="submit",
            part=part,
            plan_task_id=plan_task_id,
            money=self._money,
            pre_execute=refuse_unknown_params,
            model=job.model,
            inputs=job.inputs,
            output_uri=job.output,
            display_name=display_name(self.spec, job),
            labels=job.job_labels,
            model_parameters=job.generation or None,
            overrides=OVERRIDES,
            **self._checked,
            cancel_on_kill=job.cancel_on_kill,
            spec=self.spec.name,
            answers=job.results.describe(job.results.to) if job.results else "",
            deliver_to=job.results.to if job.results else "",
            **self._place,
            **self._named,
            **(self._resumed if may_be_held else self._always),
        )
        submit.is_unsplit = part is None
        return submit

    def wait(self, submit: SubmitBatchPredictionJobOperator, prefix: str) -> BatchPredictionJobSensor:
        job = self.job
        return BatchPredictionJobSensor(
            task_id=f"{prefix}wait",
            task_display_name="wait",
            job=submit.output,
            poll_interval_seconds=job.poll_interval.total_seconds(),
            deadline_seconds=job.deadline.total_seconds(),
            queue_deadline_seconds=_seconds(job.queue_deadline),
            run_deadline_seconds=_seconds(job.run_deadline),
            resubmits=job.resubmits,
            max_failed_ratio=job.max_failed_ratio,
            fail_without_answers=job.retry_rows is None,
            rest_is_sent_again=job.retry_rows is not None,
            cancel_on_kill=job.cancel_on_kill,
            **self._resumed,
        )

    def record(
        self, submit_task_id: str, wait_task_id: str, plan_task_id: str | None, *, fails_run: bool
    ) -> AggregateTokenUsageOperator:
        """Make the task that records the jobs of a submit task.

        :param fails_run: whether the run fails with it.
        """
        record = AggregateTokenUsageOperator(
            task_id="record_cost",
            submit_task_id=submit_task_id,
            resubmit_task_ids=[wait_task_id],
            plan_task_id=plan_task_id,
            max_unreadable_rows=self.job.max_unreadable_rows,
            max_unrecognized_rows=self.job.max_unrecognized_rows,
            fail_without_answers=self.job.retry_rows is None,
            spec=self.spec.name,
            **self._storage,
            **self._place,
            **self._prices,
            **self._always,
        )
        record.as_teardown(on_failure_fail_dagrun=fails_run)
        return record

    def deliver(
        self, results: Results, record: AggregateTokenUsageOperator, retry_record_task_ids: Sequence[str]
    ) -> DeliverResultsOperator:
        return DeliverResultsOperator(
            task_id="deliver",
            to=results.to,
            inputs=self.job.inputs,
            overrides={"inputs": OVERRIDES["inputs"]},
            record_task_id=record.task_id,
            retry_record_task_ids=retry_record_task_ids,
            plan_task_id=record.plan_task_id,
            keep=results.keep,
            max_exceptions_ratio=results.max_exceptions_ratio,
            **self._answers(results),
            **self._prices,
            **self._named,
            **self._always,
        )

    def check(self, task_ids: Iterable[str], deliver_task_id: str | None) -> CheckTasksOperator:
        """Make the task that fails a run if a task of the job has failed, or answers are not delivered."""
        waiting = {name: value for name, value in self._always.items() if name != "litellm_conn_id"}
        check = CheckTasksOperator(
            task_id="check_tasks",
            task_ids=sorted(task_ids),
            # Only rows that are sent again may be paid for after the delivery.
            deliver_task_id=deliver_task_id if self.job.retry_rows else None,
            batch_costs_conn_id=self.job.cost_connection,
            **waiting,
        )
        check.as_teardown(on_failure_fail_dagrun=True)
        return check

    def prepare(
        self, results: Results, number: int, rounds: RoundTasks, reasons: Sequence[str]
    ) -> PrepareRetryOperator:
        """Make the task that finds the rows of a round, of which the first is 1."""
        return PrepareRetryOperator(
            task_id="prepare",
            round=number,
            rounds=rounds,
            reasons=reasons,
            overrides={"model": OVERRIDES["model"]},
            # A run that only sends rows of an earlier run again skips the tasks before the first round.
            trigger_rule=(
                TriggerRule.NONE_FAILED if number == 1 else TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
            ),
            **self._answers(results),
            **self._staged,
            **self._place,
            **self._named,
            **self._always,
        )

    def _answers(self, results: Results) -> dict[str, Any]:
        schema = answer_schema_file(self._folder, results)
        return {"key": results.key, "answer": results.answer, "schema": str(schema) if schema else None}


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration else None
