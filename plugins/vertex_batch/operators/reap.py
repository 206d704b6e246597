"""Find jobs that still run although no task waits for them, and jobs that ended without a bill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.billing.spec_settings import BillSettings, SettingsOf
from vertex_batch.errors import VertexBatchError, passing_first
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.cancelling import DEFAULT_CONFIRM_SECONDS, cancel_all
from vertex_batch.lifecycle.identity import deployment_label
from vertex_batch.lifecycle.ownership import (
    TIME_TO_NOTICE,
    Owner,
    Ownership,
    count_unwatched,
    lacks_a_bill,
    submitter,
    who_waits,
)
from vertex_batch.operators.base import ProxyOperator
from vertex_batch.tasks.context import deployment, find_place, has_own_name
from vertex_batch.tasks.outcome import explained
from vertex_batch.tasks.unbilled import Unbilled, UnbilledJobs
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import DAG_LABEL, DEPLOYMENT_LABEL
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import HAS_NOT_ENDED, BatchPredictionJob

if TYPE_CHECKING:
    from airflow.sdk import Context

OwnerOf = Callable[[BatchPredictionJob], Owner]
FindOwners = Callable[[], OwnerOf]
"""Asks Airflow again: a person may clear a run while the jobs of others are being cancelled."""
PlacesOf = Callable[[str], Iterable[tuple[str | None, str | None]]]
"""A connection -> projects and locations."""
REPORT, CANCEL = "report", "cancel"


class ReapBatchPredictionJobsOperator(ProxyOperator):
    """Find jobs that this Airflow's finished runs left at Vertex: still running, or without a bill.

    It is the safety net of last resort. Active jobs are reported or cancelled. A job is reported and never
    cancelled if Airflow does not know its run, because the run was deleted or because the DAG's id does not
    fit into a label. Jobs that have ended are recorded if the cost table has no bill for them; that submits
    and cancels nothing.

    :param action: what to do with active jobs: ``report`` or ``cancel``. Rows that were finished before the
        cancel are billed and recorded.
    :param record_days: record jobs that were created in the last so many days. 0: record nothing.
    :param settings_of: maps a spec's name and the submit task's id to the settings of the bill. By default,
        the default connections and the proxy's prices are used.
    :param project: where to look. Defaults to the connection's project and to `more_places`.
    :param location: likewise for the location.
    :param more_places: maps a connection to further projects and locations that may have its jobs. None
        means the connection's own.
    :param confirm_seconds: how long to wait for a cancelled job to end.
    :returns: one entry for each active job that no task waits for or whose run is not known, and one for each
        job that was recorded, with its amount.
    """

    template_fields: Sequence[str] = ("action", "record_days", "project", "location", "litellm_conn_id")
    ui_color = "#fce8e6"

    def __init__(
        self,
        *,
        action: str = REPORT,
        record_days: float | str = 7,
        settings_of: SettingsOf = lambda spec, task_id: BillSettings(),  # noqa: ARG005 - the same for all
        more_places: PlacesOf = lambda connection: (),  # noqa: ARG005 - no others
        project: str | None = None,
        location: str | None = None,
        confirm_seconds: float = DEFAULT_CONFIRM_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.record_days = record_days
        self.settings_of = settings_of
        self.more_places = more_places
        self.project = project
        self.location = location
        self.confirm_seconds = confirm_seconds

    def execute(self, context: Context) -> list[dict[str, Any]]:
        if self.action not in {REPORT, CANCEL}:
            raise AirflowFailException(
                f"Action {self.action!r} is not one of {[CANCEL, REPORT]}. Nothing was cancelled."
            )
        if self.action == CANCEL and not has_own_name():
            raise AirflowFailException(
                f"This Airflow is called {deployment()!r}, as another one may be, whose jobs it would cancel."
                " Nothing was cancelled. Set [vertex_batch] deployment to a name of its own, while no job"
                " runs. Until then, use the action `report`. A retry will fail the same way."
            )
        hook = LiteLLMHook(self.litellm_conn_id)
        find_owners = partial(_owner_finder, context)
        with explained(context, self.log):
            places = self._places(hook)
            with hook.client() as client:
                return self._look(client, places, find_owners)

    def _places(self, hook: LiteLLMHook) -> list[Place]:
        if self.project or self.location:
            return [find_place(hook, self.project, self.location, "Nothing was searched")]
        named = [(None, None), *self.more_places(self.litellm_conn_id)]
        completed = {(one or hook.default_project, other or hook.default_location) for one, other in named}
        places = [Place(project, location) for project, location in completed if project and location]
        return sorted(places) or [find_place(hook, None, None, "Nothing was searched")]

    def _look(
        self, client: BatchClient, places: Sequence[Place], find_owners: FindOwners
    ) -> list[dict[str, object]]:
        """Check all locations. A failure in one location does not stop the others.

        :raises VertexBatchError: a location could not be checked, or a job there could not be recorded.
        """
        found: list[dict[str, Any]] = []
        errors: list[VertexBatchError] = []
        # Running jobs come first, in all locations: they cost money, and a bill can wait an hour.
        for step in (self._reap, self._record):
            for place in places:
                try:
                    found += step(client, place, find_owners)
                except VertexBatchError as error:
                    self.log.warning("Could not finish checking %s/%s: %s", *place, error)
                    errors.append(error)
        if errors:
            raise passing_first(errors)
        return found

    def _reap(self, client: BatchClient, place: Place, find_owners: FindOwners) -> list[dict[str, object]]:
        active = list(_ours(client, place, HAS_NOT_ENDED))
        self.log.info("%d active jobs of this Airflow in %s/%s", len(active), *place)
        owner_of = find_owners()
        owners = {job.job_id: owner_of(job).ownership for job in active}

        def still_over() -> Iterator[JobId]:
            """Ask again before each cancel: a person may have cleared the run meanwhile."""
            for job in active:
                if owners[job.job_id] is Ownership.ORPHAN:
                    owners[job.job_id] = find_owners()(job).ownership
                if owners[job.job_id] is Ownership.ORPHAN:
                    self.log.warning("Cancelling job %s of %s: its run is over", job.job_id, submitter(job))
                    yield JobId(*place, job.job_id)

        ended: dict[JobId, BatchPredictionJob] = {}
        if self.action == CANCEL:
            ended = cancel_all(client, still_over(), confirm_seconds=self.confirm_seconds)
        return [
            self._report(job, owners[job.job_id], ended.get(JobId(*place, job.job_id)))
            for job in active
            if owners[job.job_id] is not Ownership.WAITED_FOR
        ]

    def _record(self, client: BatchClient, place: Place, find_owners: FindOwners) -> list[dict[str, object]]:
        """Record jobs that ended without a bill.

        :raises VertexBatchError: a job could not be recorded; the others were.
        """
        days = float(self.record_days)
        if days <= 0:
            return []
        now, owner_of = datetime.now(UTC), find_owners()
        since = (now - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        unbilled = UnbilledJobs(client, place, self.settings_of, self.log)
        recent = _ours(client, place, f'create_time>="{since}"')
        owned = [(job, owner_of(job)) for job in unbilled.probable(recent)]
        ended = [Unbilled(job, owner.task) for job, owner in owned if lacks_a_bill(job, owner, now)]
        if unwatched := count_unwatched(owned, now):
            self.log.warning(
                "%d jobs in %s/%s are watched by no triggerer: they ended more than %d minutes ago, and their"
                " tasks still wait. Start a triggerer, or raise [triggerer] capacity",
                unwatched,
                *place,
                TIME_TO_NOTICE.total_seconds() // 60,
            )
        bills = unbilled.record(ended)
        owners = {job.job_id: owner.ownership for job, owner in owned}
        for job_id, bill in bills.items():
            self.log.warning("Job %s had no bill. It cost %s, which is now recorded", job_id, bill.total)
            if owners[job_id] is Ownership.WAITED_FOR:
                self.log.warning(
                    "The run of job %s, %s, has not ended. If its DAG is paused, or its file is gone, Airflow"
                    " starts none of its tasks, and the answers are not delivered",
                    job_id,
                    f"{bill.job.dag_id} {bill.job.run_id}",
                )
        if unbilled.errors:
            raise unbilled.errors[0]
        return [_recorded(each, owners[each.job.job_id], bills) for each in ended if each.job.job_id in bills]

    def _report(
        self, job: BatchPredictionJob, owner: Ownership, end: BatchPredictionJob | None
    ) -> dict[str, object]:
        run = submitter(job)
        if end:
            self.log.info("Job %s of %s ended as %s", job.job_id, run, end.state)
        else:
            why = "its run is over" if owner is Ownership.ORPHAN else "Airflow does not know its run"
            self.log.warning("Job %s of %s is %s and costs money: %s", job.job_id, run, job.raw_state, why)
        return {"job_id": job.job_id, "run": run, "owner": owner.value, "state": (end or job).raw_state}


def _owner_finder(context: Context) -> OwnerOf:
    """Find the owners of jobs. Airflow is asked once for each DAG."""
    here, ti = deployment(), context["ti"]
    runs_of = cache(lambda dag_id: ti.get_task_states(dag_id=dag_id))

    def owner_of(job: BatchPredictionJob) -> Owner:
        dag_id = job.labels.get(DAG_LABEL, "")
        return who_waits(job, here, dag_id, runs_of(dag_id))

    return owner_of


def _ours(client: BatchClient, place: Place, condition: str) -> Iterator[BatchPredictionJob]:
    ours = f'labels.{DEPLOYMENT_LABEL}="{deployment_label(deployment())}"'
    return iter(client.list(*place, filter=f"{ours} AND {condition}"))


def _recorded(each: Unbilled, owner: Ownership, bills: Mapping[str, Any]) -> dict[str, Any]:
    entry = {"job_id": each.job.job_id, "run": submitter(each.job), "owner": owner.value}
    whole = bills[each.job.job_id].total
    return {**entry, "state": each.job.raw_state, "amount_usd": whole.text, "complete": whole.complete}
