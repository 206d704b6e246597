"""One job that a command submits, waits for and bills, with the same decisions as the operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.billing.recording import PriceSettings, Recorder
from vertex_batch.cli.access import input_storage
from vertex_batch.cli.intents import FileIntentStore, deployment, state_folder
from vertex_batch.cli.interrupts import Interrupts
from vertex_batch.cli.output import say
from vertex_batch.costs import JobFacts
from vertex_batch.errors import NotFoundError, VertexBatchError
from vertex_batch.lifecycle.cancelling import cancel_and_confirm
from vertex_batch.lifecycle.finding import LookPolicy, find_jobs, look_for_lost_job
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.lifecycle.submitting import Submission, Submitter
from vertex_batch.lifecycle.waiting import (
    JobReading,
    PollLimits,
    TaskEnd,
    Verdict,
    assess,
    next_poll_seconds,
    task_end,
)
from vertex_batch.preflight import Mode, Subject, preflight
from vertex_batch.vertex.client import BatchClient

if TYPE_CHECKING:
    from vertex_batch.cli.planning import Plan
    from vertex_batch.costs import Bill, CostTable

RUN_TYPE = "command line"


class ConsoleLog:
    """Prints to the terminal what a task would log."""

    def info(self, msg: str, /, *args: Any) -> None:
        say(msg % args if args else msg)

    def warning(self, msg: str, /, *args: Any) -> None:
        say(f"Warning: {msg % args if args else msg}")


class Attempt:
    """A job on its way from a plan to its bill.

    The same request by the same person is one job, however often the command is run. Only `again` submits a
    second job, and only once the first has ended.

    :param table: where the bill is written.
    :param prices: folder with price files for all specs.
    """

    def __init__(
        self,
        plan: Plan,
        client: BatchClient,
        interrupts: Interrupts,
        table: CostTable,
        prices: Path | None = None,
    ) -> None:
        self.plan = plan
        self._client, self._interrupts, self._table, self._prices = client, interrupts, table, prices
        self._log = ConsoleLog()
        run_id = f"run__{plan.request.fingerprint()[:20]}"
        self._identity = TaskIdentity(deployment(), plan.spec.name, run_id, plan.job.name)
        self.store = FileIntentStore(state_folder(), self._identity.task_key)
        self._epoch = 0
        self.job_id = ""
        self.seen: JobReading | None = None
        self.bill: Bill | None = None
        self._failures, self._progress = 0, ""
        self._next_look = datetime.min.replace(tzinfo=UTC)

    @property
    def title(self) -> str:
        """The job's name in messages."""
        return (
            f"{'/'.join(self.plan.place)}/{self.job_id}" if self.job_id else self.plan.rendered.display_name
        )

    @property
    def is_waited_for(self) -> bool:
        """Whether it was submitted and has not ended, as far as is known."""
        return bool(self.job_id) and (self.seen is None or self.seen.verdict is Verdict.WAIT)

    @property
    def has_results(self) -> bool:
        """Whether it succeeded by the spec's criteria."""
        ratio = self.plan.job.max_failed_ratio
        return self.seen is not None and task_end(self.seen, ratio) is TaskEnd.SUCCESS

    def submit(self, *, again: bool) -> Submission:
        """Find this job or create it. The caller must hold `store`.

        :raises VertexBatchError: nothing was submitted, or this is uncertain; the same command then finds it.
        """
        stored = self.store.load()
        self._epoch = stored.epoch if stored else 0
        if again:
            made = len(find_jobs(self._client, *self.plan.place, self._identity.task_key))
            self._epoch = max(self._epoch + 1 if stored else 0, made)
        submitter = Submitter(
            self._client,
            self.store,
            log=self._log,
            before_intent=self._preflight,
            before_create=self._interrupts.check,
            sleep=self._interrupts.sleep,
        )
        with self._interrupts.held_back():
            done = submitter.submit(self._identity, self._epoch, *self.plan.place, self.plan.request)
            self.job_id = done.job_id
        self._interrupts.check()
        return done

    def _preflight(self) -> None:
        plan, job = self.plan, self.plan.job
        subject = Subject(plan.request.model, plan.place.location, plan.rendered.uris, plan.rendered.output)
        mode = Mode(job.preflight)
        preflight(subject, mode, lambda: input_storage(job.storage_connection), self._client, self._log)

    def look(self, poll_seconds: float) -> float:
        """Poll the job if it is due. Return the seconds until the next poll."""
        now = datetime.now(UTC)
        if now >= self._next_look:
            reading = self._read()
            self.seen = assess(reading, now=now, failures=self._failures, limits=self._limits(reading, now))
            failed = isinstance(reading, VertexBatchError)
            self._failures = self._failures + 1 if failed else 0
            self._tell(self.seen)
            pause = next_poll_seconds(poll_seconds, self._failures, 0.5)
            self._next_look = datetime.fromtimestamp(now.timestamp() + pause, UTC)
        return max(0.0, (self._next_look - now).total_seconds())

    def _read(self) -> Any:
        try:
            return self._client.get(*self.plan.place, self.job_id)
        except VertexBatchError as error:
            return error

    def _limits(self, reading: Any, now: datetime) -> PollLimits:
        job = self.plan.job
        created = getattr(reading, "create_time", None) or now
        queue, run = job.queue_deadline, job.run_deadline
        return PollLimits(
            created + job.deadline,
            queue_seconds=queue.total_seconds() if queue else None,
            run_seconds=run.total_seconds() if run else None,
        )

    def _tell(self, seen: JobReading) -> None:
        progress = seen.progress or seen.message
        if progress != self._progress:
            self._progress = progress
            say(f"Job {self.title}: {progress}")

    def cancel(self) -> None:
        """Cancel the job and wait until it has ended. If its create was not answered, find it first.

        :raises CancelNotConfirmedError: it has not ended and may still run.
        """
        if not self.job_id:
            self._find_lost()
        if not self.job_id:
            return
        try:
            job = cancel_and_confirm(
                self._client, *self.plan.place, self.job_id, sleep=self._interrupts.sleep
            )
        except NotFoundError:
            return
        now = datetime.now(UTC)
        self.seen = assess(job, now=now, failures=0, limits=self._limits(job, now))
        self._tell(self.seen)

    def _find_lost(self) -> None:
        stored = self.store.load()
        if stored is None or stored.job_key != self._identity.job_key(self._epoch):
            return
        if stored.job_id:
            self.job_id = stored.job_id
            return
        say("The response to the create was lost and a job may exist; searching for it by label.")
        lost = look_for_lost_job(self._client, stored, LookPolicy(), sleep=self._interrupts.sleep)
        self.job_id = lost.job_id if lost else ""

    def record(self, logical_date: datetime | None) -> None:
        """Write the bill.

        :raises VertexBatchError: the bill could not be written; the same command tries again.
        """
        plan = self.plan
        settings = PriceSettings(plan.job.prices or None, self._prices)
        storage: Callable[[], Any] = lambda: input_storage(plan.job.storage_connection)  # noqa: E731
        recorder = Recorder(
            self._client, storage, self._table, settings, log=self._log, sleep=self._interrupts.sleep
        )
        facts = JobFacts(
            *plan.place,
            self.job_id,
            job_key=self._identity.job_key(self._epoch),
            model=plan.request.model,
            spec=plan.spec.name,
            run_id=self._identity.run_id,
            task_id=plan.job.name,
            run_type=RUN_TYPE,
            labels=plan.request.labels,
            input_uris=plan.rendered.uris,
            logical_date=logical_date,
        )
        self.bill = recorder.record(facts).bill
