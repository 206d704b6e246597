"""What a run of a spec costs Airflow, compared with a run of as many empty tasks: part of ``make bench``.

    python -m tools.bench.run_cost --runs 100
    python -m tools.bench.run_cost --runs 1 --only shards

All runs of a contestant are triggered at once, on a stack with the LocalExecutor. Its workers have imported
the package before, as in the image; with ``--bare`` they have not. Processor time is that of all Airflow
processes and of their database, from the trigger to the end of the last run, less what they take when nothing
runs. A task process is measured from its fork to its exit.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy

from local.stack import Stack, StackOptions
from local.stack.airflow import API_SERVER, DAG_PROCESSOR, SCHEDULER, TRIGGERER
from local.stack.airflow_api import FINISHED, wait_until
from local.stack.paths import REPOSITORY
from local.stack.postgres import DATABASE
from tools.night.airflow_files import settings
from tools.night.measures import TaskProcess, read_tasks
from tools.night.store_proxy import StoreProxy

SPEC, OFF, EMPTY, SHARDS = "spec", "spec_off", "empty", "shards"
TITLES = {
    SPEC: "a spec",
    OFF: "a spec with `split: off`",
    EMPTY: "as many empty tasks",
    SHARDS: "a spec with a job for each row, and a delivery",
}
ROLES = (SCHEDULER, TRIGGERER, API_SERVER, DAG_PROCESSOR, DATABASE)
BUCKET, ROWS, IDLE_SECONDS, RUN_SECONDS = "demo-bucket", 120, 20.0, 3000.0
ROW = '{"request": {"contents": [{"role": "user", "parts": [{"text": "row %d"}]}]}}\n'
EMPTY_DAGS = """
from datetime import timedelta
from airflow.sdk import DAG, BaseOperator, chain


class Nothing(BaseOperator):
    def execute(self, context):
        return None


for number in range({runs}):
    with DAG(f"empty_{{number:03}}", schedule=None) as dag:
        chain(*[Nothing(task_id=name) for name in ("plan_inputs", "submit", "wait", "record_cost")])
    globals()[dag.dag_id] = dag
"""
TICK = os.sysconf("SC_CLK_TCK")
_STATES = re.compile(r"duration_us=(\d+) .*path=/execution/task-instances/states")


@dataclass(frozen=True)
class Snapshot:
    """Processor seconds by role, with those of the executor's workers apart, and rows by table."""

    cpu: Mapping[str, float]
    rows: Mapping[str, int]


@dataclass(frozen=True)
class Cost:
    """What the runs of a contestant took, per run.

    :param workers: processor seconds of the executor's workers, with their task processes.
    :param all: those of all processes.
    :param rows: by table of the metadata database.
    :param instances: task instances by state.
    :param looks: milliseconds of each request for states of tasks: whether the delivery still follows.
    """

    name: str
    workers: float
    all: float
    tasks: Sequence[TaskProcess]
    rows: Mapping[str, float]
    instances: Mapping[str, float]
    wall_seconds: float
    runs: int
    looks: Sequence[float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100, help="how many at once")
    parser.add_argument("--only", nargs="+", choices=TITLES, default=[SPEC, OFF, EMPTY])
    parser.add_argument("--bare", action="store_true", help="without `vertex_batch.preload` in the workers")
    arguments = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="run-cost-"))
    try:
        costs = measure(home, arguments.runs, arguments.only, bare=arguments.bare)
    finally:
        shutil.rmtree(home, ignore_errors=True)
    print(table(costs))


def measure(home: Path, runs: int, names: Sequence[str], *, bare: bool) -> list[Cost]:
    with ExitStack() as exits:
        front = exits.enter_context(StoreProxy())
        tasks = home / "tasks.jsonl"
        options = StackOptions(
            home=home,
            dags=_dags(home, runs),
            specs=_specs(home, runs),
            emulator_speed=105.0,
            airflow_settings=settings(home, tasks),
            storage_front_url=front.url,
        )
        stack = Stack(options, lambda line: print(line, file=sys.stderr))
        front.lead_to(stack.port["object store"])
        exits.enter_context(stack)
        if bare:
            _forget_imports(stack, home)
        stack.gcs.create_bucket(BUCKET)
        stack.gcs.put(f"gs://{BUCKET}/in.jsonl", "".join(ROW % n for n in range(ROWS)).encode())
        for name in names:
            for number in range(runs):
                stack.airflow.wait_for_dag(f"{name}_{number:03}", 300)
                stack.airflow.unpause(f"{name}_{number:03}")
        idle = _idle(stack)
        return [_run(stack, name, runs, idle, tasks) for name in names]


def _run(stack: Stack, name: str, runs: int, idle: Mapping[str, float], tasks: Path) -> Cost:
    dags = [f"{name}_{number:03}" for number in range(runs)]
    if name != SHARDS:  # one run before, so that no contestant pays for the first import of anything
        _trigger(stack, dags[:1], "warm")
    before, began, looks = _snapshot(stack), time.monotonic(), len(_looks(stack))
    _trigger(stack, dags, "bench")
    after, wall = _snapshot(stack), time.monotonic() - began
    cpu = {role: after.cpu[role] - before.cpu[role] - idle[role] * wall for role in after.cpu}
    added = {each: (after.rows[each] - before.rows.get(each, 0)) / runs for each in after.rows}
    states: dict[str, float] = {}
    for task in stack.airflow.task_instances(dags[0], "bench"):
        states[task["state"]] = states.get(task["state"], 0) + 1
    return Cost(
        name,
        cpu["workers"] / runs,
        sum(cpu.values()) / runs,
        [each for each in read_tasks(tasks, dags) if each.run_id == "bench"],
        {each: number for each, number in added.items() if number >= 0.5},
        states,
        wall,
        runs,
        _looks(stack)[looks:],
    )


