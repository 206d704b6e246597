"""The tasks of a spec's jobs: plan the input, submit, wait, and always record the cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup, TriggerRule, task_group

from vertex_batch.dag_factory.form import OVERRIDES
from vertex_batch.dag_factory.notices import on_cost
from vertex_batch.inputs import SHARDS_GROUP, retry_group
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    AnnounceResultsOperator,
    BudgetSettings,
    DeliverResultsOperator,
    PlanInputsOperator,
    PrepareRetryOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs.events import ASSET_PREFIX
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.rendering import display_name
from vertex_batch.specs.results import answer_schema_file
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


@dataclass(frozen=True, slots=True)
class JobTasks:
    """A job's tasks, as far as others follow them.

    :param results: those that have results when they succeed.
    :param bill: the bill of the first submission.
    :param delivery: the task that delivers the answers; it is one of `results`.
    """

    first: BaseOperator
    results: tuple[BaseOperator, ...]
    bill: BaseOperator
    delivery: BaseOperator | None = None


@dataclass(frozen=True, slots=True)
class OneJob:
    """The tasks of one Vertex job; mapped, if there may be several."""

    submit: SubmitBatchPredictionJobOperator
    wait: BatchPredictionJobSensor


def add_jobs(dag: DAG, spec: Spec, prices_folder: Path | None, budgets_file: Path | None = None) -> None:
    """Add the tasks of all jobs to the DAG that is being built, each job in its own group."""
    made: dict[str, JobTasks] = {}
    for job in spec.jobs:
        group = TaskGroup(job.name) if spec.grouped else nullcontext()
        known = set(dag.task_dict)
        with group:
            made[job.name] = add_job(spec, job, prices_folder, budgets_file)
            _finish(spec, job, made[job.name], [dag.get_task(name) for name in dag.task_dict.keys() - known])
    for job in spec.jobs:
        tasks = made[job.name]
        for other in job.after:
            for results in made[other].results:
                results >> tasks.first
        if job.after:
            # A job that this run skips does not block the others.
            tasks.first.trigger_rule = TriggerRule.NONE_FAILED


def _finish(spec: Spec, job: JobSpec, ends: JobTasks, tasks: Sequence[Any]) -> None:
    """Add the settings of this spec to a job's tasks."""
    for task in tasks:
        if job.pool and isinstance(task, (SubmitBatchPredictionJobOperator, BatchPredictionJobSensor)):
            # Waiting has priority, so a running job is never left unwatched for lack of a pool slot.
            task.pool, task.weight_rule = job.pool, "absolute"
            task.priority_weight = 2 if isinstance(task, BatchPredictionJobSensor) else 1
        elif isinstance(task, AggregateTokenUsageOperator) and (notices := on_cost(spec, job)):
            task.on_success_callback = notices
    if job.asset:
        # After the bill, which the event contains. The bill succeeds with any job, so the waits decide too.
        results = AnnounceResultsOperator(
            task_id="results",
            plan_task_id=ends.first.task_id if job.may_be_split else None,
            record_task_id=ends.bill.task_id,
            deliver_task_id=ends.delivery.task_id if ends.delivery else None,
            outlets=[Asset(f"{ASSET_PREFIX}{spec.output_of(job)}")],
            trigger_rule=TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
        )
        results << [*ends.results, ends.bill]


def add_job(
    spec: Spec, job: JobSpec, prices_folder: Path | None, budgets_file: Path | None = None
) -> JobTasks:
    """Add the tasks of one job of a spec.

    An input that may be too large for one Vertex job is planned first. Then the tasks that submit and wait
    are mapped over the plan's parts: one part on a usual night, else one for each shard. So no task is
    skipped because the input fits, and split and whole inputs take the same way.

    The run fails if ``wait`` or ``record_cost`` fails. The latter is a teardown, because only teardowns still
    run after a person has marked the run as failed. An edge from ``wait`` straight to it would leave it as
    the only task that decides, and a recorded bill would turn a failed run green. ``ended`` is between them:
    Airflow ignores this teardown for the run's state, and never starts a process for it.
    """
    plan = _plan(spec, job) if job.may_be_split else None
    money = _money(spec, job, prices_folder, budgets_file)
    prefix = f"{job.name}." if spec.grouped else ""
    one = _mapped(spec, job, plan, money, prefix) if plan else _one_job(spec, job, money)
    if plan:
        plan.submit_task_id = one.submit.task_id
    ended = EmptyOperator(task_id="ended").as_teardown()
    record = _record(
        spec,
        job,
        prices_folder,
        submit_task_id=one.submit.task_id,
        resubmit_task_ids=[one.wait.task_id],
        plan_task_id=plan.task_id if plan else None,
    )
    one.wait >> ended >> record
    made = JobTasks(plan or one.submit, (one.wait,), record)
    if not job.results:
        return made
    rounds = _rounds(spec, job, made, one.submit.task_id, prices_folder=prices_folder, money=money)
    delivery = _delivery(spec, job, [record, *rounds], prices_folder)
    return replace(made, results=(*made.results, delivery), delivery=delivery)


