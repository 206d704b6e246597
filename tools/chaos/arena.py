"""Runs of one spec on a running stack, and what became of them: ledger, Airflow and cost table compared."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psutil

from local.emulator.admin import Fault, FaultKind, LedgerJob, Match, Operation
from local.leftovers import marked
from local.stack import Stack
from vertex_batch.costs import CostTable, JobFilter
from vertex_batch.vertex.labels import DAG_LABEL, IDEMPOTENCY_KEY_LABEL, RUN_LABEL
from vertex_batch.vertex.resource import JobState, label_value

ROWS = 12
RUN_SECONDS = 240
PAUSE_SECONDS = 0.1


class KillMissedError(Exception):
    """A round did not meet the processes that it was to kill."""

    def __init__(self, found: int, expected: int) -> None:
        super().__init__(f"only {found} of {expected} processes were there to be killed")


@dataclass(frozen=True)
class Outcome:
    """What a round came to.

    :ivar runs: those that the failure has hit.
    :ivar duplicates: jobs beyond one for each key, and beyond those that each run should have made.
    :ivar zombies: second jobs of the documented case alone (`zombies_among`), which are not duplicates.
    :ivar orphans: jobs that were still active after their run had ended.
    :ivar lost: jobs without a bill, bills without a job, and runs that did not end as they should.
    """

    runs: int = 0
    duplicates: int = 0
    orphans: int = 0
    lost: int = 0
    details: list[str] = field(default_factory=list)
    zombies: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.runs + other.runs,
            self.duplicates + other.duplicates,
            self.orphans + other.orphans,
            self.lost + other.lost,
            self.details + other.details,
            self.zombies + other.zombies,
        )

    @property
    def clean(self) -> bool:
        return not (self.duplicates or self.orphans or self.lost)


@dataclass(frozen=True)
class Arena:
    """Where rounds take place.

    :param spec: a spec with retries, short pauses and the input that `start` puts.
    :param whole_workers: kill the workers of tasks with all that runs on them, not the tasks alone.
    :param may_stop: tasks are stopped and continue, so that the documented second job may be made.
    """

    stack: Stack
    spec: str
    whole_workers: bool = False
    may_stop: bool = False

    def start(self, run_ids: Sequence[str]) -> None:
        airflow = self.stack.airflow
        airflow.wait_for_dag(self.spec)
        airflow.unpause(self.spec)
        dates: set[str] = set()
        for run_id in run_ids:
            date = airflow.trigger(self.spec, dag_run_id=run_id)["run_after"][:10]
            if date not in dates:
                self._put_input(date)
            dates.add(date)

    def wait_until_deferred(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.stack.airflow.wait_for_task(self.spec, run_id, "wait", ["deferred"], RUN_SECONDS)

    def wait_until_over(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            self.stack.airflow.wait_for_run(self.spec, run_id, RUN_SECONDS)

    def talking(self, expected: int) -> list[psutil.Process]:
        """The task processes that are talking to the proxy.

        :raises KillMissedError: there are fewer than expected, so that the round would prove nothing.
        """
        victims = talking_to_proxy(self.stack)
        if len(victims) < expected:
            raise KillMissedError(len(victims), expected)
        return victims

    def kill_tasks(self, expected: int) -> None:
        """Kill every task process that is talking to the proxy, or the workers of them."""
        processes = self.talking(expected)
        if self.whole_workers:
            for role in self.workers_of(processes):
                self.stack.kill(role)
        kill(processes)

    def workers_of(self, processes: Sequence[psutil.Process]) -> list[str]:
        """The workers of the cluster on which these processes run."""
        pids = {process.pid for process in processes}
        roles = self.stack.site.cluster.worker_roles if self.stack.site.cluster else []
        return [role for role in roles if pids & {each.pid for each in self.stack.family(role)}]

    def jobs(self, run_id: str) -> list[LedgerJob]:
        labels = {DAG_LABEL: self.spec, RUN_LABEL: label_value(run_id)}
        return self.stack.emulator.jobs(Match(labels=labels))

    def compare(self, run_ids: Sequence[str], jobs_each: int, state: str = "success") -> Outcome:
        """Compare the ledger of all jobs ever made with Airflow's runs and the cost table."""
        total = Outcome()
        for run_id in run_ids:
            total += self._compare(run_id, jobs_each, state)
        return total

    def _compare(self, run_id: str, jobs_each: int, state: str) -> Outcome:
        jobs = self.jobs(run_id)
        zombies = zombies_among(jobs) if self.may_stop else []
        kept = [job for job in jobs if job not in zombies]
        keys = Counter(job.labels[IDEMPOTENCY_KEY_LABEL] for job in kept)
        extra = sum(count - 1 for count in keys.values())
        duplicates = max(extra, len(kept) - jobs_each, 0)
        orphans = sum(map(has_not_ended, jobs))
        table = CostTable(self.stack.cost_table_url)
        billed = {cost.job.job_id for cost in table.jobs(JobFilter(dag_id=self.spec, run_id=run_id))}
        unbilled = len({job.id for job in kept} ^ (billed - {job.id for job in zombies}))
        ended = self.stack.airflow.run(self.spec, run_id)["state"]
        lost = unbilled + (ended != state) + max(jobs_each - len(kept), 0)
        lost += self._undelivered(run_id)
        bad = duplicates or orphans or lost
        story = (
            f"{run_id}: run {ended}, jobs {[(job.id, job.state) for job in jobs]}, billed {sorted(billed)}"
        )
        return Outcome(1, duplicates, orphans, lost, [story] if bad else [], len(zombies))

    def _undelivered(self, run_id: str) -> int:
        """Rows without a delivered answer, of a spec that delivers."""
        tasks = {task["task_id"] for task in self.stack.airflow.task_instances(self.spec, run_id)}
        if "deliver" not in tasks:
            return 0
        delivered = self.stack.airflow.xcom(self.spec, run_id, "deliver") or {}
        return ROWS - int(delivered.get("delivered", 0))

    def is_running(self, run_id: str, task_id: str) -> bool:
        """Whether a task of a run is running now."""
        tasks = self.stack.airflow.task_instances(self.spec, run_id)
        return any(task["task_id"] == task_id and task["state"] == "running" for task in tasks)

    def _put_input(self, date: str) -> None:
        row = {"request": {"contents": [{"role": "user", "parts": [{"text": "a"}]}]}}
        content = (json.dumps(row) + "\n").encode() * ROWS
        self.stack.gcs.put(f"gs://demo-bucket/{self.spec}/{date}.jsonl", content)


