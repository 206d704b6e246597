"""See that tasks of a run wait for what it pays for and deliver it, as Airflow's scheduler knows the run.

A worker runs the DAG of the present file. The scheduler orders the tasks of a run by the version of the DAG
that was stored last. That may be older for minutes, and may change in the middle of a run. So a task that the
file puts after another one may be unknown in the run, or have ended already. Only the task instances of the
run show it: the scheduler creates those of a version when it begins to order the run by it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskInstanceState, conf

from vertex_batch.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from airflow.sdk import Context

TO_COME = (None, TaskInstanceState.UP_FOR_RETRY, TaskInstanceState.RESTARTING)
"""States of a task whose upstream tasks Airflow waits for before it starts it."""


def reading_seconds() -> int:
    """How long Airflow usually takes to read a changed file, in seconds."""
    return conf.getint("dag_processor", "min_file_process_interval", fallback=30)


class VersionNotReadError(TransientError):
    """The scheduler orders this run by an older version of the DAG, which lacks tasks.

    :param missing: the tasks that this run lacks.
    """

    def __init__(self, missing: Collection[str]) -> None:
        super().__init__(
            "Airflow's scheduler has not read the latest change of this DAG: this run does not have"
            f" {' and '.join(missing)} yet, so its answers might be paid for and not delivered. Nothing was"
            f" submitted. A retry succeeds once the change is read, usually within {reading_seconds()} s"
            " after the file arrives (`[dag_processor] min_file_process_interval`)."
        )


class NotWaitedForError(PermanentError):
    """No task of this run would wait for what is submitted now, and record its cost.

    :param waiting: the task that waits for it.
    :param state: of this task.
    """

    def __init__(self, waiting: str, state: str) -> None:
        super().__init__(
            f"No task would wait for this job: {waiting} is already in the state {state}. Nothing was"
            " submitted. Run this again with its downstream tasks."
        )


class DeliveryStartedError(PermanentError):
    """The delivery of this run has started or ended, so it would not contain what is submitted now.

    :param delivery: its task.
    :param state: of this task.
    """

    def __init__(self, delivery: str, state: str) -> None:
        super().__init__(
            f"The delivery of this run does not wait for this task: {delivery} is already in the state"
            f" {state}. What this task pays for would not be delivered. Nothing was submitted. Run this again"
            " with its downstream tasks."
        )


def check_delivery(context: Context, submit_task_id: str, *, needs_rounds: bool = False) -> None:
    """Call this before something is submitted that other tasks of this run wait for and deliver.

    :param submit_task_id: the task that submits, or that submits again.
    :param needs_rounds: the run sends rows in the rounds of retries, so it has to have them.
    :raises VersionNotReadError: the run lacks the delivery, or the rounds. A retry succeeds later.
    :raises DeliveryStartedError: the delivery does not wait for this task.
    :raises NotWaitedForError: the task that waits for the job has started or ended.
    """
    dag, ti = context.get("dag"), context["ti"]
    records = _records_of(dag.task_dict, submit_task_id) if dag else []
    delivery = _delivery_of(dag.task_dict, [each.task_id for each in records]) if dag else None
    rounds = delivery.retry_record_task_ids if delivery and needs_rounds else ()
    names = [delivery.task_id, *rounds] if delivery else []
    waits = _waiting_after(dag.task_dict, ti.task_id) if dag else []
    if not (names or waits):
        return
    found = ti.get_task_states(dag_id=ti.dag_id, task_ids=[*names, *waits], run_ids=[ti.run_id])
    states = found.get(ti.run_id) or {}
    if delivery:
        check_states(states, delivery.task_id, rounds)
    # One that is missing or removed: the scheduler has not mapped it yet.
    index = "" if ti.map_index in {None, -1} else f"_{ti.map_index}"
    waiting = {name: states.get(f"{name}{index}") for name in waits}
    if waits and not {*TO_COME, TaskInstanceState.REMOVED} & {*waiting.values()}:
        raise NotWaitedForError(waits[0], str(waiting[waits[0]]))


def check_states(states: Mapping[str, str | None], delivery: str, before: Collection[str]) -> None:
    """Decide on the delivery. Pure; see `check_delivery` for what it raises.

    :param states: of the run's tasks; it lacks those that the run does not have.
    :param delivery: the task that delivers.
    :param before: tasks that it has to follow.
    """
    removed = TaskInstanceState.REMOVED
    if missing := [name for name in (*before, delivery) if states.get(name, removed) == removed]:
        raise VersionNotReadError(missing)
    if (state := states[delivery]) not in TO_COME:
        raise DeliveryStartedError(delivery, str(state))


def _waiting_after(tasks: Mapping[str, Any], submit_task_id: str) -> list[str]:
    """The tasks of a DAG that wait for what a task submits; none for a task that waits itself."""
    following = sorted(tasks[submit_task_id].downstream_task_ids) if submit_task_id in tasks else []
    return [name for name in following if tasks[name].task_type == "BatchPredictionJobSensor"]


def _records_of(tasks: Mapping[str, Any], submit_task_id: str) -> list[Any]:
    """The tasks of a DAG that record what a submit task submits, or what a waiting task submits again."""
    return [
        each
        for each in tasks.values()
        if each.task_type == "AggregateTokenUsageOperator"
        and not each.is_mapped
        and submit_task_id in (each.submit_task_id, *each.resubmit_task_ids)
    ]


def _delivery_of(tasks: Mapping[str, Any], records: Collection[str]) -> Any:
    """The task of a DAG that delivers what one of these tasks has recorded; None if none does."""
    deliveries = (
        each for each in tasks.values() if each.task_type == "DeliverResultsOperator" and not each.is_mapped
    )
    return next(
        (one for one in deliveries if {one.record_task_id, *one.retry_record_task_ids} & {*records}), None
    )
