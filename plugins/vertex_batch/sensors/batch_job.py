"""Wait for a batch prediction job without holding a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from vertex_batch.cancellation import ask
from vertex_batch.errors import NotFoundError, PermanentError, VertexBatchError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle import DEFAULT_DEADLINE, Patience, Sighting, Verdict, explain, judge
from vertex_batch.links import ConsoleJobLink
from vertex_batch.operators.kill import KillSwitch
from vertex_batch.operators.task_context import owner
from vertex_batch.resource import BatchPredictionJob, JobReference
from vertex_batch.triggers import BatchPredictionJobTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

# Airflow's own time-out only backs up the trigger's, which says more.
_BACKSTOP = timedelta(minutes=15)
_TRIGGER_FAILED = "__fail__"


class BatchPredictionJobSensor(BaseSensorOperator):
    """Wait until a job has ended, then succeed only if it has results.

    A retry goes on waiting for the same job and submits nothing. When the task is killed, or the deadline
    passes, the job is cancelled; finished rows are billed all the same.

    :param job: the reference that `SubmitBatchPredictionJobOperator` returned.
    :param poll_interval_seconds: pause between polls. Triggers that watch one proxy, project and location
        share their polls.
    :param deadline_seconds: longest time from the job's creation to its end. Vertex queues for up to 72 h
        and runs for up to 24 h.
    :param max_failed_ratio: fail the task if a larger share of the rows failed (0 to 1). Vertex calls a job
        succeeded even if every row of it failed.
    :param deferrable: wait in the triggerer. False: in the worker, by ``mode`` "poke" or "reschedule".
    :param cancel_on_kill: cancel the job when a person fails, skips or marks the task, or ends its run.
    :param cancel_on_deadline: cancel the job when it misses its deadline.
    :returns: how the job ended: state, row counts, output directory.
    """

    template_fields: Sequence[str] = ("job",)
    operator_extra_links = (ConsoleJobLink(),)
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        job: Any,
        poll_interval_seconds: float = 60.0,
        deadline_seconds: float = DEFAULT_DEADLINE.total_seconds(),
        max_failed_ratio: float = 1.0,
        tolerated_failures: int = 20,
        deferrable: bool = True,
        cancel_on_kill: bool = True,
        cancel_on_deadline: bool = True,
        litellm_conn_id: str = LiteLLMHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("poke_interval", poll_interval_seconds)
        kwargs.setdefault("timeout", deadline_seconds + _BACKSTOP.total_seconds())
        super().__init__(**kwargs)
        self.job = job
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline_seconds = deadline_seconds
        self.max_failed_ratio = max_failed_ratio
        self.tolerated_failures = tolerated_failures
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_deadline = cancel_on_deadline
        self.litellm_conn_id = litellm_conn_id
        self._created_at: datetime | None = None
        self._failures = 0
        self._progress = ""
        self._kill: KillSwitch | None = None

    @property
    def reference(self) -> JobReference:
        if not isinstance(self.job, dict):
            message = (
                f"Task {self.task_id} has no job to wait for: `job` is {self.job!r}, where the submit task's "
                "return value is expected. Nothing is being waited for; clear the submit task."
            )
            raise AirflowFailException(message)
        return JobReference.from_dict(self.job)

    def execute(self, context: Context) -> Any:
        ConsoleJobLink.publish(context, self.reference)
        self._kill = KillSwitch(context, self._cancel, self.log)
        if not self.deferrable:
            return super().execute(context)
        seen = self._look()
        if seen.verdict is not Verdict.WAIT:
            return self._conclude(seen)
        self._defer(context)
        return None

    def poke(self, context: Context) -> bool | PokeReturnValue:  # noqa: ARG002 - Airflow's signature
        seen = self._look()
        if seen.verdict is Verdict.WAIT:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(seen))

    def _defer(self, context: Context) -> None:
        deadline_at = self._deadline_at()
        self.defer(
            trigger=BatchPredictionJobTrigger(
                job=self.reference.to_dict(),
                owner=owner(context),
                litellm_conn_id=self.litellm_conn_id,
                deadline_at=deadline_at.isoformat(),
                poll_interval_seconds=self.poll_interval_seconds,
                tolerated_failures=self.tolerated_failures,
                cancel_on_kill=self.cancel_on_kill,
                created_at=self._created_at.isoformat() if self._created_at else None,
            ),
            method_name=self.execute_complete.__name__,
            timeout=max(deadline_at - datetime.now(UTC), timedelta()) + _BACKSTOP,
        )

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Resume with what the trigger saw last."""
        return self._conclude(Sighting.from_dict(event))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume; where the trigger itself broke or timed out and no try is left, cancel first."""
        if next_method == _TRIGGER_FAILED:
            ti = context["ti"]
            if ti.try_number > ti.max_tries:
                self._cancel("its trigger failed and no try is left")
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Cancel the job, unless another try will go on with it. In the triggerer, the trigger does this."""
        if self.cancel_on_kill and self._kill:
            self._kill.kill()

    def _look(self) -> Sighting:
        reading = self._read()
        # The deadline counts from the job's creation, so it is known only after the first reading.
        patience = Patience(self._deadline_at(), self.tolerated_failures)
        seen = judge(reading, now=datetime.now(UTC), failures=self._failures, patience=patience)
        if isinstance(reading, VertexBatchError):
            self._failures += 1
            self.log.warning(
                "Could not read job %s (%d in a row): %s", self.reference, self._failures, reading
            )
        else:
            self._failures = 0
            if seen.progress != self._progress:
                self._progress = seen.progress
                self.log.info("Job %s is %s", self.reference, seen.progress)
        return seen

    def _read(self) -> BatchPredictionJob | VertexBatchError:
        job = self.reference
        try:
            with LiteLLMHook(self.litellm_conn_id).client() as client:
                reading = client.get(job.project, job.location, job.job_id)
        except VertexBatchError as error:
            return error
        self._created_at = reading.create_time
        return reading

    def _deadline_at(self) -> datetime:
        now = datetime.now(UTC)
        by_job = (self._created_at or now) + timedelta(seconds=self.deadline_seconds)
        return min(by_job, now + self.execution_timeout) if self.execution_timeout else by_job

    def _conclude(self, seen: Sighting) -> dict[str, Any]:
        """Turn the last sighting into the task's end."""
        if seen.verdict is Verdict.DEADLINE and self.cancel_on_deadline:
            self._cancel("it missed its deadline")
        if not seen.verdict.has_results:
            message = explain(str(self.reference), seen)
            # A job that cannot be read may still run, so a retry may well go on waiting for it.
            raise (AirflowException if seen.verdict is Verdict.BLIND else AirflowFailException)(message)
        if seen.failed_ratio > self.max_failed_ratio:
            message = (
                f"Batch prediction job {self.reference} succeeded, but {seen.failed_rows} of its "
                f"{seen.ok_rows + seen.failed_rows} rows failed, more than max_failed_ratio="
                f"{self.max_failed_ratio:g} allows. Failed rows are not billed, the others are. The output's "
                "`status` fields say why; clear the submit task to run the batch again."
            )
            raise AirflowFailException(message)
        self.log.info("Job %s is %s", self.reference, seen.progress)
        return seen.to_dict()

    def _cancel(self, why: str) -> None:
        job = self.reference
        try:
            with LiteLLMHook(self.litellm_conn_id).client() as client:
                ask(client, job.project, job.location, job.job_id)
            self.log.info("Asked Vertex to cancel job %s: %s", job, why)
        except NotFoundError:
            self.log.info("Job %s is gone, there is nothing to cancel", job)
        except VertexBatchError as error:
            permanent = "" if isinstance(error, PermanentError) else " The cancel task tries again."
            self.log.error("Job %s may still run and cost money: %s%s", job, error, permanent)  # noqa: TRY400