def _record(
    spec: Spec, job: JobSpec, prices_folder: Path | None, *, is_retry: bool = False, **of: Any
) -> AggregateTokenUsageOperator:
    """Add the task that records jobs.

    :param is_retry: whether they are those of a round of retries; see `_rounds`.
    :param of: which jobs.
    """
    record = AggregateTokenUsageOperator(
        task_id="record_cost",
        project=job.project,
        location=job.location,
        prices=job.prices or None,
        price_folder=str(prices_folder) if prices_folder else None,
        max_unreadable_rows=job.max_unreadable_rows,
        max_unrecognized_rows=job.max_unrecognized_rows,
        fail_without_answers=job.retry_rows is None,
        litellm_conn_id=job.connection,
        gcp_conn_id=job.storage_connection,
        batch_costs_conn_id=job.cost_connection,
        spec=spec.name,
        **of,
        **_of_every_task(job),
    )
    record.as_teardown(on_failure_fail_dagrun=not is_retry)
    return record


def _delivery(
    spec: Spec,
    job: JobSpec,
    records: Sequence[AggregateTokenUsageOperator],
    prices_folder: Path | None,
) -> DeliverResultsOperator:
    """Add the task that delivers the answers.

    It follows the bills alone, so the rows that a failed job has answered are delivered, too. The run fails
    with the job all the same, because its waiting task is a leaf, too; with rounds of retries, that of the
    last round, which does not run after a failure. Like the bill, it is a teardown: otherwise a person who
    marks the run between ``wait`` and this task would skip it, and the paid answers would not be delivered in
    a run that Airflow then calls successful.

    :param records: the tasks with the bills: of the first submission, then of each round of retries.
    """
    record, *retries = records
    assert job.results is not None
    results = job.results
    schema = answer_schema_file(spec.file.parent if spec.file else None, results)
    deliver = DeliverResultsOperator(
        task_id="deliver",
        to=results.to,
        inputs=job.inputs,
        overrides={"inputs": OVERRIDES["inputs"]},
        record_task_id=record.task_id,
        retry_record_task_ids=[each.task_id for each in retries],
        plan_task_id=record.plan_task_id,
        key=results.key,
        answer=results.answer,
        schema=str(schema) if schema else None,
        keep=results.keep,
        max_exceptions_ratio=results.max_exceptions_ratio,
        job_name=job.name if spec.grouped else "",
        prices=job.prices or None,
        price_folder=str(prices_folder) if prices_folder else None,
        litellm_conn_id=job.connection,
        gcp_conn_id=job.storage_connection,
        batch_costs_conn_id=job.cost_connection,
        **_of_every_task(job),
    )
    deliver.as_teardown(on_failure_fail_dagrun=True)
    deliver << list(records)
    return deliver


def _rounds(
    spec: Spec,
    job: JobSpec,
    first: JobTasks,
    submit: str,
    *,
    prices_folder: Path | None,
    money: BudgetSettings,
) -> tuple[AggregateTokenUsageOperator, ...]:
    """Add a task group for each round of retries: prepare, submit, wait, record_cost.

    A round without rows to send again submits nothing, and the rounds after it are skipped. A round follows
    the bill of the one before, so that budgets are checked with what is spent. Its bill cancels what still
    runs after a failure, so it has no task for that. A bill that fails does not fail the run by itself, so
    that the waiting task of the last round decides, too; the delivery does not run without the bill.

    :param submit: the submit task of the first submission.
    :returns: the task with the bill of each round.
    """
    if not job.retry_rows or not job.results:
        return ()
    schema = answer_schema_file(spec.file.parent if spec.file else None, job.results)
    prefix = f"{job.name}." if spec.grouped else ""
    numbers = range(1, job.retry_rows.rounds + 1)
    tasks = RoundTasks(submit, tuple(f"{prefix}{retry_group(n)}.submit" for n in numbers))
    before: tuple[BaseOperator, ...] = (*first.results, first.bill)
    made = []
    for number in numbers:
        with TaskGroup(retry_group(number), tooltip="Rows without a good answer that are sent again"):
            prepare = PrepareRetryOperator(
                task_id="prepare",
                round=number,
                rounds=tasks,
                reasons=job.retry_rows.reasons,
                key=job.results.key,
                answer=job.results.answer,
                schema=str(schema) if schema else None,
                model=job.model,
                output_uri=job.output,
                staging=job.staging,
                max_rows=job.max_rows_per_job,
                max_bytes=job.max_bytes_per_job,
                overrides={"model": OVERRIDES["model"]},
                job_name=job.name if spec.grouped else "",
                litellm_conn_id=job.connection,
                gcp_conn_id=job.storage_connection,
                # A run that only sends rows of an earlier run again skips the tasks before the first round.
                trigger_rule=(
                    TriggerRule.NONE_FAILED if number == 1 else TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS
                ),
                **_of_every_task(job),
            )
            prepare << list(before)
            one = _mapped(spec, job, prepare, money, f"{prefix}{retry_group(number)}.")
            record = _record(
                spec,
                job,
                prices_folder,
                is_retry=True,
                submit_task_id=one.submit.task_id,
                resubmit_task_ids=[one.wait.task_id],
            )
            one.wait >> record
        before = (one.wait, record)
        made.append(record)
    return tuple(made)