def has_not_ended(job: LedgerJob) -> bool:
    """Whether a job may still run, also in a state that this code does not know."""
    return not JobState.parse(job.state).is_terminal


def zombies_among(jobs: Sequence[LedgerJob]) -> list[LedgerJob]:
    """The second jobs of processes that were stopped between intent and POST (`docs/lifecycle.md`, Limits).

    Such a job carries the key of an older one, its process has cancelled it, and no row of it was run:
    nothing was paid for twice.
    """
    found, older = [], set[str]()
    for job in jobs:  # the oldest first
        key = job.labels[IDEMPOTENCY_KEY_LABEL]
        is_cancelled = job.state == "CANCELLED" and bool(job.cancel_calls)
        if key in older and is_cancelled and not job.finished_rows:
            found.append(job)
        older.add(key)
    return found


def kill_each_task_once(stack: Stack, dag_id: str, run_id: str, seconds: float = RUN_SECONDS) -> Counter[str]:
    """Kill each task of a run at the first call that it makes to Vertex, until the run has ended.

    All calls are held until the task that makes them is known.

    :returns: the tasks that were killed, without their map index.
    :raises TimeoutError: the run does not end.
    """
    killed: Counter[str] = Counter()
    stack.emulator.add_fault(Fault(op=Operation.ANY, kind=FaultKind.HOLD, after=True, times=None))
    until = time.monotonic() + seconds
    try:
        while stack.airflow.run(dag_id, run_id)["state"] in {"queued", "running"}:
            if time.monotonic() > until:
                msg = f"{dag_id} {run_id} does not end; killed so far: {dict(killed)}"
                raise TimeoutError(msg)
            if not stack.emulator.held():
                time.sleep(PAUSE_SECONDS)
                continue
            running = {
                task["task_id"]
                for task in stack.airflow.task_instances(dag_id, run_id)
                if task["state"] == "running" and task["task_id"] not in killed
            }
            if running and (processes := talking_to_proxy(stack)):
                kill(processes)
                killed.update(running)
            stack.emulator.release_held()
    finally:
        stack.emulator.clear_faults()
        stack.emulator.release_held()
    return killed


def kill(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; one may have ended since it was found, as a child does with its parent."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def talking_to_proxy(stack: Stack) -> list[psutil.Process]:
    """The task processes that have a connection to the LiteLLM proxy open; the triggerer is not one."""
    return talking_to(stack, "proxy")


def talking_to(stack: Stack, role: str) -> list[psutil.Process]:
    """The task processes that have a connection to a server open."""
    servers = [each for each in stack.roles if not each.startswith(("scheduler", "worker"))]
    spared = {pid for each in servers if (pid := stack.pid(each))}
    children = {child.pid for pid in spared for child in psutil.Process(pid).children(recursive=True)}
    port = stack.port[role]
    tasks = [process for process in marked(stack.mark) if process.pid not in spared | children]
    return [process for process in tasks if _is_connected(process, port)]


def _is_connected(process: psutil.Process, port: int) -> bool:
    try:
        connections = process.net_connections("inet")
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return False
    return any(connection.raddr and connection.raddr.port == port for connection in connections)
