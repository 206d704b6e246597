"""Which jobs a submit task has made, also where it died before it could say so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vertex_batch.client import BatchClient
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle import JOB_KEY_LABEL, Intent
from vertex_batch.operators.place import Place, find_place
from vertex_batch.operators.task_context import INTENT_XCOM, identity, look_policy
from vertex_batch.resource import BatchPredictionJob, JobReference
from vertex_batch.submission import Log, find_jobs, look_for_lost_job

if TYPE_CHECKING:
    from airflow.sdk import Context


class SubmittedJobs:
    """The jobs of one submit task of this run, whichever epoch or attempt.

    :param task_ids: the submit task, and the tasks that may submit again for it.
    """

    def __init__(self, context: Context, client: BatchClient, task_ids: Sequence[str], log: Log) -> None:
        self._context, self._ti = context, context["ti"]
        self._client, self._task_ids, self._log = client, task_ids, log

    def find(
        self, hook: LiteLLMHook, project: str | None, location: str | None, consequence: str
    ) -> list[JobReference]:
        """List them; a job that somebody may have submitted unseen is looked for until that is sure."""
        told = self._ti.xcom_pull(task_ids=self._task_ids[0])
        references: dict[str, JobReference] = {}
        if isinstance(told, dict):
            reference = JobReference.from_dict(told)
            place = Place(reference.project, reference.location)
            references[reference.job_id] = reference
        else:
            place = find_place(hook, project, location, consequence)
        for intent in self._intents():
            if intent.job_id:
                known = JobReference(intent.project, intent.location, intent.job_id, intent.job_key)
                references.setdefault(intent.job_id, known)
            elif job := self._lost(intent):
                references.setdefault(job.job_id, _reference(place, job))
        key = identity(self._context, self._task_ids[0]).task_key
        for job in find_jobs(self._client, *place, key):
            references.setdefault(job.job_id, _reference(place, job))
        return list(references.values())

    def _intents(self) -> Iterator[Intent]:
        for task_id in self._task_ids:
            stored: Any = self._ti.xcom_pull(task_ids=task_id, key=INTENT_XCOM)
            if intent := Intent.from_dict(stored):
                yield intent

    def _lost(self, intent: Intent) -> BatchPredictionJob | None:
        self._log.info("A job may have been submitted by a task that did not live to say so: looking for it")
        return look_for_lost_job(self._client, intent, look_policy())


def _reference(place: Place, job: BatchPredictionJob) -> JobReference:
    return JobReference(*place, job.job_id, job.labels.get(JOB_KEY_LABEL, ""), job.model, labels=job.labels)
