"""Wait for a batch prediction job without holding a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator, PokeReturnValue
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSensorTimeout

from vertex_batch.errors import NotFoundError, PermanentError, VertexBatchError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.cancelling import request_cancel_by_key
from vertex_batch.lifecycle.explaining import explain, explain_failed_rows, explain_short_resume
from vertex_batch.lifecycle.identity import deployment_label
from vertex_batch.lifecycle.ownership import OtherRunsJobError
from vertex_batch.lifecycle.waiting import (
    DEFAULT_DEADLINE,
    JobReading,
    PollLimits,
    TaskEnd,
    Verdict,
    assess,
    leaves_rest,
    task_end,
)
from vertex_batch.observability import metrics
from vertex_batch.observability.lineage import ReportsLineage, of_reference
from vertex_batch.observability.links import BillLink, ConsoleJobLink, OutputLink, bill_url, storage_url
from vertex_batch.sensors.attempts import Attempts, FailureTally
from vertex_batch.tasks.context import deployment, owner
from vertex_batch.tasks.delivery_order import check_delivery
from vertex_batch.tasks.kill import KillSwitch
from vertex_batch.tasks.outcome import explained
from vertex_batch.tasks.retry_policy import RETRY_POLICY
from vertex_batch.triggers import BatchPredictionJobTrigger
from vertex_batch.vertex.labels import SHARD_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context, RetryPolicy

# Airflow's own timeout is only a backstop for the trigger's, whose message says more.
_BACKSTOP = timedelta(minutes=15)
_TRIGGER_FAILED = "__fail__"


class BatchPredictionJobSensor(ReportsLineage, BaseSensorOperator):
    """Wait until a job has ended, and succeed only if it has results.

    A retry resumes waiting for the same job and submits nothing. Give this task ``retries``: without them,
    the loss of a worker fails the run, and the clean-up tasks cancel a job that could have been resumed. When
    the task is killed, or the deadline passes, the job is cancelled. Its finished rows are billed.

    If the sensor is mapped (``.partial(...).expand(job=submit.output)``), each map index waits for its own
    job and resubmits only that one. No index affects another index's job.

    :param job: the reference that `SubmitBatchPredictionJobOperator` returned.
    :param resubmits: how often a job that failed for a transient reason is submitted
        again, with its own key and bill. If rows were answered, the new job resumes the failed one, and they
        are not paid for again; a job that cannot be resumed is then not submitted again.
    :param poll_interval_seconds: pause between polls. Triggers that watch the same proxy, project and
        location share their polls.
    :param deadline_seconds: longest time from the job's creation to its end. Vertex queues for up to 72 h
        and runs for up to 24 h.
    :param queue_deadline_seconds: longest time from the job's creation to its start.
    :param run_deadline_seconds: longest time from its start to its end.
    :param max_failed_ratio: fail the task if a larger share of the rows failed (0 to 1). Vertex reports a job
        as succeeded even if all its rows failed.
    :param fail_without_answers: fail the task if no row was answered, whatever `max_failed_ratio` allows.
        A shard of a split input never fails for that: `AggregateTokenUsageOperator` decides for all of them.
    :param rest_is_sent_again: succeed if the job died for a passing reason, expired or missed its deadline,
        because later tasks of the run send its unanswered rows again.
    :param tolerated_failures: how many polls in a row may fail before the task does. A retry resumes waiting.
    :param deferrable: wait in the triggerer. False: wait in the worker, by ``mode`` "poke" or "reschedule".
    :param cancel_on_kill: cancel the job when a person fails, skips or marks the task, or ends its run.
    :param cancel_on_deadline: cancel the job when it misses its deadline.
    :param litellm_conn_id: the proxy.
    :param retry_policy: by default, permanent errors fail at once, and the server's Retry-After is respected.
    :param timeout: Airflow's name for `deadline_seconds`; the shorter one of both counts.
    :returns: how the job ended: state, row counts, output directory.
    """

    template_fields: Sequence[str] = ("job", "litellm_conn_id")
    operator_extra_links = (ConsoleJobLink(), BillLink(), OutputLink())
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        job: object,
        resubmits: int = 1,
        poll_interval_seconds: float = 60.0,
        deadline_seconds: float = DEFAULT_DEADLINE.total_seconds(),
        queue_deadline_seconds: float | None = None,
        run_deadline_seconds: float | None = None,
        max_failed_ratio: float = 1.0,
        fail_without_answers: bool = True,
        rest_is_sent_again: bool = False,
        tolerated_failures: int = 20,
        deferrable: bool = True,
        cancel_on_kill: bool = True,
        cancel_on_deadline: bool = True,
        litellm_conn_id: str = LiteLLMHook.default_conn_name,
        retry_policy: RetryPolicy | None = RETRY_POLICY,
        timeout: timedelta | float | None = None,
        **kwargs: Any,
    ) -> None:
        if timeout is not None:
            seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
            deadline_seconds = min(deadline_seconds, seconds)
        # Airflow's own would neither bound a deferred task nor cancel the job of one that fails softly.
        airflows = deadline_seconds * (1 + resubmits) + _BACKSTOP.total_seconds()
        kwargs.setdefault("poke_interval", poll_interval_seconds)
        super().__init__(retry_policy=retry_policy, timeout=airflows, **kwargs)
        self.job = job
        self.resubmits = resubmits
        self.queue_deadline_seconds = queue_deadline_seconds
        self.run_deadline_seconds = run_deadline_seconds
        self.poll_interval_seconds = poll_interval_seconds
        self.deadline_seconds = deadline_seconds
        self.max_failed_ratio = max_failed_ratio
        self.fail_without_answers = fail_without_answers
        self.rest_is_sent_again = rest_is_sent_again
        self.tolerated_failures = tolerated_failures
        self.deferrable = deferrable
        self.cancel_on_kill = cancel_on_kill
        self.cancel_on_deadline = cancel_on_deadline
        self.litellm_conn_id = litellm_conn_id
        self._created_at: datetime | None = None
        self._failures = 0
        self._tally = FailureTally()
        self._progress = ""
        self._kill: KillSwitch | None = None
        self._attempts: Attempts | None = None
        self._run = ("", "")

    @property
    def reference(self) -> JobReference:
        if not isinstance(self.job, dict):
            message = (
                f"Task {self.task_id} has no job to wait for: `job` is {self.job!r}, but must be the submit"
                " task's return value. Clear the submit task. If that task is mapped, map this one too:"
                " `BatchPredictionJobSensor.partial(...).expand(job=submit.output)`."
            )
            raise AirflowFailException(message)
        return JobReference.from_dict(self.job)

    def execute(self, context: Context) -> object:
        with explained(context, self.log):
            self._begin(context)
            if self.deferrable:
                return self._proceed(context, self._look())
            try:
                return super().execute(context)
            except AirflowSensorTimeout:
                if self.cancel_on_deadline:
                    self._cancel("its sensor timed out")
                raise

    def poke(self, context: Context) -> bool | PokeReturnValue:
        seen = self._look()
        while self._resubmits(context, seen):
            seen = self._look()
        if self.reschedule:
            self._tally.keep(context, self._failures)
        if seen.verdict is Verdict.WAIT:
            return False
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(seen))

    def _begin(self, context: Context) -> None:
        """Restore the state that the task's earlier processes stored."""
        self._kill = kill = KillSwitch(context, self._cancel, self.log)
        self._run = context["ti"].dag_id, context["ti"].run_id

        def may_create() -> None:
            kill.check()
            check_delivery(context, self.task_id)

        self._attempts = Attempts(
            context, self.reference, self.resubmits, log=self.log, before_create=may_create
        )
        if self.reschedule:
            self._failures = self._tally.restore(context)
        if self._attempts.in_doubt:
            self._submit_next()
        ConsoleJobLink.publish(context, self._waited_for)

    @property
    def _waited_for(self) -> JobReference:
        return self._attempts.job if self._attempts else self.reference

    def _proceed(self, context: Context, seen: JobReading) -> dict[str, object]:
        while seen.verdict is Verdict.WAIT or self._resubmits(context, seen):
            if seen.verdict is Verdict.WAIT:
                self._defer(context)
            seen = self._look()
        return self._conclude(seen)

    def _resubmits(self, context: Context, seen: JobReading) -> bool:
        """Resubmit a job that failed for a transient reason; return whether there is a new job to watch."""
        if not (self._attempts and self._attempts.submits_again_after(seen)):
            return False
        self.log.warning(
            "%s Submitting it again (%d of %d).",
            self._explain(seen),
            self._attempts.number + 1,
            self.resubmits,
        )
        self._submit_next()
        ConsoleJobLink.publish(context, self._waited_for)
        return True

    def _submit_next(self) -> None:
        attempts, kill = self._attempts, self._kill
        assert attempts
        assert kill
        with LiteLLMHook(self.litellm_conn_id).client() as client:
            attempts.submit_next(client)
        if kill.cancelled:  # while the POST was on its way
            self._cancel("its task was killed")
        kill.check()
        self._created_at, self._failures, self._progress = None, 0, ""

    def _defer(self, context: Context) -> None:
        deadline_at = self._deadline_at()
        self.defer(
            trigger=BatchPredictionJobTrigger(
                job=self._waited_for.to_dict(),
                owner=owner(context),
                litellm_conn_id=self.litellm_conn_id,
                deadline_at=deadline_at.isoformat(),
                poll_interval_seconds=self.poll_interval_seconds,
                tolerated_failures=self.tolerated_failures,
                cancel_on_kill=self.cancel_on_kill and self._waited_for.may_cancel,
                queue_seconds=self.queue_deadline_seconds,
                run_seconds=self.run_deadline_seconds,
                created_at=self._created_at.isoformat() if self._created_at else None,
                deployment=deployment_label(deployment()),
            ),
            method_name=self.execute_complete.__name__,
            timeout=max(deadline_at - datetime.now(UTC), timedelta()) + _BACKSTOP,
        )

    def execute_complete(self, context: Context, event: dict[str, object]) -> dict[str, object]:
        """Resume with what the trigger saw last."""
        with explained(context, self.log):
            self._begin(context)
            return self._proceed(context, JobReading.from_dict(event))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, object] | None, context: Context
    ) -> object:
        """Resume. If the trigger itself failed or timed out and no try is left, cancel the job first."""
        if next_method == _TRIGGER_FAILED:
            ti = context["ti"]
            if ti.try_number > ti.max_tries:
                self._begin(context)
                self._cancel("its trigger failed and no try is left")
        return super().resume_execution(next_method, next_kwargs, context)

    def on_kill(self) -> None:
        """Cancel the job, unless another try will resume it. In the triggerer, the trigger does this."""
        if self.cancel_on_kill and self._kill:
            self._kill.kill()

    def _look(self) -> JobReading:
        reading = self._read()
        # The deadline counts from the job's creation, which is known only after the first reading.
        limits = PollLimits(
            self._deadline_at(),
            self.tolerated_failures,
            self.queue_deadline_seconds,
            self.run_deadline_seconds,
        )
        seen = assess(reading, now=datetime.now(UTC), failures=self._failures, limits=limits)
        if isinstance(reading, VertexBatchError):
            self._failures += 1
            metrics.poll_failed(reading)
            self.log.warning(
                "Could not read job %s (%d in a row): %s", self._waited_for, self._failures, reading
            )
        else:
            self._failures = 0
            if seen.verdict is Verdict.WAIT and seen.progress != self._progress:
                self._progress = seen.progress
                self.log.info("Job %s is %s", self._waited_for, seen.progress)
        return seen

    def _read(self) -> BatchPredictionJob | VertexBatchError:
        job = self._waited_for
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

    def _conclude(self, seen: JobReading) -> dict[str, object]:
        """Turn the last reading into the task's end."""
        self.bill_url = bill_url(self._waited_for.id)
        self.output_url = storage_url(seen.output_directory or "")
        written = seen.ok_rows if seen.output_directory else None
        self.lineage = of_reference(self._waited_for, seen.output_directory, written)
        if seen.verdict is Verdict.DEADLINE and self.cancel_on_deadline:
            self._cancel("it missed its deadline")
        if self.rest_is_sent_again and leaves_rest(seen):
            following = "The next tasks of this run send its rows without an answer again, or list them."
            self.log.warning("%s", self._explain(seen, following))
            return {**seen.to_dict(), "job_id": self._waited_for.job_id}
        alone = SHARD_LABEL not in self.reference.labels
        end = task_end(seen, self.max_failed_ratio, fail_without_answers=self.fail_without_answers and alone)
        if not seen.verdict.has_results:
            message = self._explain(seen)
            raise (AirflowException if end is TaskEnd.RETRIED else AirflowFailException)(message)
        if end is TaskEnd.FAILED:
            message = explain_failed_rows(str(self._waited_for), seen, self.max_failed_ratio)
            raise AirflowFailException(message)
        self._see_that_all_ran(seen)
        if seen.has_no_answer:
            self.log.warning(
                "Job %s has no answers: all %d rows failed. This task does not fail, because other jobs of"
                " the run may have answers; record_cost decides",
                self._waited_for,
                seen.failed_rows,
            )
        self.log.info("Job %s is %s", self._waited_for, seen.progress)
        if seen.output_directory:
            self.log.info("Its output is in %s", seen.output_directory)
        return {**seen.to_dict(), "job_id": self._waited_for.job_id}

    def _explain(self, seen: JobReading, following: str | None = None) -> str:
        return explain(str(self._waited_for), seen, self._run, following)

    def _see_that_all_ran(self, seen: JobReading) -> None:
        """A job that resumed another one must have run all of its rows."""
        if not (self._attempts and self._attempts.number):
            return
        with LiteLLMHook(self.litellm_conn_id).client() as client:
            rows, expected = self._attempts.not_run(client, seen)
        if rows < expected:
            message = explain_short_resume(str(self._waited_for), self.reference.job_id, rows, expected)
            if not self.rest_is_sent_again:
                raise AirflowFailException(message)
            self.log.warning("%s", message)

    def _cancel(self, why: str) -> None:
        job = self._waited_for
        if not job.may_cancel:
            self.log.warning(
                "Job %s keeps running: this run did not submit it and only waits for it (%s)", job, why
            )
            return
        key = self._attempts.key_in_doubt if self._attempts else None
        try:
            with LiteLLMHook(self.litellm_conn_id).client() as client:
                request_cancel_by_key(
                    client,
                    job.id.place,
                    self._run,
                    key=key,
                    job_id=job.job_id,
                    why=why,
                    log=self.log,
                )
        except NotFoundError:
            self.log.info("Job %s no longer exists; nothing to cancel", job)
        except OtherRunsJobError as error:
            self.log.warning("%s", error)
        except VertexBatchError as error:
            next_step = "" if isinstance(error, PermanentError) else " record_cost will try again."
            self.log.error("Job %s may still run and cost money: %s%s", job, error, next_step)  # noqa: TRY400
