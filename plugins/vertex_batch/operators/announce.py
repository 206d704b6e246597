"""The tasks after the end of a job: announce its results as an asset event, and fail a marked run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vertex_batch.costs import JobFilter
from vertex_batch.costs.deliveries import paid_after, say_paid_after
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.inputs import PartKind
from vertex_batch.tasks.outcome import explained, failed_tasks
from vertex_batch.tasks.shards import planned_parts
from vertex_batch.vertex.resource import STATES_WITH_RESULTS

if TYPE_CHECKING:
    from airflow.sdk import Context

_ANNOUNCED_FIELDS = (
    "job_id",
    "state",
    "output_directory",
    "ok_rows",
    "failed_rows",
    "unreadable_rows",
    "unrecognized_rows",
    "tokens",
    "amount_usd",
    "complete",
)


class AnnounceResultsOperator(BaseOperator):
    """Announce this task's outlets, unless only a sample was run: a sample must not pass for the results.

    :param plan_task_id: the task that planned the input. None if the run cannot be a sample.
    :param record_task_id: the task that recorded the bill. Its return value becomes the ``extra`` of the
        event: the jobs with results, each with its output, rows, tokens and cost, and the cost of the run.
    :param deliver_task_id: the task that delivered the answers, if there is one. Its return value becomes the
        field `delivery` of the ``extra``: the files and the numbers.
    :raises AirflowSkipException: the run was a sample, or no row was answered. Nothing is announced then.
    """

    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        plan_task_id: str | None = None,
        record_task_id: str | None = None,
        deliver_task_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id
        self.record_task_id = record_task_id
        self.deliver_task_id = deliver_task_id

    def execute(self, context: Context) -> None:
        if self.plan_task_id is not None:
            part = next(iter(planned_parts(context["ti"], self.plan_task_id)), None)
            if part and part.kind is PartKind.SAMPLE:
                raise AirflowSkipException(f"Only {part} was run, so no results are announced.")
        if self.record_task_id is not None:
            extra = announcement(context["ti"].xcom_pull(task_ids=self.record_task_id))
            if self.deliver_task_id is not None:
                extra["delivery"] = context["ti"].xcom_pull(task_ids=self.deliver_task_id)
            for outlet in self.outlets:
                if isinstance(outlet, Asset):
                    context["outlet_events"][outlet].extra = extra


class CheckTasksOperator(BaseOperator):
    """Fail if one of some tasks has failed, or has paid for rows that the delivery does not have.

    Use it as a teardown that fails the run.

    If a person marks a run, Airflow skips what has not run yet, except teardowns. Tasks that a skipped one
    follows do not decide the run, so it would be a success although its job failed or was not delivered.

    Airflow may order a run by another version of its DAG than that of the file, also from the middle of the
    run on. Then the delivery may not have waited for all rows that were sent again.

    :param task_ids: the tasks; each of them has ended before this one starts.
    :param deliver_task_id: that of them which delivers; None: there is none.
    :raises AirflowFailException: one of the tasks has failed, or the delivery lacks rows.
    :raises CostTableUnavailableError: the database does not answer. A retry may succeed.
    """

    ui_color = "#f1f3f4"

    def __init__(
        self,
        *,
        task_ids: Sequence[str],
        deliver_task_id: str | None = None,
        batch_costs_conn_id: str = CostTableHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.task_ids = tuple(task_ids)
        self.deliver_task_id = deliver_task_id
        self.batch_costs_conn_id = batch_costs_conn_id

    def execute(self, context: Context) -> None:
        with explained(context, self.log):
            if failed := failed_tasks(context["ti"], self.task_ids):
                those = "that task" if len(failed) == 1 else "those tasks"
                raise AirflowFailException(
                    f"This failure only follows from {' and '.join(failed)}; see {those}."
                )
            if self.deliver_task_id:
                self._check_delivered(context["ti"], self.deliver_task_id)

    def _check_delivered(self, ti: Any, deliver: str) -> None:
        table = CostTableHook(self.batch_costs_conn_id).table()
        of_run = JobFilter(dag_id=ti.dag_id, run_id=ti.run_id)
        deliveries = [each for each in table.deliveries(of_run) if each.task_id == deliver]
        if deliveries and (late := paid_after(deliveries, table.jobs(of_run))):
            raise AirflowFailException(
                f"{say_paid_after(late)}, so they are not delivered. They are safe in the outputs of their"
                f" jobs. Clear `{deliver}` with its downstream tasks: it delivers them and costs nothing."
            )


def announcement(recorded: object) -> dict[str, Any]:
    """Build an event's extra from the return value of `AggregateTokenUsageOperator`. Pure.

    :raises AirflowSkipException: no job has results, or none of their rows was answered.
    """
    bill: Mapping[str, Any] = recorded if isinstance(recorded, Mapping) else {}
    jobs = [
        {name: job.get(name) for name in _ANNOUNCED_FIELDS}
        for job in bill.get("jobs", ())
        if str(job.get("state", "")) in STATES_WITH_RESULTS
    ]
    if not any(job["ok_rows"] for job in jobs):
        raise AirflowSkipException("No row of this run was answered, so there is nothing to announce.")
    return {"amount_usd": bill.get("amount_usd"), "complete": bill.get("complete"), "jobs": jobs}
