"""Adopt a job that was created outside Airflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.ownership import why_not_to_adopt
from vertex_batch.observability.links import ConsoleJobLink
from vertex_batch.operators.base import ProxyOperator
from vertex_batch.tasks.context import deployment, map_index, named_job
from vertex_batch.tasks.outcome import explained
from vertex_batch.vertex.names import JobId, Place, parse_job_name
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context

_CONSEQUENCE = "Nothing was adopted"


class AdoptBatchPredictionJobOperator(ProxyOperator):
    """Adopt a job that was created in the console, by a script or by another tool.

    It submits nothing, so nothing is paid for twice. It changes nothing at Vertex, because a job's labels
    cannot be changed after creation. The sensor and the other operators accept its return value like a
    submit task's (through ``job=`` or ``submit_task_id=``). However often a job is adopted, the cost table
    has one bill for it. A job that fails is not submitted again, because Airflow did not send its request.

    A job that a task of this package submitted is refused: its own run waits for it and records it.

    :param job: the job's id, ``PROJECT/LOCATION/ID``, its resource name, or the address of its page in the
        Google Cloud console.
    :param project: the project id that the proxy is configured with. Defaults to the one in the job's name,
        then to the connection's.
    :param location: defaults to the one in the job's name, then to the connection's.
    :param model: the model, as the price lists name it, for a job that does not name its own.
    :param cancel_with_run: cancel the job when no task waits for it any more: when the waiting task is killed
        or misses its deadline, when the run fails, or when it is recorded while it still runs. By default the
        job is left alone, and recording it has to wait until it ends.
    :returns: a `JobReference` as a dict, like `SubmitBatchPredictionJobOperator`.
    """

    template_fields: Sequence[str] = (
        "job",
        "project",
        "location",
        "model",
        "cancel_with_run",
        "litellm_conn_id",
    )
    operator_extra_links = (ConsoleJobLink(),)
    ui_color = "#d2e3fc"

    def __init__(
        self,
        *,
        job: str,
        project: str | None = None,
        location: str | None = None,
        model: str | None = None,
        cancel_with_run: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job = job
        self.project = project
        self.location = location
        self.model = model
        self.cancel_with_run = cancel_with_run

    def execute(self, context: Context) -> dict[str, Any]:
        with explained(context, self.log):
            reference = self._adopt(map_index(context))
        ConsoleJobLink.publish(context, reference)
        return reference.to_dict()

    def _adopt(self, index: int) -> JobReference:
        hook = LiteLLMHook(self.litellm_conn_id)
        job_id = self._job_id(hook)
        with hook.client() as client:
            job = client.get(*job_id)
        if problem := why_not_to_adopt(job, deployment()):
            raise ConfigurationError(f"Job {job_id} is not adopted: {problem}")
        model = job.model or self.model or ""
        if not model:
            raise ConfigurationError(
                f"Job {job_id} does not name its model, so its rows could not be priced. {_CONSEQUENCE}",
                "set `model`",
            )
        self.log.info("Adopting job %s (%s), which is %s", job_id, job.display_name, job.state)
        return self._reference(job_id.place, job, model, index)

    def _job_id(self, hook: LiteLLMHook) -> JobId:
        job_id = named_job(hook, parse_job_name(self.job), self.project, self.location, _CONSEQUENCE)
        if job_id.project.isdecimal():
            # A bill under the number would be a second one next to that under the id.
            raise ConfigurationError(
                f"{job_id.project} is a project number. {_CONSEQUENCE}", "use the project id instead"
            )
        return job_id

    def _reference(self, place: Place, job: BatchPredictionJob, model: str, index: int) -> JobReference:
        destination = job.output_config.get("gcsDestination") or {}
        return JobReference(
            *place,
            job.job_id,
            model=model,
            output_prefix=str(destination.get("outputUriPrefix", "")),
            input_uris=job.input_uris,
            labels=job.labels,
            map_index=index,
            may_cancel=str(self.cancel_with_run).lower() == "true",
        )
