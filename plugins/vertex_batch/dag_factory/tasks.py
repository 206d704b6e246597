"""The tasks of a spec's jobs: plan the input, submit, wait, and always record the cost."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, Asset, BaseOperator, TaskGroup, TriggerRule, task_group

from vertex_batch.dag_factory.job_operators import JobOperators
from vertex_batch.dag_factory.notices import on_cost
from vertex_batch.inputs import SHARDS_GROUP, retry_group
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    AnnounceResultsOperator,
    PlanInputsOperator,
    PrepareRetryOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.specs.events import ASSET_PREFIX
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.tasks.rounds import RoundTasks


@dataclass(frozen=True, slots=True)
class JobTasks:
    """A job's tasks, as far as others follow them.

    :param results: those that have results when they succeed.
    :param bill: the bill of the first submission.
    :param delivery: the task that delivers the answers; it is one of `results`.
    :param rounds: the bills of the rounds of retries.
    """

    first: BaseOperator
    results: tuple[BaseOperator, ...]
    bill: AggregateTokenUsageOperator
    delivery: BaseOperator | None = None
    rounds: Sequence[AggregateTokenUsageOperator] = ()


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
            make = JobOperators(spec, job, prices_folder, budgets_file)
            ends = made[job.name] = add_job(make)
            added = dag.task_dict.keys() - known
            if spec.is_followed(job):
                delivery = ends.delivery.task_id if ends.delivery else None
                make.check(added, delivery) << [*ends.results, ends.bill, *ends.rounds]
            _finish(spec, job, ends, [dag.get_task(name) for name in added])
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


def add_job(make: JobOperators) -> JobTasks:
    """Add the tasks of one job of a spec.

    An input that may be too large for one Vertex job is planned first. Then the tasks that submit and wait
    are mapped over the plan's parts: one part on a usual night, else one for each shard. So no task is
    skipped because the input fits, and split and whole inputs take the same way.

    The run fails if ``wait`` or ``record_cost`` fails. The latter is a teardown, because only teardowns still
    run after a person has marked the run as failed. An edge from ``wait`` straight to it would leave it as
    the only task that decides, and a recorded bill would turn a failed run green. ``ended`` is between them:
    Airflow ignores this teardown for the run's state, and never starts a process for it.

    The delivery follows the bills alone, so the rows that a failed job has answered are delivered, too. The
    run still fails with the job, because its waiting task is a leaf, too; with rounds of retries, that
    of the last round, which does not run after a failure. Like the bill, the delivery is a teardown:
    otherwise a person who marks the run between ``wait`` and ``deliver`` would skip it, and the paid answers
    would not be delivered in a run that Airflow then calls successful. Where other tasks follow a
    job, or rows are sent again, the leaves start later, and a person who marks the run skips them; then
    `check_tasks` decides.
    """
    job, prefix = make.job, f"{make.job.name}." if make.spec.grouped else ""
    plan = make.plan() if job.may_be_split else None
    one = _mapped(make, plan, prefix) if plan else _one_job(make)
    if plan:
        plan.submit_task_id = one.submit.task_id
    ended = EmptyOperator(task_id="ended").as_teardown()
    record = make.record(one.submit.task_id, one.wait.task_id, plan.task_id if plan else None, fails_run=True)
    one.wait >> ended >> record
    made = JobTasks(plan or one.submit, (one.wait,), record)
    if not job.results:
        return made
    retries = _rounds(make, made, one.submit, prefix)
    delivery = make.deliver(job.results, record, [each.task_id for each in retries])
    delivery.as_teardown(on_failure_fail_dagrun=True)
    delivery << [record, *retries]
    return replace(made, results=(*made.results, delivery), delivery=delivery, rounds=retries)


def _rounds(
    make: JobOperators, first: JobTasks, submit: SubmitBatchPredictionJobOperator, prefix: str
) -> list[AggregateTokenUsageOperator]:
    """Add a task group for each round of retries: prepare, submit, wait, record_cost.

    A round without rows to send again submits nothing, and the rounds after it are skipped. A round follows
    the bill of the one before, so that budgets are checked with what is spent. Its bill cancels what still
    runs after a failure, so it has no task for that. A bill that fails does not fail the run by itself, so
    that the waiting task of the last round decides, too; the delivery does not run without the bill.

    :returns: the task with the bill of each round.
    """
    job = make.job
    if not job.retry_rows or not job.results:
        return []
    numbers = range(1, job.retry_rows.rounds + 1)
    submit.round_task_ids = tuple(f"{prefix}{retry_group(n)}.submit" for n in numbers)
    tasks = RoundTasks(submit.task_id, submit.round_task_ids)
    before: tuple[BaseOperator, ...] = (*first.results, first.bill)
    made = []
    for number in numbers:
        with TaskGroup(retry_group(number), tooltip="Rows without a good answer that are sent again"):
            prepare = make.prepare(job.results, number, tasks, job.retry_rows.reasons)
            prepare << list(before)
            one = _mapped(make, prepare, f"{prefix}{retry_group(number)}.")
            one.submit.round_task_ids = submit.round_task_ids[number:]
            record = make.record(one.submit.task_id, one.wait.task_id, None, fails_run=False)
            one.wait >> record
        before = (one.wait, record)
        made.append(record)
    return made


def _one_job(
    make: JobOperators, prefix: str = "", part: object = None, plan_task_id: str | None = None
) -> OneJob:
    submit = make.submit(prefix, part, plan_task_id)
    return OneJob(submit, make.wait(submit, prefix))


def _mapped(make: JobOperators, plan: PlanInputsOperator | PrepareRetryOperator, prefix: str) -> OneJob:
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
    def shards(shard: object) -> None:
        made.append(_one_job(make, prefix, shard, plan.task_id))

    shards.expand(shard=plan.output)
    (one,) = made
    # The other tasks know their part only as an index that starts at 0.
    one.submit.map_index_template = "{{ task.part['number'] }} of {{ task.part['of'] }}"
    return one