def _looks(stack: Stack) -> list[float]:
    log = (stack.options.home / "logs" / f"{API_SERVER}.log").read_text(errors="replace")
    return [int(found[1]) / 1000 for found in _STATES.finditer(log)]


def _trigger(stack: Stack, dags: Sequence[str], run_id: str) -> None:
    """Start one run of each DAG, and wait until all have ended well."""
    for dag in dags:
        stack.airflow.trigger(dag, dag_run_id=run_id)
    left = set(dags)

    def ended() -> bool:
        for dag in sorted(left):
            state = stack.airflow.run(dag, run_id)["state"]
            if state not in FINISHED:
                return False
            assert state == "success", (dag, state)
            left.discard(dag)
        return True

    wait_until(ended, f"{len(dags)} runs", RUN_SECONDS, poll_seconds=1.0)


def _forget_imports(stack: Stack, home: Path) -> None:
    """Restart the scheduler without the package, so that each task process has to import it."""
    (home / "airflow" / "config" / "airflow_local_settings.py").unlink()
    stack.restart(SCHEDULER)


def _idle(stack: Stack) -> dict[str, float]:
    """Processor seconds for each second in which nothing runs."""
    before = _snapshot(stack).cpu
    time.sleep(IDLE_SECONDS)
    return {role: (used - before[role]) / IDLE_SECONDS for role, used in _snapshot(stack).cpu.items()}


def _snapshot(stack: Stack) -> Snapshot:
    cpu: dict[str, float] = {}
    for role in ROLES:
        pid = stack.pid(role)
        assert pid is not None
        own, others = _cpu_seconds(pid)
        cpu[role] = own if role == SCHEDULER else own + others
        if role == SCHEDULER:
            cpu["workers"] = others
    return Snapshot(cpu, _rows(stack))


def _cpu_seconds(pid: int) -> tuple[float, float]:
    """Of a process, and of all its descendants, also of those that have ended."""
    children: dict[int, list[int]] = {}
    times: dict[int, tuple[float, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        one = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(one)
        own, waited = (sum(map(int, fields[first : first + 2])) / TICK for first in (11, 13))
        times[one] = own, waited
    own, others = times[pid]
    below = list(children.get(pid, ()))
    while below:
        one = below.pop()
        others += sum(times[one])
        below += children.get(one, ())
    return own, others


def _rows(stack: Stack) -> dict[str, int]:
    url = stack.site.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        names = sqlalchemy.inspect(connection).get_table_names()
        return {
            name: connection.execute(sqlalchemy.text(f'SELECT COUNT(*) FROM "{name}"')).scalar_one()
            for name in names
        }


def _dags(home: Path, runs: int) -> Path:
    folder = home / "dags"
    shutil.copytree(REPOSITORY / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "empty.py").write_text(EMPTY_DAGS.format(runs=runs))
    return folder


def _specs(home: Path, runs: int) -> Path:
    folder = home / "jobs"
    folder.mkdir()
    answers = f"results: {{to: gs://{BUCKET}/answers.csv}}\n"
    for name, more in (
        (SPEC, ""),
        (OFF, "split: off\n"),
        (SHARDS, f"max_rows_per_job: 1\n{answers}"),
    ):
        for number in range(runs):
            (folder / f"{name}_{number:03}.yaml").write_text(
                f"model: gemini-3.1-flash-lite\ninputs: gs://{BUCKET}/in.jsonl\n"
                f"output: gs://{BUCKET}/out/{name}/{number}/\nteam: bench\npoll_interval: 2s\n{more}"
            )
    return folder


def table(costs: Sequence[Cost]) -> str:
    """The results as Markdown."""
    heads = (
        "a run of",
        "task instances",
        "processes",
        "CPU s, workers",
        "CPU s, all",
        "CPU s a process",
        "peak MB",
        "XComs",
        "database rows",
        "runs an hour on 2 cores",
    )
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    for cost in costs:
        states = ", ".join(f"{number:g} {state}" for state, number in sorted(cost.instances.items()))
        process = sum(task.cpu_seconds for task in cost.tasks) / len(cost.tasks)
        peak = max(task.peak_bytes for task in cost.tasks) / 1e6
        cells = (
            TITLES[cost.name],
            states,
            f"{len(cost.tasks) / cost.runs:g}",
            f"{cost.workers:.2f}",
            f"{cost.all:.2f}",
            f"{process:.2f}",
            f"{peak:.0f}",
            f"{cost.rows.get('xcom', 0):g}",
            f"{sum(cost.rows.values()):g}",
            f"{2 * 3600 / cost.workers:,.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    for cost in costs:
        rows = ", ".join(f"{name} {number:g}" for name, number in sorted(cost.rows.items()))
        lines.append(f"\n{TITLES[cost.name]}: {cost.runs} runs in {cost.wall_seconds:.0f} s; rows: {rows}")
        if cost.looks:
            middle = statistics.median(cost.looks)
            lines.append(f"  {len(cost.looks)} requests for states of tasks, {middle:.0f} ms each")
        for task_id in dict.fromkeys(task.task_id for task in cost.tasks):
            mine = [task.cpu_seconds for task in cost.tasks if task.task_id == task_id]
            lines.append(f"  {task_id}: {len(mine)} processes, {sum(mine) / len(mine):.2f} CPU s each")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
