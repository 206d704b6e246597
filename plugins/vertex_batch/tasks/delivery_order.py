"""See that the delivery of a run follows what the run pays for, as Airflow's scheduler knows the run.

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

_TO_COME = (None, TaskInstanceState.UP_FOR_RETRY, TaskInstanceState.RESTARTING)
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
    """Call this before something is submitted that a task of this run delivers.

    :param submit_task_id: the task that submits, or that submits again.
    :param needs_rounds: the run sends rows in the rounds of retries, so it has to have them.
    :raises VersionNotReadError: the run lacks the delivery, or the rounds. A retry succeeds later.
    :raises DeliveryStartedError: the delivery does not wait for this task.
    """
    dag = context.get("dag")
    delivery = _delivery_of(dag.task_dict, submit_task_id) if dag else None
    if delivery is None:
        return
    ti = context["ti"]
    rounds = delivery.retry_record_task_ids if needs_rounds else ()
    names = [delivery.task_id, *rounds]
    found = ti.get_task_states(dag_id=ti.dag_id, task_ids=names, run_ids=[ti.run_id])
    check_states(found.get(ti.run_id) or {}, delivery.task_id, rounds)


def check_states(states: Mapping[str, str | None], delivery: str, before: Collection[str]) -> None:
    """Decide it. Pure; see `check_delivery` for what it raises.

    :param states: of the run's tasks; it lacks those that the run does not have.
    :param delivery: the task that delivers.
    :param before: tasks that it has to follow.
    """
    removed = TaskInstanceState.REMOVED
    if missing := [name for name in (*before, delivery) if states.get(name, removed) == removed]:
        raise VersionNotReadError(missing)
    if (state := states[delivery]) not in _TO_COME:
        raise DeliveryStartedError(delivery, str(state))


def _delivery_of(tasks: Mapping[str, Any], submit_task_id: str) -> Any:
    """The task of a DAG that delivers the answers of a submit task; None if none does."""
    for each in tasks.values():
        if each.task_type == "DeliverResultsOperator" and not each.is_mapped:
            records = (tasks.get(name) for name in (each.record_task_id, *each.retry_record_task_ids))
            if any(
                submit_task_id in (one.submit_task_id, *one.resubmit_task_ids)
                for one in records
                if one and not one.is_mapped
            ):
                return each
    return None
