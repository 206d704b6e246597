"""Cancel batch prediction jobs and wait until they have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from vertex_batch.errors import NotFoundError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.cancelling import DEFAULT_CONFIRM_SECONDS, cancel_all
from vertex_batch.lifecycle.ownership import OtherRunsJobError, check_run
from vertex_batch.operators.base import ProxyOperator
from vertex_batch.tasks.context import find_place, named_job
from vertex_batch.tasks.outcome import explained
from vertex_batch.tasks.submitted import SubmittedJobs, references
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import JobId, parse_job_names
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context


_CONSEQUENCE = "Nothing was cancelled"


class CancelBatchPredictionJobOperator(ProxyOperator):
    """Cancel jobs: those of a submit task, by id, or by label. Jobs that have ended are left alone.

    Running it twice is harmless. Rows that were finished before the cancel are billed.

    A task that is not mapped cancels the jobs of all map indices of the submit task. A mapped task cancels
    those of the same map index (or those of a submit task that is not mapped).

    :param job: a reference that `SubmitBatchPredictionJobOperator` returned, or a list of them, such as the
        output of a mapped submit task. Only covers tasks that returned a reference before they died. A job
        that another run submitted is left alone.
    :param submit_task_id: cancel every job that this task submitted in this run, even if the task crashed
        before it returned the job id.
    :param resubmit_task_ids: tasks that may have submitted again for it, such as the waiting task.
    :param job_ids: job ids, ``PROJECT/LOCATION/ID``, resource names, or the addresses of the jobs' pages in
        the Google Cloud console. A project or location in the name is used; one that contradicts ``project``
        or ``location`` is an error.
    :param label_filter: a filter in Vertex's grammar, such as ``labels.team="search"``. Only active jobs are
        cancelled.
    :param project: for ``job_ids`` and ``label_filter``. Defaults to the connection's project; likewise for
        ``location``.
    :param confirm: wait until each job has ended. False: only send the cancel requests.
    :param confirm_seconds: how long to wait for each job to end.
    :returns: one entry per job: its id, display name and state.
    :raises AirflowSkipException: there was nothing to cancel.
    """

    template_fields: Sequence[str] = (
        "job",
        "job_ids",
        "label_filter",
        "project",
        "location",
        "litellm_conn_id",
    )
    ui_color = "#fce8e6"

    def __init__(
        self,
        *,
        job: object = None,
        submit_task_id: str | None = None,
        resubmit_task_ids: Sequence[str] = (),
        job_ids: list[str] | str | None = None,
        label_filter: str | None = None,
        project: str | None = None,
        location: str | None = None,
        confirm: bool = True,
        confirm_seconds: float = DEFAULT_CONFIRM_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.submit_task_id = submit_task_id
        self.resubmit_task_ids = tuple(resubmit_task_ids)
        self.job_ids = job_ids
        self.label_filter = label_filter
        self.project = project
        self.location = location
        self.confirm = confirm
        self.confirm_seconds = confirm_seconds

    def execute(self, context: Context) -> list[dict[str, Any]]:
        hook = LiteLLMHook(self.litellm_conn_id)
        with explained(context, self.log), hook.client() as client:
            active = dict(self._targets(context, client, hook))
            if not active:
                raise AirflowSkipException("Found no active job of this run to cancel.")
            self.log.info("Cancelling %d jobs: %s", len(active), ", ".join(map(str, active)))
            seconds = self.confirm_seconds if self.confirm else None
            active |= cancel_all(client, active, confirm_seconds=seconds)
        for job_id, job in active.items():
            self.log.info("Job %s is now %s", job_id, job.state)
        return [
            {"job_id": job.job_id, "display_name": job.display_name, "state": job.raw_state}
            for job in active.values()
        ]

    def _targets(
        self, context: Context, client: BatchClient, hook: LiteLLMHook
    ) -> Iterator[tuple[JobId, BatchPredictionJob]]:
        for job_id, job in self._named(context, client, hook):
            if job.state.is_terminal:
                self.log.info("Job %s has already ended: %s", job.job_id, job.state)
            else:
                yield job_id, job

    def _named(
        self, context: Context, client: BatchClient, hook: LiteLLMHook
    ) -> Iterator[tuple[JobId, BatchPredictionJob]]:
        for reference in references(self.job, _CONSEQUENCE) if self.job else ():
            yield from self._owned(context, client, reference)
        if self.submit_task_id:
            submitted = SubmittedJobs(
                context, client, [self.submit_task_id, *self.resubmit_task_ids], self.log
            )
            for found in submitted.find(lambda: find_place(hook, self.project, self.location, _CONSEQUENCE)):
                yield from self._owned(context, client, found)
        if not (self.job_ids or self.label_filter):
            return
        for job_id in self._job_ids(hook):
            yield from self._by_id(client, job_id)
        if self.label_filter:
            place = find_place(hook, self.project, self.location, _CONSEQUENCE)
            for job in client.list(*place, filter=self.label_filter):
                yield JobId(*place, job.job_id), job

    def _job_ids(self, hook: LiteLLMHook) -> list[JobId]:
        """The jobs of `job_ids`. All are read before the first is cancelled, so that a typo cancels none."""
        names = parse_job_names(self.job_ids)
        return [named_job(hook, name, self.project, self.location, _CONSEQUENCE) for name in names]

    def _owned(
        self, context: Context, client: BatchClient, reference: JobReference
    ) -> Iterator[tuple[JobId, BatchPredictionJob]]:
        if not reference.may_cancel:
            self.log.info("Leaving job %s alone: this run did not submit it and only waits for it", reference)
            return
        for job_id, job in self._by_id(client, reference.id):
            try:
                check_run(job, context["ti"].dag_id, context["ti"].run_id)
            except OtherRunsJobError as error:
                self.log.warning("%s", error)
            else:
                yield job_id, job

    def _by_id(self, client: BatchClient, job_id: JobId) -> Iterator[tuple[JobId, BatchPredictionJob]]:
        try:
            yield job_id, client.get(*job_id)
        except NotFoundError:
            self.log.warning("Job %s does not exist; nothing to cancel", job_id)
