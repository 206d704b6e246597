"""Finds the jobs of a submit task, even if the task crashed before it stored the job id."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError, NotFoundError
from vertex_batch.lifecycle.finding import find_group_jobs, find_jobs, look_for_lost_job
from vertex_batch.lifecycle.identity import Intent, map_index_of
from vertex_batch.lifecycle.ownership import OtherRunsJobError, check_run
from vertex_batch.log import Log
from vertex_batch.tasks.context import INTENT_XCOM, identity, look_policy, pulled
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context

_NOT_MAPPED = -1


class SubmittedJobs:
    """The jobs of one submit task of this run, of all epochs and attempts.

    A task that is not mapped gets those of all map indices of the submit task. A mapped task gets those of
    its own map index, or all of them if the submit task is not mapped.

    :param task_ids: the submit task, and the tasks that may submit again for it. A job always belongs to the
        map index of the submit task.
    :param every_index: get those of all map indices in any case.
    :ivar active: those that had not ended when `find` read them, except adopted ones that must not be
        cancelled.
    """

    def __init__(
        self,
        context: Context,
        client: BatchClient,
        task_ids: Sequence[str],
        log: Log,
        *,
        every_index: bool = False,
    ) -> None:
        self._ti = context["ti"]
        self._client, self._task_ids, self._log = client, task_ids, log
        who = replace(identity(context), task_id=task_ids[0])
        self._submitter = replace(who, map_index=_NOT_MAPPED) if every_index else who
        self.active: list[JobReference] = []

    def find(self, place: Callable[[], Place]) -> list[JobReference]:
        """List them. If a crashed task may have submitted a job, search until it is found or ruled out.

        :param place: where to look if no task has said where it submitted.
        """
        found = {str(reference): reference for reference in self._returned()}
        intents = list(self._intents())
        places = {Place(reference.project, reference.location) for reference in found.values()}
        places |= {place for intent in intents for place in (intent.place, *intent.elsewhere)}
        for intent in intents:
            if reference := self._intended(intent):
                found.setdefault(str(reference), reference)
        listed: set[str] = set()
        for each in sorted(places) or [place()]:
            for job in self._listed(each):
                reference = _reference(each, job)
                listed.add(str(reference))
                self._see(found.setdefault(str(reference), reference), job)
        for name in sorted(found.keys() - listed):  # the list may show it later
            with suppress(NotFoundError):
                job = self._client.get(*found[name].id)
                try:
                    check_run(job, self._submitter.dag_id, self._submitter.run_id)
                except OtherRunsJobError as error:
                    self._log.warning("%s", error)
                    del found[name]
                else:
                    self._see(found[name], job)
        return list(found.values())

    def _see(self, reference: JobReference, job: BatchPredictionJob) -> None:
        if reference.may_cancel and not job.state.is_terminal:
            self.active.append(reference)

    def _returned(self) -> Iterator[JobReference]:
        for value in pulled(self._ti, self._task_ids[0]):
            if isinstance(value, dict) and self._is_wanted(value.get("map_index", _NOT_MAPPED)):
                yield JobReference.from_dict(value)

    def _intents(self) -> Iterator[Intent]:
        for task_id in self._task_ids:
            for value in pulled(self._ti, task_id, INTENT_XCOM):
                intent = Intent.from_dict(value)
                if intent and self._is_wanted(intent.map_index):
                    yield intent

    def _is_wanted(self, map_index: int) -> bool:
        return self._submitter.map_index == _NOT_MAPPED or map_index in {
            self._submitter.map_index,
            _NOT_MAPPED,
        }

    def _intended(self, intent: Intent) -> JobReference | None:
        place = intent.place
        if intent.job_id:
            return JobReference(*place, intent.job_id, intent.job_key, map_index=intent.map_index)
        if intent.refused:
            self._log.info("The submission was refused, so it created no job")
            return None
        self._log.info(
            "A task crashed around its submission and may have created a job; searching for it by label"
        )
        lost = look_for_lost_job(self._client, intent, look_policy())
        return _reference(place, lost) if lost else None

    def _listed(self, place: Place) -> list[BatchPredictionJob]:
        who = self._submitter
        if who.map_index == _NOT_MAPPED:
            return find_group_jobs(self._client, place, who.group_key)
        keys = (who.task_key, replace(who, map_index=_NOT_MAPPED).task_key)
        return [job for key in keys for job in find_jobs(self._client, place, key)]


def references(job: Any, consequence: str) -> list[JobReference]:
    """Read a task's ``job``: one reference, or those of all map indices of a submit task.

    :param consequence: what did not happen, such as "Nothing was cancelled".
    :raises ConfigurationError: it is neither.
    """
    values = [job] if isinstance(job, Mapping) else job
    try:
        return [JobReference.from_dict(dict(value)) for value in values]
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"`job` is {job!r}, but must be a job reference or a list of them. {consequence}",
            "pass the return value of the submit task",
        ) from error


def _reference(place: Place, job: BatchPredictionJob) -> JobReference:
    return JobReference(
        *place,
        job.job_id,
        job.labels.get(IDEMPOTENCY_KEY_LABEL, ""),
        job.model,
        labels=job.labels,
        map_index=map_index_of(job.labels),
    )
