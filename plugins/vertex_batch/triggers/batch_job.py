"""Wait for a job in the triggerer, and cancel it if a person kills the task."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from vertex_batch.errors import NotFoundError, VertexBatchError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.cancelling import request_cancel_async
from vertex_batch.lifecycle.ownership import Killed, OtherRunsJobError, cancels_when_killed
from vertex_batch.lifecycle.polling import shared_poller
from vertex_batch.lifecycle.sweeping import PollGroup, Reading
from vertex_batch.lifecycle.waiting import JobReading, PollLimits, Verdict, assess
from vertex_batch.log import LineBudget
from vertex_batch.observability import metrics
from vertex_batch.vertex.resource import JobReference, known_fields

# A cancel must outlive the trigger: Airflow 3.3.2 cancels on_kill itself after about a second.
_CANCELS: set[asyncio.Task[None]] = set()
# Airflow writes a line of a trigger to a file and takes milliseconds for it. Five thousand at once stop the
# triggerer for so long that Airflow takes it for dead.
_LINES = LineBudget(at_once=200, per_second=20)
# Pauses before Airflow is asked again for the state of a killed task.
_ASK_AGAIN_AFTER_SECONDS = (2.0, 10.0, 30.0)
_ON_KILL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WatchOrder:
    """A trigger's settings. They are stored readably in Airflow's database, so they contain no keys.

    Those of a newer version are ignored. A triggerer that refused them would fail the task, which cancels
    the job.

    :param job: a `JobReference` as plain data.
    :param owner: dag, run, task and map index of the waiting task.
    :param deadline_at: ISO 8601, in wall-clock time, so that it survives a restart of the triggerer.
    :param created_at: ISO 8601, when Vertex created the job. Without it, the job is first read by itself.
    :param deployment: the value of its label `airflow_deployment`. It narrows the list call.
    """

    job: dict[str, Any]
    owner: dict[str, Any]
    litellm_conn_id: str
    deadline_at: str
    poll_interval_seconds: float = 60.0
    tolerated_failures: int = 20
    cancel_on_kill: bool = True
    created_at: str | None = None
    queue_seconds: float | None = None
    run_seconds: float | None = None
    deployment: str = ""

    @property
    def limits(self) -> PollLimits:
        deadline_at = datetime.fromisoformat(self.deadline_at)
        return PollLimits(deadline_at, self.tolerated_failures, self.queue_seconds, self.run_seconds)


class BatchPredictionJobTrigger(BaseTrigger):
    """Yields one event: how the job ended, or that its deadline has passed.

    It submits nothing, so a triggerer that restarts it costs nothing.
    """

    def __init__(self, **order: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.order = WatchOrder(**known_fields(WatchOrder, order))
        self._logged = ""
        self.job = JobReference.from_dict(self.order.job)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", asdict(self.order)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        seen = JobReading(Verdict.WAIT)
        failures = 0
        order = self.order
        group = PollGroup(
            order.litellm_conn_id,
            self.job.project,
            self.job.location,
            order.deployment,
            order.poll_interval_seconds,
        )
        hook = LiteLLMHook(order.litellm_conn_id)
        created_at = datetime.fromisoformat(order.created_at) if order.created_at else None
        watching = shared_poller(group, hook.aclient).watch(self.job.job_id, created_at=created_at)
        async with aclosing(watching) as readings:
            while seen.verdict is Verdict.WAIT:
                reading = await self._next(readings)
                seen = self._assess(reading, failures, seen)
                failures = failures + 1 if isinstance(reading, VertexBatchError) else 0
                self._report(seen, reading, failures)
        yield TriggerEvent(seen.to_dict())  # type: ignore[no-untyped-call]

    async def _next(self, readings: AsyncIterator[Reading]) -> Reading | None:
        """Return the next reading, or None at the deadline even if the poller hangs."""
        left = (self.order.limits.deadline_at - datetime.now(UTC)).total_seconds()
        # Wait for one more poll, so that a job that ended at the last moment is seen as ended.
        grace = 2 * self.order.poll_interval_seconds
        try:
            return await asyncio.wait_for(anext(readings), timeout=max(left, 0) + grace)
        except TimeoutError:
            return None

    def _assess(self, reading: Reading | None, failures: int, last: JobReading) -> JobReading:
        if reading is None:
            return JobReading(Verdict.DEADLINE, state=last.state, message="no poll succeeded after that")
        return assess(reading, now=datetime.now(UTC), failures=failures, limits=self.order.limits)

    def _report(self, seen: JobReading, reading: Reading | None, failures: int) -> None:
        """Log what is new. A line for which the triggerer has no time is logged after a later poll."""
        if isinstance(reading, VertexBatchError):
            metrics.poll_failed(reading, in_trigger=True)
            if _LINES.allows(time.monotonic()):
                self.log.warning("Could not read job %s (%d in a row): %s", self.job, failures, reading)
        elif (
            seen.verdict is Verdict.WAIT and seen.progress != self._logged and _LINES.allows(time.monotonic())
        ):
            # The task itself reports how the job has ended.
            self._logged = seen.progress
            self.log.info("Job %s is %s", self.job, seen.progress)

    async def on_kill(self) -> None:
        """Cancel the job, unless the task was cleared and its next try will resume it."""
        if not self.order.cancel_on_kill:
            return
        task = asyncio.create_task(self._cancel(), name=f"cancel {self.job}")
        _CANCELS.add(task)
        task.add_done_callback(_CANCELS.discard)
        # The cancel continues by itself. Airflow would report a longer wait as an error.
        await asyncio.wait({task}, timeout=_ON_KILL_SECONDS)

    async def _cancel(self) -> None:
        state = await self._task_state()
        for pause_seconds in _ASK_AGAIN_AFTER_SECONDS:
            if state is None:
                await asyncio.sleep(pause_seconds)
                state = await self._task_state()
        if not cancels_when_killed(Killed.TRIGGER, state):
            self._report_left(state)
            return
        try:
            async with await LiteLLMHook(self.order.litellm_conn_id).aclient() as client:
                owner = self.order.owner
                await request_cancel_async(client, self.job.id, (owner["dag_id"], owner["run_id"]))
            self.log.info("Requested cancellation of job %s: its task was set to %s", self.job, state)
        except NotFoundError:
            self.log.info("Job %s no longer exists; nothing to cancel", self.job)
        except OtherRunsJobError as error:
            self.log.warning("%s", error)
        except Exception:
            self.log.exception(
                "Job %s may still run and cost money: it could not be cancelled. Cancel it in the "
                "Google console or with the vertex_batch_cancel DAG",
                self.job,
            )

    def _report_left(self, state: str | None) -> None:
        if not _LINES.allows(time.monotonic()):
            return
        if state is not None:
            self.log.info("Leaving job %s to the task's next try: it is %s", self.job, state)
            return
        self.log.warning(
            "Job %s was not cancelled: Airflow did not answer whether its task still waits for it. If it does"
            " not, the run's record_cost task or the DAG vertex_batch_reap finds the job",
            self.job,
        )

    async def _task_state(self) -> str | None:
        """The task's current state; None if Airflow does not answer."""
        from airflow.sdk.execution_time.comms import (  # noqa: PLC0415 - needs a supervisor
            GetTaskStates,
            TaskStatesResult,
        )
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415

        owner = self.order.owner
        question = GetTaskStates(
            dag_id=owner["dag_id"],
            task_ids=[owner["task_id"]],
            run_ids=[owner["run_id"]],
            map_index=owner["map_index"],
        )
        try:
            answer = await SUPERVISOR_COMMS.asend(question)
        except Exception:
            if _LINES.allows(time.monotonic()):
                self.log.exception(
                    "Could not read from Airflow the state of the task that waits for %s", self.job
                )
            return None
        if not isinstance(answer, TaskStatesResult):
            return None
        states = answer.task_states.get(owner["run_id"]) or {}
        # A mapped task's key carries its map index, so the only entry is taken whatever its name.
        return str(next(iter(states.values()), "removed"))
