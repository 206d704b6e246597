"""The process in which ``vertex-batch run`` runs a spec's DAG with Airflow's ``dag.test()``.

`run` starts it with a private metadata database, and passes the user's signals on as `INTERRUPT`: Airflow
replaces the handler of SIGTERM, and a signal must not interrupt a call that creates a job.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select, update  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253

from vertex_batch.cli.access import airflow_settings
from vertex_batch.cli.bill import rows_data
from vertex_batch.cli.cost import expected_of, find_bill
from vertex_batch.cli.output import print_json, print_parts, say, total_data
from vertex_batch.cli.run import INTERRUPT, RunRequest
from vertex_batch.cli.tables import render_bill
from vertex_batch.costs import COMMAND_LINE, JobFilter
from vertex_batch.dag_factory import build_dag
from vertex_batch.errors import VertexBatchError
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.operators import AggregateTokenUsageOperator
from vertex_batch.specs import Spec, load_spec, prices_folder
from vertex_batch.specs.load import root_of
from vertex_batch.specs.model import JobSpec
from vertex_batch.specs.team_budgets import budgets_file
from vertex_batch.tasks.choices import JOBS
from vertex_batch.tasks.outcome import is_command
from vertex_batch.vertex.client import BatchClient, try_proxy

if TYPE_CHECKING:
    from airflow.sdk import Context
    from rich.console import RenderableType


_REPEAT_SECONDS = 0.5
_MOST_RUNS = timedelta(milliseconds=100)

_Result: TypeAlias = "tuple[dict[str, object], RenderableType | None]"

dag: DAG


class Interruption:
    """Ends a run early: waits stop, tasks that have not started fail, and the clean-up tasks still run."""

    def __init__(self) -> None:
        self.requested = False

    def request(self, *_: object) -> None:
        """Handle `INTERRUPT`. It repeats itself, because a wait may begin just after the first one."""
        if not self.requested:
            self.requested = True
            threading.Thread(target=self._repeat, daemon=True).start()
        with suppress(RuntimeError):  # no trigger is running
            loop = asyncio.get_running_loop()
            # `dag.test()` then fails the task that waits, and does not retry it.
            loop.call_soon_threadsafe(loop.stop)

    def check(self, context: Context) -> None:
        """Fail a task before it starts, unless it cleans up."""
        if self.requested and not context["task"].is_teardown:
            message = "The run was interrupted, so this task was not started."
            raise AirflowFailException(message)

    def _repeat(self) -> None:
        while True:
            time.sleep(_REPEAT_SECONDS)
            os.kill(os.getpid(), INTERRUPT)
            with suppress(SQLAlchemyError):  # the main thread writes at the same time; the next time will do
                _give_up_retries()


def _give_up_retries() -> None:
    """Fail the tasks that wait for another try: it would only find that the run was interrupted."""
    interrupted = [task.task_id for task in dag.tasks if not task.is_teardown]
    with create_session() as session:
        session.execute(
            update(TaskInstance)
            .where(TaskInstance.state == TaskInstanceState.UP_FOR_RETRY)
            .where(TaskInstance.task_id.in_(interrupted))
            .values(state=TaskInstanceState.FAILED)
        )


def main(request: RunRequest, out: TextIO) -> int:
    """Run the DAG to its end. Return 1 if the run failed.

    :param out: where the result is printed; logs go to standard error.
    """
    global dag  # noqa: PLW0603 - the file in the DAGs folder reads it
    interruption = Interruption()
    is_command.set(True)
    initdb()
    spec, folder = load_spec(request.spec), root_of(Path(request.spec))
    spec = spec.with_jobs(request.job(job) for job in spec.jobs)
    dag = build_dag(spec, prices_folder(folder), budgets_file(folder))
    for task in dag.tasks:
        # Airflow calls it before each start of the task, and each time that it is resumed.
        task.pre_execute = interruption.check  # type: ignore[method-assign, union-attr]
        if isinstance(task, AggregateTokenUsageOperator):
            task.run_type = COMMAND_LINE
    _check_connections(spec)
    signal.signal(INTERRUPT, interruption.request)
    moment = _moment(spec.name, datetime.fromisoformat(request.moment), again=request.again)
    conf = {JOBS: request.jobs} if spec.grouped and request.jobs else None
    run = dag.test(run_after=moment, logical_date=moment, run_conf=conf)
    results = [result for job in spec.jobs for result in _results(run, spec, job)]
    with redirect_stdout(out):
        if request.as_json:
            print_json({"jobs": [data for data, _ in results]})
        else:
            print_parts(*(shown for _, shown in results if shown))
    out.flush()
    failed = sorted({ti.task_id for ti in run.get_task_instances() if ti.state == TaskInstanceState.FAILED})
    if failed:
        say(
            f"Failed: {', '.join(failed)}. A rerun submits only what was not submitted; to submit and pay for"
            " other jobs, rerun with --again."
        )
    return int(run.state != DagRunState.SUCCESS)


def _check_connections(spec: Spec) -> None:
    """Find a problem with the proxy or the cost table now, before inputs are read and a job costs money."""
    for connection, project, location in {(job.connection, job.project, job.location) for job in spec.jobs}:
        settings = airflow_settings(connection)
        project_id, place = project or settings.project, location or settings.location
        if project_id and place:
            with BatchClient(settings.config) as client:
                try_proxy(client, project_id, place)
    for connection in {job.cost_connection for job in spec.jobs}:
        CostTableHook(connection).table().jobs(JobFilter(), limit=1)


def _moment(dag_id: str, moment: datetime, *, again: bool) -> datetime:
    """Choose the logical date, which identifies the jobs: that of the latest run of this time, or a new one.

    Runs of the same time differ in their microseconds, which no template shows.
    """
    same = DagRun.logical_date.between(moment, moment + _MOST_RUNS)
    query = select(DagRun).where(DagRun.dag_id == dag_id, same).order_by(DagRun.logical_date.desc()).limit(1)
    with create_session() as session:
        latest = session.scalar(query)
        if latest is None:
            return moment
        is_new = again and latest.state != DagRunState.RUNNING
        if not is_new:
            say(
                "This run was started before. Its jobs are resumed or billed again, and not submitted again."
                " To submit and pay for other jobs once they have ended, rerun with --again."
            )
        logical_date: datetime = latest.logical_date or moment
        return logical_date + timedelta(microseconds=is_new)


def _results(run: DagRun, spec: Spec, job: JobSpec) -> Iterator[_Result]:
    """Collect the outcome of each Vertex job of a job of the spec, with its bill for a person."""
    group = f"{job.name}." if spec.grouped else ""
    tasks = [ti for ti in run.get_task_instances() if ti.task_id.startswith(group)]
    states = {ti.state for ti in tasks if ti.task_id.endswith("wait")}
    outcome = {
        "job": job.name,
        "succeeded": TaskInstanceState.SUCCESS in states and TaskInstanceState.FAILED not in states,
    }
    records = [ti for ti in tasks if ti.task_id.endswith("record_cost")]
    recorded = [each for ti in records for each in (ti.xcom_pull(ti.task_id) or {}).get("jobs", ())]
    table = CostTableHook(job.cost_connection).table()
    for each in recorded:
        bill = find_bill(table, each["job_id"])
        expected = expected_of(table, bill)
        shown = render_bill(bill, expected.beside(bill) if expected else "")
        data = {
            **outcome,
            "project": bill.job.project,
            "location": bill.job.location,
            "job_id": bill.job.job_id,
            "state": bill.job.state,
            "rows": rows_data(bill.rows),
            **total_data(bill.total),
            "outcome": expected.outcome(bill) if expected else "",
        }
        yield data, shown
    if not recorded:
        yield {**outcome, "job_id": None}, None


if __name__ == "__main__":
    # Airflow logs to standard output, where only the result belongs.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        sys.exit(main(RunRequest(**json.loads(sys.argv[1])), result))
    except VertexBatchError as error:
        sys.exit(f"vertex-batch: {error}")