def _one_job(
    spec: Spec,
    job: JobSpec,
    money: BudgetSettings,
    *,
    part: Any = None,
    plan_task_id: str | None = None,
    prefix: str = "",
) -> OneJob:
    """Add the tasks of one Vertex job.

    :param money: the submit task's prices and budgets.
    :param part: the part of the input that it reads, if there is a plan.
    :param plan_task_id: the task with the plan.
    :param prefix: of the tasks' ids.
    """
    always = _of_every_task(job)
    resumed = {**always, "retries": max(job.retries, FEWEST_RESUMED_RETRIES)}
    may_be_held = bool(money.budget or money.budgets_file)
    submit = SubmitBatchPredictionJobOperator(
        task_id=f"{prefix}submit",
        task_display_name="submit",
        part=part,
        plan_task_id=plan_task_id,
        money=money,
        pre_execute=refuse_unknown_params,
        **_submit_arguments(spec, job),
        **(resumed if may_be_held else always),
    )
    wait = BatchPredictionJobSensor(
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
        litellm_conn_id=job.connection,
        **resumed,
    )
    return OneJob(submit, wait)


def _mapped(
    spec: Spec,
    job: JobSpec,
    plan: PlanInputsOperator | PrepareRetryOperator,
    money: BudgetSettings,
    prefix: str,
) -> OneJob:
    """Add the same tasks for each part of a plan. The tasks of one part depend only on each other.

    :param prefix: of the tasks' ids. They do not contain the name of the group, so they are the same whether
        or not the input is planned.
    """
    made: list[OneJob] = []

    @task_group(
        group_id=SHARDS_GROUP,
        prefix_group_id=False,
        group_display_name="jobs",
        tooltip="One job, or one for each shard of an input that is too large for one",
    )
    def shards(shard: Any) -> None:
        made.append(_one_job(spec, job, money, part=shard, plan_task_id=plan.task_id, prefix=prefix))

    shards.expand(shard=plan.output)
    (one,) = made
    # The other tasks know their part only as an index that starts at 0.
    one.submit.map_index_template = "{{ task.part['number'] }} of {{ task.part['of'] }}"
    return one


def _plan(spec: Spec, job: JobSpec) -> PlanInputsOperator:
    return PlanInputsOperator(
        task_id="plan_inputs",
        pre_execute=refuse_unknown_params,
        model=job.model,
        inputs=job.inputs,
        output_uri=job.output,
        staging=job.staging,
        max_rows=job.max_rows_per_job,
        max_bytes=job.max_bytes_per_job,
        project=job.project,
        location=job.location,
        overrides={field: OVERRIDES[field] for field in ("inputs", "model")},
        job_name=job.name if spec.grouped else "",
        preflight=job.preflight,
        litellm_conn_id=job.connection,
        gcp_conn_id=job.storage_connection,
        **_of_every_task(job),
    )


def _of_every_task(job: JobSpec) -> dict[str, Any]:
    return {
        "retries": job.retries,
        "retry_delay": job.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": max(job.retry_delay, LONGEST_RETRY_DELAY),
    }


def _submit_arguments(spec: Spec, job: JobSpec) -> dict[str, Any]:
    return {
        "model": job.model,
        "inputs": job.inputs,
        "output_uri": job.output,
        "project": job.project,
        "location": job.location,
        "display_name": display_name(spec, job),
        "labels": job.job_labels,
        "model_parameters": job.generation or None,
        "overrides": OVERRIDES,
        "preflight": job.preflight,
        "cancel_on_kill": job.cancel_on_kill,
        "litellm_conn_id": job.connection,
        "gcp_conn_id": job.storage_connection,
        "spec": spec.name,
        "job_name": job.name if spec.grouped else "",
    }


def _money(spec: Spec, job: JobSpec, prices_folder: Path | None, budgets_file: Path | None) -> BudgetSettings:
    """The submit task's settings for prices and limits."""
    return BudgetSettings(
        estimate=True,
        budget=spec.budget.to_budget().to_dict() if spec.budget else None,
        budgets_file=str(budgets_file) if budgets_file else None,
        prices=job.prices or None,
        price_folder=str(prices_folder) if prices_folder else None,
        batch_costs_conn_id=job.cost_connection,
    )


def _seconds(duration: timedelta | None) -> float | None:
    return duration.total_seconds() if duration else None
