"""What Airflow knows about one run: its state, what failed and why, and what its dry run found."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XCOM_RETURN_KEY, XComModel
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, State, TaskInstanceState
from sqlalchemy import Row, or_, select, tuple_
from sqlalchemy.orm import Session

from vertex_batch.costs import Delivery, JobCost, JobFacts, PaysAgain
from vertex_batch.costs.deliveries import paid_after, say_paid_after
from vertex_batch.lifecycle.identity import Intent
from vertex_batch.operators import AggregateTokenUsageOperator, CheckTasksOperator, DeliverResultsOperator
from vertex_batch.tasks.context import INTENT_XCOM
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.ui.runs.dry_run import DryRun

MAX_TASKS = 1000
_ACTIVE = (DagRunState.RUNNING, DagRunState.QUEUED)
_SHOWN = (TaskInstanceState.FAILED, TaskInstanceState.UP_FOR_RETRY, TaskInstanceState.SKIPPED)


@dataclass(frozen=True, slots=True)
class EndedTask:
    """A task that failed, waits for its next try, was skipped for a reason, or succeeded with a note.

    :param operator: the name of its class.
    :param reason: empty if the task did not say it, or the user may not read its log.
    """

    task_id: str
    map_index: int
    state: str
    ended_at: datetime | None = None
    reason: str = ""
    operator: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """Its task and map index, as of `Delivery`."""
        return self.task_id, self.map_index

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id} [{self.map_index}]"


@dataclass(frozen=True, slots=True)
class RunReport:
    """One run.

    :param state: as Airflow calls it; empty if Airflow does not know the run.
    :param submitted: the ids of the jobs that its tasks have submitted.
    :param projections: what samples said that their whole input would cost.
    :param is_in_doubt: a task crashed while it submitted a job, which may exist.
    :param notes: what tasks that succeeded have said that a person may act on.
    :param delivering: the tasks that deliver answers, whatever their state.
    """

    state: str = ""
    submitted: frozenset[str] = frozenset()
    is_in_doubt: bool = False
    ends: Sequence[EndedTask] = ()
    dry_run: DryRun | None = None
    projections: Sequence[str] = ()
    notes: Sequence[EndedTask] = ()
    delivering: Sequence[str] = ()

    def unbilled(self, jobs: Sequence[JobCost]) -> int:
        """How many of its jobs have no bill although it has ended.

        :param jobs: those with a bill.
        """
        return 0 if self.is_active else len(self.submitted - {each.job.job_id for each in jobs})

    def undelivered(
        self, jobs: Sequence[JobCost], deliveries: Sequence[Delivery]
    ) -> Iterator[tuple[str, list[JobCost], str]]:
        """The jobs of an ended run whose answers its tasks have not delivered, with the task to clear.

        The text says that they were paid for after the delivery; it is empty if there is no delivery.
        """
        done = {delivery.task_id for delivery in deliveries}
        late = paid_after(deliveries, jobs)
        skipped = {end.task_id for end in self.ends if end.state == TaskInstanceState.SKIPPED}
        for task in self.delivering if not self.is_active else ():
            group = group_prefix(task)
            mine = [each for each in jobs if each.job.task_id.startswith(group)]
            if any(each.rows.ok for each in mine) and task not in done:
                record = f"{group}record_cost"
                # `dagrun_timeout` has skipped it, and the delivery reads what it returns.
                yield record if record in skipped else task, mine, ""
            elif after := [each for each in mine if each in late]:
                yield task, after, say_paid_after(after)

    @property
    def has_failed(self) -> bool:
        return self.state == DagRunState.FAILED

    @property
    def is_active(self) -> bool:
        return self.state in _ACTIVE

    @property
    def failures(self) -> list[EndedTask]:
        """The tasks that failed or wait for their next try, in the order of their ends."""
        return [end for end in self.ends if end.state != TaskInstanceState.SKIPPED]

    @property
    def skips(self) -> list[str]:
        """Why tasks were skipped, each reason once."""
        skipped = (end for end in self.ends if end.state == TaskInstanceState.SKIPPED)
        # The page itself says that there was no job, which is why a task that records bills is skipped.
        records = AggregateTokenUsageOperator.__name__
        return list(dict.fromkeys(end.reason for end in skipped if end.reason and end.operator != records))


def read_run(dag_id: str, run_id: str, *, with_reasons: bool) -> RunReport:
    """Read a run. No rights are checked.

    :param with_reasons: whether the user may read what the tasks have logged.
    """
    ti = TaskInstance
    asked = select(ti.task_id, ti.map_index, ti.state, ti.end_date, ti.operator).where(
        ti.dag_id == dag_id, ti.run_id == run_id
    )
    with create_session() as session:
        run = session.execute(
            select(DagRun.id, DagRun.state, DagRun.queued_at).where(
                DagRun.dag_id == dag_id, DagRun.run_id == run_id
            )
        ).one_or_none()
        if run is None:
            return RunReport()
        outcomes = dict(_stored_values(session, run.id, OUTCOME_XCOM)) if with_reasons else {}
        intents = [Intent.from_dict(value) for _, value in _stored_values(session, run.id, INTENT_XCOM)]
        results = list(_stored_values(session, run.id, XCOM_RETURN_KEY)) if with_reasons else []
        shown = asked.where(ti.state.in_(_SHOWN)).order_by(ti.end_date).limit(MAX_TASKS)
        ends = [_end(task, outcomes) for task in session.execute(shown)]
        # A task that was cleared keeps what it said until it runs again.
        succeeded = asked.where(
            ti.state == TaskInstanceState.SUCCESS, ti.task_id.in_({t for t, _ in outcomes})
        )
        succeeded = succeeded.order_by(ti.task_id, ti.map_index)
        notes = [
            _end(task, outcomes)
            for task in session.execute(succeeded)
            if outcomes.get((task.task_id, task.map_index), {}).get("is_note") is True
        ]
        delivers = asked.where(ti.operator == DeliverResultsOperator.__name__)
        delivering = session.execute(delivers.order_by(ti.task_id).limit(MAX_TASKS)).all()
    if run.state in _ACTIVE and run.queued_at:  # again, if it was cleared: what failed before that is over
        ends = [end for end in ends if not (end.ended_at and end.ended_at < run.queued_at)]
    # A task that only checks others has nothing to say beside them.
    checks = [end for end in ends if end.operator == CheckTasksOperator.__name__]
    if any(end.state != TaskInstanceState.SKIPPED for end in ends if end not in checks):
        ends = [end for end in ends if end not in checks]
    submitted = frozenset(intent.job_id for intent in intents if intent and intent.job_id)
    if run.state not in _ACTIVE:  # the tasks have said it before they submitted
        then = PaysAgain.PAID if submitted else PaysAgain.PAID_NOTHING
        notes = [replace(each, reason=each.reason.replace(PaysAgain.PAYS, then)) for each in notes]
    return RunReport(
        str(run.state),
        submitted,
        any(intent and intent.is_in_doubt for intent in intents),
        ends,
        DryRun.read(outcomes),
        projections=list(_projections([value for _, value in results])),
        notes=notes,
        delivering=[task.task_id for task in delivering],
    )


def not_ended(runs: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Select the runs, each a DAG and a run, that are active, or whose answers are still being delivered.

    A run that a person marked is over at once, but its delivery is not.
    """
    ti = TaskInstance
    delivers = select(ti.dag_id).where(
        ti.dag_id == DagRun.dag_id,
        ti.run_id == DagRun.run_id,
        ti.operator == DeliverResultsOperator.__name__,
        or_(ti.state.is_(None), ti.state.in_([each for each in State.unfinished if each])),
    )
    asked = select(DagRun.dag_id, DagRun.run_id).where(
        tuple_(DagRun.dag_id, DagRun.run_id).in_(sorted(runs)),
        or_(DagRun.state.in_(_ACTIVE), delivers.exists()),
    )
    with create_session() as session:
        return {(row.dag_id, row.run_id) for row in session.execute(asked)} if runs else set()


