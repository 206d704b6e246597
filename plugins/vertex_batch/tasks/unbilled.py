"""Record jobs of finished runs that have no bill.

When a run exceeds its ``dagrun_timeout``, Airflow also skips its teardown ``record_cost``, and a run may be
deleted. Google charges for the job in both cases.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.billing.recording import Recorder
from vertex_batch.billing.spec_settings import BillSettings, SettingsOf
from vertex_batch.costs import Bill, JobFacts
from vertex_batch.errors import VertexBatchError
from vertex_batch.hooks.bigquery import read_table
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.lifecycle.identity import TaskIdentity, map_index_of
from vertex_batch.log import Log
from vertex_batch.tasks.context import run_facts
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import DAG_LABEL, IDEMPOTENCY_KEY_LABEL, RUN_LABEL, SPEC_LABEL, TASK_LABEL
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import BatchPredictionJob

if TYPE_CHECKING:
    from vertex_batch.costs import CostTable


@dataclass(frozen=True, slots=True)
class Unbilled:
    """A job that has ended, and its task; None if Airflow does not know its run."""

    job: BatchPredictionJob
    task: TaskIdentity | None

    @property
    def spec(self) -> str:
        return self.job.labels.get(SPEC_LABEL, "")

    @property
    def task_id(self) -> str:
        return self.task.task_id if self.task else ""


class UnbilledJobs:
    """Records the jobs of one project and location that ended without a bill.

    :ivar errors: why some could not be recorded. The next call tries them again.
    """

    def __init__(self, client: BatchClient, place: Place, settings_of: SettingsOf, log: Log) -> None:
        self._client, self._place, self._log = client, place, log
        self._settings_of = settings_of
        self._tables: dict[str, CostTable] = {}
        self.errors: list[VertexBatchError] = []

    def probable(self, jobs: Iterable[BatchPredictionJob]) -> list[BatchPredictionJob]:
        """Drop jobs that have a bill in their spec's cost table, before Airflow is queried for runs.

        If this cannot tell, it keeps the job. `record` checks again and reports why it cannot record one.
        """
        by_spec: dict[str, list[BatchPredictionJob]] = defaultdict(list)
        for job in jobs:
            by_spec[job.labels.get(SPEC_LABEL, "")].append(job)
        left = []
        for spec, members in by_spec.items():
            known = self._recorded(spec, members)
            left += [job for job in members if JobId(*self._place, job.job_id) not in known]
        return left

    def _recorded(self, spec: str, jobs: list[BatchPredictionJob]) -> Collection[JobId]:
        try:
            table = self._table(self._settings_of(spec, "").batch_costs_conn_id)
            return table.recorded([JobId(*self._place, job.job_id) for job in jobs])
        except VertexBatchError:
            return ()

    def record(self, ended: Iterable[Unbilled]) -> dict[str, Bill]:
        """Record jobs without a bill, and return the bills by job id. Recording twice changes nothing."""
        groups: dict[tuple[str, str], list[Unbilled]] = defaultdict(list)
        for each in ended:
            groups[each.spec, each.task_id].append(each)
        bills: dict[str, Bill] = {}
        for (spec, task_id), members in groups.items():
            try:
                bills |= self._record_group(self._settings_of(spec, task_id), members)
            except VertexBatchError as error:
                self._fail(f"jobs of spec {spec!r}", error)
        return bills

    def _record_group(self, settings: BillSettings, members: list[Unbilled]) -> dict[str, Bill]:
        table = self._table(settings.batch_costs_conn_id)
        known = table.recorded([self._id(each) for each in members])
        unknown = [_facts(self._place, each) for each in members if self._id(each) not in known]
        stated = {spec_job(facts): settings.prices for facts in unknown}
        recorder = Recorder(
            self._client,
            lambda: open_storage(settings.gcp_conn_id),
            table,
            PriceBooks(self._client, settings.price_folder, stated),
            read_table=lambda uri: read_table(uri, settings.gcp_conn_id),
            log=self._log,
        )
        bills = {}
        for facts in unknown:
            try:
                bills[facts.job_id] = recorder.record(facts).bill
            except VertexBatchError as error:
                self._fail(f"job {facts.job_id}", error)
        return bills

    def _id(self, each: Unbilled) -> JobId:
        return JobId(*self._place, each.job.job_id)

    def _table(self, conn_id: str) -> CostTable:
        """The cost table of a connection, opened once because most specs share one."""
        if conn_id not in self._tables:
            self._tables[conn_id] = CostTableHook(conn_id).table()
        return self._tables[conn_id]

    def _fail(self, what: str, error: VertexBatchError) -> None:
        self._log.warning("Still unbilled (%s): %s", what, error)
        self.errors.append(error)


def _facts(place: Place, unbilled: Unbilled) -> JobFacts:
    job, task = unbilled.job, unbilled.task
    return JobFacts(
        *place,
        job.job_id,
        job_key=job.labels.get(IDEMPOTENCY_KEY_LABEL, ""),
        spec=unbilled.spec or (task.dag_id if task else ""),
        dag_id=task.dag_id if task else job.labels.get(DAG_LABEL, ""),
        run_id=task.run_id if task else job.labels.get(RUN_LABEL, ""),
        task_id=task.task_id if task else job.labels.get(TASK_LABEL, ""),
        map_index=map_index_of(job.labels),
        **(run_facts(task.dag_id, task.run_id) if task else {}),
    )
