"""The jobs of a run's rounds: the first submission, and the retries of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import TYPE_CHECKING

from airflow.sdk import DagRunState, TaskInstanceState

from vertex_batch.errors import StillRunningError, TransientError
from vertex_batch.lifecycle.cancelling import DEFAULT_CONFIRM_SECONDS, cancel_all
from vertex_batch.lifecycle.finding import find_group_jobs
from vertex_batch.lifecycle.identity import attempt_key
from vertex_batch.lifecycle.ownership import check_run, have_ended
from vertex_batch.log import Log
from vertex_batch.results import JobChain
from vertex_batch.tasks.choices import earlier_run
from vertex_batch.tasks.context import find_run, identity, pulled
from vertex_batch.tasks.delivery_order import TO_COME
from vertex_batch.tasks.submitted import SubmittedJobs
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL, RETRY_OF_LABEL
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import BatchPredictionJob, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context

_MOST_ATTEMPTS = 6
_CREATED_AT = attrgetter("created_at")


@dataclass(frozen=True, slots=True)
class RoundTasks:
    """The submit tasks of the rounds of one job.

    :param first: that of the first submission.
    :param retries: those of the retries, in order.
    """

    first: str
    retries: tuple[str, ...] = ()

    def of(self, number: int) -> str:
        """The submit task of a round; 0 is the first submission."""
        return self.retries[number - 1] if number else self.first


class RowsTakenError(TransientError):
    """Another run may be about to send the same rows again.

    :param run_id: of the other run.
    """

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        super().__init__(
            f"Run {run_id} of this DAG is not over, and may send the same rows again. They would be paid for"
            " twice. Nothing was submitted. A retry checks again; run this again once that run is over."
        )


def check_rows_are_free(context: Context, target: str, group: str) -> None:
    """See that no other run sends rows of a run again at the same time. Of two runs, the first to start may.

    A run prepares its rows some time before its job exists, so its job alone does not show it.

    :param target: the id of the run whose rows are sent again.
    :param group: what the ids of the tasks of this job begin with.
    :raises RowsTakenError: another run, or that run itself, does. A retry succeeds once that run is over.
    """
    ti, mine = context["ti"], context["dag_run"].start_date
    if ti.get_dr_count(dag_id=ti.dag_id, states=[DagRunState.RUNNING.value]) <= 1:
        return  # only this run; the states below are those of all runs that the DAG ever had
    for run_id, tasks in ti.get_task_states(dag_id=ti.dag_id).items():
        ended = have_ended(state for name, state in tasks.items() if name.startswith(group))
        if run_id == ti.run_id or ended or not (other := find_run(ti.dag_id, run_id)):
            continue
        if target not in {run_id, earlier_run(other.conf or {})} or other.state != DagRunState.RUNNING:
            continue
        if other.start_date and (mine is None or (other.start_date, run_id) < (mine, ti.run_id)):
            raise RowsTakenError(run_id)


def cancel_rounds(
    context: Context,
    client: BatchClient,
    place: Place,
    task_ids: Sequence[str],
    log: Log,
    *,
    confirm: bool = False,
) -> None:
    """Cancel jobs of rounds that were cleared together with the job whose rows they send again.

    Call this before that job is created again. Otherwise they would run, and be paid for, until their own
    tasks begin, which is after that job has ended.

    :param place: where to look if the tasks have not said where they submitted.
    :param task_ids: the tasks that submit the rounds. One that was not cleared waits for its job.
    :param confirm: wait until they have ended.
    """
    if not task_ids:
        return
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id) or {}
    active: list[JobId] = []
    for task_id in task_ids:
        of_task = [state for name, state in states.items() if name.rpartition("_")[0] == task_id]
        if not of_task or not {*of_task} <= {*TO_COME, TaskInstanceState.REMOVED}:
            continue
        jobs = SubmittedJobs(context, client, [task_id], log, every_index=True)
        jobs.find(lambda: place)
        for job in jobs.active:
            log.info("Cancelling job %s: a task before it was cleared, and sends its rows again", job)
            active.append(job.id)
    cancel_all(client, active, confirm_seconds=DEFAULT_CONFIRM_SECONDS if confirm else None)


class RoundJobs:
    """Finds the jobs of a run's rounds by their labels.

    :param place: where jobs are submitted now. Those of earlier runs may be elsewhere.
    :param run_id: of an earlier run of the DAG, whose rows a person sends again; None: of the present one.
    """

    def __init__(
        self,
        context: Context,
        client: BatchClient,
        tasks: RoundTasks,
        place: Place,
        run_id: str | None = None,
    ) -> None:
        self._place = place
        self._ti = context["ti"]
        self._client, self._tasks = client, tasks
        self._who = identity(context)
        self._is_other = run_id is not None
        self._run_id = run_id or self._who.run_id

    @property
    def retry_of(self) -> str:
        """The label of jobs that run rows of an earlier run again; empty for the present run."""
        return self._key(self._tasks.first) if self._is_other else ""

    def chains(self, number: int) -> list[JobChain]:
        """The chains of a round, in the order of their shards, with the jobs that later ran rows of them.

        A job of a later round is newer than the chain unless its submit task was cleared since. What such an
        older job answered may belong to another input.

        :raises StillRunningError: a job has not ended.
        """
        chains = list(self._chains(self._tasks.of(number)))
        places = {chain.place for chain in chains} | {self._place}
        later = [job for place in sorted(places) for job in self._later(place, number)]
        return [replace(chain, later=tuple(_newer_than(chain, later))) for chain in chains]

    def _later(self, place: Place, number: int) -> list[BatchPredictionJob]:
        """The jobs that ran rows of a round again, and have ended."""
        tasks = self._tasks.retries[number:]
        found = [job for task_id in tasks for job in self._listed(place, task_id)]
        key = self._key(self._tasks.first)
        of_others = list(self._client.list(*place, filter=f'labels.{RETRY_OF_LABEL}="{key}"'))
        # A job of the present run is found by its submit task.
        awaited = [*found, *of_others] if self._is_other else of_others
        if active := next((job for job in awaited if not job.state.is_terminal), None):
            raise StillRunningError(active.job_id, active.state)
        return [job for job in (*found, *of_others) if job.state.is_terminal]

    def _chains(self, task_id: str) -> Iterator[JobChain]:
        """The chains of one submit task.

        In its own run, only those whose waiting task has come to its end by itself: what a person stopped,
        skipped or marked is not started again.
        """
        returned = [JobReference.from_dict(dict(value)) for value in self._pull(task_id)]
        references = sorted(returned, key=lambda each: each.map_index)
        waited_for = {value.get("job_id") for value in self._pull(f"{task_id.removesuffix('submit')}wait")}
        listed: dict[Place, list[BatchPredictionJob]] = {}
        for reference in references:
            place = reference.id.place
            if place not in listed:
                listed[place] = self._listed(place, task_id)
            jobs = _chain_of(reference, listed[place]) or [self._client.get(*reference.id)]
            check_run(jobs[0], self._ti.dag_id, self._run_id)
            for job in jobs:
                if not job.state.is_terminal:
                    raise StillRunningError(str(reference), job.state)
            if self._is_other or waited_for & {job.job_id for job in jobs}:
                yield JobChain(place, tuple(jobs), input_rows=reference.input_rows)

    def _pull(self, task_id: str) -> list[Mapping[str, object]]:
        """What a task has returned, for each map index; empty if it was skipped."""
        values = pulled(self._ti, task_id, run_id=self._run_id if self._is_other else None)
        return [value for value in values if isinstance(value, Mapping)]

    def _key(self, task_id: str) -> str:
        return replace(self._who, task_id=task_id, run_id=self._run_id).group_key

    def _listed(self, place: Place, task_id: str) -> list[BatchPredictionJob]:
        return find_group_jobs(self._client, place, self._key(task_id))


def _chain_of(reference: JobReference, listed: Sequence[BatchPredictionJob]) -> list[BatchPredictionJob]:
    """The job of a reference and those that were submitted again for it, oldest first."""
    first = next((job for job in listed if job.job_id == reference.job_id), None)
    if first is None:
        return []
    # Not the key of the first one: a cleared task may have adopted it, and has a new key.
    keys = {attempt_key(reference.job_key, number) for number in range(1, _MOST_ATTEMPTS)}
    again = [job for job in listed if job.labels.get(IDEMPOTENCY_KEY_LABEL) in keys]
    return [first, *sorted(again, key=_CREATED_AT)]


def _newer_than(chain: JobChain, jobs: Sequence[BatchPredictionJob]) -> list[BatchPredictionJob]:
    since = chain.jobs[-1].created_at
    return sorted((job for job in jobs if job.created_at > since), key=_CREATED_AT)
