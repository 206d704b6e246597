"""Run scenarios on a stack of their own, and measure them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

from local.emulator.admin import LedgerJob
from local.stack import Stack, StackOptions
from local.stack.airflow_api import FINISHED, AirflowApiError, wait_until
from tools.chaos import kill_each_task_once
from tools.night.airflow_files import settings, temporary_files_in
from tools.night.audit import Account, account, account_of_rounds
from tools.night.measures import Billed, NightResult, most_reads, read_tasks, steps
from tools.night.object_files import ObjectFolder, WrittenObject
from tools.night.scenarios import BUCKET, MIX, NightScenario
from tools.night.store_proxy import StoreProxy
from vertex_batch.costs import Bill, CostTable, JobFilter

JOB_SPEED = 105.0  # a job waits and runs for two seconds, and for as long as its rows take
RUN_SECONDS = 1200
LINES_SECONDS = 60
TASKS_FILE = "tasks.jsonl"
RUN_ID = "night"

Say = Callable[[str], None]


class Night:
    """A stack with the object store behind a counting proxy, and with task processes that are measured.

    A context manager: what it starts has ended, and what it wrote is removed, when it is left.

    :param home: a folder of its own.
    :param scenarios: those that may be run.
    :param say: receives, in a line each, what a person may want to follow.
    """

    def __init__(self, home: Path, scenarios: Sequence[NightScenario], say: Say = lambda _: None) -> None:
        self.home = home.resolve()
        self._scenarios = scenarios
        self._say = say
        self._tasks = self.home / TASKS_FILE
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._exit.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def _start(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        (self.home / "tmp").mkdir(parents=True)
        self._exit.callback(shutil.rmtree, self.home, ignore_errors=True)
        self._exit.enter_context(temporary_files_in(self.home / "tmp"))
        self.proxy = self._exit.enter_context(StoreProxy())
        options = StackOptions(
            home=self.home,
            specs=self._write_specs(),
            emulator_speed=JOB_SPEED,
            airflow_settings=settings(self.home, self._tasks),
            storage_front_url=self.proxy.url,
        )
        self.stack = Stack(options, self._say)
        self.proxy.lead_to(self.stack.port["object store"])
        self._exit.enter_context(self.stack)
        self.objects = ObjectFolder(self.stack.gcs, self.home / "objects", BUCKET)
        self.stack.emulator.set_settings(mix=MIX)

    def _write_specs(self) -> Path:
        folder = self.home / "jobs"
        folder.mkdir()
        for scenario in self._scenarios:
            for name in scenario.names:
                (folder / f"{name}.yaml").write_text(scenario.spec_text(name))
        return folder

    def run(self, scenario: NightScenario) -> NightResult:
        """Run one scenario, from its inputs to its bills."""
        self._say(f"({scenario.key}) writing the input: {scenario.title}")
        inputs = list(scenario.write_inputs(self.objects))
        size = sum(item.size for item in inputs)
        self._say(f"({scenario.key}) {len(inputs):,} objects, {size / 1e6:,.0f} MB")
        for name in scenario.names:
            for script in scenario.scripts(name):
                self.stack.emulator.add_scenario(script)
        self.proxy.take()
        self.proxy.latency_seconds = scenario.latency_seconds
        began = time.monotonic()
        states = self._run_dags(scenario)
        wall_seconds = time.monotonic() - began
        self.proxy.latency_seconds = 0.0
        self._say(f"({scenario.key}) runs ended as {', '.join(sorted(set(states)))}; counting the rows")
        self._explain(scenario)
        try:
            return self._result(scenario, inputs, states, wall_seconds)
        finally:
            for name in scenario.names:
                self.objects.remove(f"in/{name}")
                self.objects.remove(f"out/{name}")

    def _run_dags(self, scenario: NightScenario) -> list[str]:
        """Start one run of each DAG, and wait until all have ended; return their states."""
        airflow = self.stack.airflow
        for name in scenario.names:
            airflow.wait_for_dag(name, 180)
            airflow.unpause(name)
        for name in scenario.names:
            airflow.trigger(name, dag_run_id=RUN_ID)
            if scenario.sends_again:
                killed = kill_each_task_once(self.stack, name, RUN_ID, RUN_SECONDS)
                self._say(f"({scenario.key}) killed {', '.join(sorted(killed))}")
        shown = ""

        def ended() -> list[str] | None:
            nonlocal shown
            states = [airflow.run(name, RUN_ID)["state"] for name in scenario.names]
            done = sum(state in FINISHED for state in states)
            text = (
                f"{done} of {len(states)} runs" if len(states) > 1 else self._task_states(scenario.names[0])
            )
            if text != shown:
                shown = text
                self._say(f"({scenario.key}) {text}")
            return states if done == len(states) else None

        found: list[str] = wait_until(ended, f"scenario {scenario.key}", RUN_SECONDS, poll_seconds=1.0)
        return found

    def _task_states(self, dag_id: str) -> str:
        tasks = self.stack.airflow.task_instances(dag_id, RUN_ID)
        return ", ".join(
            f"{task['task_id']} {task['state']}"
            for task in tasks
            if task["state"] not in {None, "success", "skipped", "removed"}
        )

    def _explain(self, scenario: NightScenario) -> None:
        """Show the last error that each failed try has logged; of a mapped task, that of its first shard."""
        airflow = self.stack.airflow
        for name in scenario.names:
            for task in airflow.task_instances(name, RUN_ID):
                failed_tries = task["try_number"] - (task["state"] != "failed")
                for number in range(1, failed_tries + 1):
                    try:
                        log = airflow.logs(name, RUN_ID, task["task_id"], number).splitlines()
                    except AirflowApiError as error:  # such a try may have had no process
                        log = [str(error)]
                    errors = [line for line in log if "error" in line.lower()]
                    what = f"{name}.{task['task_id']} failed in try {number}"
                    self._say(f"({scenario.key}) {what}: {''.join(errors[-1:])}")

    def _result(
        self,
        scenario: NightScenario,
        inputs: Sequence[WrittenObject],
        states: Sequence[str],
        wall_seconds: float,
    ) -> NightResult:
        self._wait_for_lines(scenario)
        traffic = self.proxy.take()
        jobs = self._jobs(scenario)
        known = {item.uri for item in inputs}
        return NightResult(
            scenario=scenario,
            run_states=states,
            jobs=len([job for each in jobs.values() for job in each]),
            account=_together([self._account(scenario, each) for each in jobs.values()]),
            billed=self._billed(scenario),
            steps=steps(read_tasks(self._tasks, scenario.names), traffic),
            input_reads=most_reads(inputs, traffic) or 0.0,
            shard_reads=most_reads(self._shards(jobs, known), traffic),
            wall_seconds=wall_seconds,
        )

    def _wait_for_lines(self, scenario: NightScenario) -> None:
        """Wait for the lines of all tasks that have ended: their processes write them as they exit."""
        ended = {
            (name, task["task_id"], task["map_index"])
            for name in scenario.names
            for task in self.stack.airflow.task_instances(name, RUN_ID)
            if task["state"] in FINISHED and task["hostname"]
        }

        def missing() -> set[tuple[str, str, int]]:
            lines = read_tasks(self._tasks, scenario.names)
            final = {(line.dag_id, line.task_id, line.map_index) for line in lines if line.state in FINISHED}
            return ended - final

        wait_until(
            lambda: not missing(), "the measures of all tasks", LINES_SECONDS, lambda: f"without: {missing()}"
        )

    def _jobs(self, scenario: NightScenario) -> Mapping[str, list[LedgerJob]]:
        jobs: dict[str, list[LedgerJob]] = {name: [] for name in scenario.names}
        for job in self.stack.emulator.jobs():
            if (name := job.labels.get("airflow_dag", "")) in jobs:
                jobs[name].append(job)
        return jobs

    def _account(self, scenario: NightScenario, jobs: Sequence[LedgerJob]) -> Account:
        files = [
            path
            for job in jobs
            if job.output_directory
            for path in self.objects.files(job.output_directory)
            if "incremental_predictions" not in path.parts
        ]
        return (
            account_of_rounds(files, scenario.rows) if scenario.sends_again else account(files, scenario.rows)
        )

    def _shards(self, jobs: Mapping[str, Sequence[LedgerJob]], known: set[str]) -> list[WrittenObject]:
        uris = {
            uri
            for each in jobs.values()
            for job in each
            for uri in job.request["inputConfig"]["gcsSource"]["uris"]
            if uri not in known and "*" not in uri
        }
        paths = {uri: self.objects.path(uri) for uri in sorted(uris)}
        return [WrittenObject(uri, path.stat().st_size) for uri, path in paths.items() if path.is_file()]

    def _billed(self, scenario: NightScenario) -> Billed:
        table = CostTable(self.stack.cost_table_url)
        bills: list[Bill] = []
        for name in scenario.names:
            for cost in table.jobs(JobFilter(dag_id=name)):
                bill = table.bill(cost.job.key)
                bills += [bill] if bill else []
        inputs = [bill.rows.input_rows for bill in bills]
        counted = [rows for rows in inputs if rows is not None]
        return Billed(
            jobs=len(bills),
            answered=sum(bill.rows.ok for bill in bills),
            failed=sum(bill.rows.failed for bill in bills),
            unreadable=sum(bill.rows.unreadable for bill in bills),
            input_rows=sum(counted) if len(counted) == len(inputs) else None,
            amount_usd=sum((bill.total.amount for bill in bills), Decimal(0)),
        )


def _together(accounts: Sequence[Account]) -> Account:
    sums: list[Any] = [sum(column) for column in zip(*map(astuple, accounts), strict=True)]
    return Account(*sums)
