"""Follow the demo's runs: one line for each run on a terminal, or a line for each new stage in a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table

from local.stack.airflow_api import FINISHED, AirflowApi
from local.stack.emulator import LOCATION, PROJECT
from local.waiting import check_processes
from vertex_batch.errors import VertexBatchError
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.resource import BatchPredictionJob, label_value

POLL_SECONDS = 1.0
TASK_ORDER = ("plan_inputs", "submit", "wait", "record_cost", "deliver")
_STAGES = {  # the task that runs now -> what it does
    "plan_inputs": "checking the input",
    "submit": "submitting",
    "record_cost": "recording the bill",
    "deliver": "delivering the answers",
}
_ENDED = frozenset({"success", "skipped", "failed", "upstream_failed", "removed"})


@dataclass(frozen=True)
class Run:
    """A run that the demo has started.

    :param rows: lines of its input, which the job itself does not report before it ends.
    """

    spec: str
    run_id: str
    rows: int


@dataclass(frozen=True)
class RunStatus:
    """The current state of one run."""

    run: Run
    state: str
    tasks: Mapping[str, str] = field(default_factory=dict)
    job_state: str = "-"
    rows_done: int = 0
    rows_failed: int = 0

    @property
    def finished(self) -> bool:
        return self.state in FINISHED

    @property
    def stage(self) -> str:
        """What happens now, in a few words."""
        if self.finished:
            failed = [name for name, state in self.tasks.items() if state in ("failed", "upstream_failed")]
            return "done" if self.state == "success" else f"failed at {failed[0] if failed else 'its start'}"
        if not self.tasks:
            return "starting"
        last_ended = max(
            (TASK_ORDER.index(name) for name in self.tasks if self.tasks[name] in _ENDED), default=-1
        )
        following = TASK_ORDER[last_ended + 1 : last_ended + 2]
        current = next((name for name in (*self.tasks, *following) if self.tasks.get(name) not in _ENDED), "")
        if current == "wait":
            return f"job {self.job_state.lower()}" if self.job_state != "-" else "waiting for the job"
        return _STAGES.get(current, "ending")

    @property
    def rows(self) -> str:
        failed = f", {self.rows_failed:,} failed" if self.rows_failed else ""
        return f"{self.rows_done:,}/{self.run.rows:,}{failed}"


class Watch:
    """Reads the states of the runs, the way any user of Airflow's API and of the proxy could."""

    def __init__(self, airflow: AirflowApi, proxy: BatchClient, runs: Sequence[Run]) -> None:
        self._airflow = airflow
        self._proxy = proxy
        self._runs = runs

    def look(self) -> list[RunStatus]:
        jobs = self._jobs()
        return [self._status(run, jobs.get(label_value(run.spec))) for run in self._runs]

    def _status(self, run: Run, job: BatchPredictionJob | None) -> RunStatus:
        tasks = {
            task["task_id"]: task["state"]
            for task in self._airflow.task_instances(run.spec, run.run_id)
            if task["state"]
        }
        stats = job.completion_stats if job else None
        return RunStatus(
            run=run,
            state=self._airflow.run(run.spec, run.run_id)["state"],
            tasks={name: tasks[name] for name in TASK_ORDER if name in tasks},
            job_state=job.state if job else "-",
            rows_done=max(stats.successful_count, 0) + max(stats.failed_count, 0) if stats else 0,
            rows_failed=max(stats.failed_count, 0) if stats else 0,
        )

    def _jobs(self) -> dict[str, BatchPredictionJob]:
        """Return the newest job of each spec; none while the proxy does not answer."""
        try:
            jobs = list(self._proxy.list(PROJECT, LOCATION))
        except VertexBatchError:
            return {}
        oldest_first = sorted(jobs, key=lambda job: str(job.create_time))
        return {job.labels.get("airflow_spec", ""): job for job in oldest_first}


def follow(watch: Watch, console: Console, timeout_seconds: float) -> list[RunStatus]:
    """Show the states of the runs until all have ended; return how they ended.

    :raises TimeoutError: they have not, in time.
    :raises StackError: a process of the stack has ended unexpectedly.
    """
    began = time.monotonic()
    with _display(console) as show:
        while True:
            elapsed = time.monotonic() - began
            statuses = watch.look()
            show.update(statuses, elapsed)
            if all(status.finished for status in statuses):
                return statuses
            check_processes()
            if elapsed > timeout_seconds:
                unfinished = [status.run.spec for status in statuses if not status.finished]
                raise TimeoutError(f"not finished after {elapsed:.0f} s: {', '.join(unfinished)}")
            time.sleep(POLL_SECONDS)


class _Screen:
    """A table that is redrawn in place."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def update(self, statuses: Sequence[RunStatus], elapsed: float) -> None:
        table = Table("spec", "now", "rows", title=f"elapsed {_clock(elapsed)}", title_justify="left")
        for status in statuses:
            style = {"success": "green", "failed": "red"}.get(status.state, "cyan")
            table.add_row(status.run.spec, f"[{style}]{status.stage}[/]", status.rows)
        self._live.update(table, refresh=True)


class _Log:
    """A line for each new stage, for output that is not watched while it grows."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, str] = {}

    def update(self, statuses: Sequence[RunStatus], elapsed: float) -> None:
        for status in statuses:
            stage = status.stage
            if self._shown.get(status.run.spec) == stage:
                continue
            self._shown[status.run.spec] = stage
            rows = f", rows {status.rows}" if status.rows_done else ""
            line = f"{_clock(elapsed)}  {status.run.spec}: {stage}{rows}"
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _display(console: Console) -> Iterator[_Screen | _Log]:
    if not console.is_terminal:
        yield _Log(console)
        return
    with Live(console=console, auto_refresh=False) as live:
        yield _Screen(live)


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