def _end(
    task: Row[str, int, str | None, datetime | None, str | None],
    outcomes: Mapping[tuple[str, int], Mapping[str, object]],
) -> EndedTask:
    outcome = outcomes.get((task.task_id, task.map_index), {})
    reason, operator = str(outcome.get("message", "")), str(task.operator or "")
    return EndedTask(task.task_id, task.map_index, str(task.state), task.end_date, reason, operator)


def group_prefix(task_id: str) -> str:
    """Cut off the name of a task, which leaves its task group with the final dot; empty without a group."""
    return task_id[: task_id.rfind(".") + 1]


@dataclass(frozen=True, slots=True)
class TaskLog:
    """The log of a task."""

    task_id: str
    map_index: int = -1


def record_log(job: JobFacts) -> TaskLog | None:
    """Find the task that recorded a job; None if Airflow does not have its run any more."""
    with create_session() as session:
        found = session.execute(
            select(TaskInstance.task_id, TaskInstance.map_index)
            .where(TaskInstance.dag_id == job.dag_id, TaskInstance.run_id == job.run_id)
            .where(TaskInstance.operator == AggregateTokenUsageOperator.__name__)
            .limit(MAX_TASKS)
        ).all()
    # Of several, the one in the innermost task group around the job's task, and at the same map index.
    around = [
        (len(group), task.map_index in (-1, job.map_index), task)
        for task in found
        if job.task_id.startswith(group := group_prefix(task.task_id))
    ]
    return TaskLog(*max(around, key=lambda each: each[:2])[2]) if around else None


def _stored_values(
    session: Session, run: int, key: str
) -> Iterator[tuple[tuple[str, int], dict[str, object]]]:
    """What the tasks of a run have stored under a key, by task id and map index."""
    asked = (
        select(XComModel.value, XComModel.task_id, XComModel.map_index)
        .where(XComModel.dag_run_id == run, XComModel.key == key)
        .order_by(XComModel.task_id, XComModel.map_index)
        .limit(MAX_TASKS)
    )
    for row in session.execute(asked):
        try:
            value = XComModel.deserialize_value(row)
        except (TypeError, ValueError):  # a deployment's own XCom backend keeps it elsewhere
            continue
        if isinstance(value, dict):
            yield (row.task_id, row.map_index), value


def _projections(results: Sequence[dict[str, object]]) -> Iterator[str]:
    for each in results:
        projection = each.get("projection")
        if "sample" in each and isinstance(projection, dict) and "text" in projection:
            yield f"This was {each['sample']}. {projection['text']}"
