"""How long YAML files take to become DAGs, ours beside dag-factory's, in one run: ``make bench``.

    python tools/bench/parse_rate.py --files 1000 --rounds 5

Both make the same DAGs: four tasks of the same operators with the same arguments, order and schedule. Ours
are fully checked besides, and have a form and a page. "With splitting" is what a spec makes by default:
a task plans the input, and two are mapped over its parts. Each round gives every contestant a process of
its own; the clock starts when a first file has been made into a DAG, and ends with the last of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PYTHON = REPOSITORY / ".venv-bench" / "bin" / "python"
OURS, SPLITTING, THEIRS = "vertex-batch", "with splitting", "dag-factory"
CONTESTANTS = (OURS, SPLITTING, THEIRS)
TASKS = ["ended", "record_cost", "submit", "wait"]
SPLIT = ["plan_inputs"]


def spec(number: int) -> str:
    """One of our files, whose inputs always go into one job, as those of dag-factory do."""
    return f"{splitting_spec(number)}split: off\n"


def splitting_spec(number: int) -> str:
    """One of our files as people write them: with a plan of the input, and mapped tasks."""
    return f"""\
description: Summarise the support tickets of shop {number}
schedule: "{number % 60} {number % 24} * * *"
timezone: UTC
start_date: 2026-11-01
model: gemini-2.5-flash
project: demo-project
location: us-central1
inputs: gs://demo-bucket/input/shop_{number}/{{{{ run_date }}}}.jsonl
output: gs://demo-bucket/output/shop_{number}/{{{{ run_date }}}}/
team: support
labels:
  product: tickets
  shop: s{number}
owner: support-team
tags: [summaries, shop{number % 10}]
poll_interval: 10s
max_failed_ratio: 0.2
"""


def factory_file(number: int) -> str:
    """The same DAG as dag-factory reads it."""
    return f"""\
bench_{number:05}:
  description: Summarise the support tickets of shop {number}
  schedule: "{number % 60} {number % 24} * * *"
  start_date: 2026-11-01
  catchup: false
  max_active_runs: 4
  tags: [vertex-batch, summaries, shop{number % 10}]
  default_args:
    owner: support-team
    retries: 3
    retry_delay_sec: 60
    retry_exponential_backoff: 2.0
  tasks:
    - task_id: submit
      operator: vertex_batch.operators.SubmitBatchPredictionJobOperator
      model: gemini-2.5-flash
      project: demo-project
      location: us-central1
      inputs: ["gs://demo-bucket/input/shop_{number}/{{{{ run_date }}}}.jsonl"]
      output_uri: gs://demo-bucket/output/shop_{number}/{{{{ run_date }}}}/
      display_name: bench_{number:05} {{{{ run_date }}}}
      labels: {{team: support, product: tickets, shop: s{number}}}
      spec: bench_{number:05}
    - task_id: wait
      operator: vertex_batch.sensors.BatchPredictionJobSensor
      job: "{{{{ ti.xcom_pull('submit') }}}}"
      poll_interval_seconds: 10.0
      deadline_seconds: 349200.0
      max_failed_ratio: 0.2
      dependencies: [submit]
    - task_id: ended
      operator: airflow.providers.standard.operators.empty.EmptyOperator
      trigger_rule: all_done
      dependencies: [wait]
    - task_id: record_cost
      operator: vertex_batch.operators.AggregateTokenUsageOperator
      submit_task_id: submit
      resubmit_task_ids: [wait]
      spec: bench_{number:05}
      trigger_rule: all_done
      dependencies: [ended]
"""


def make_ours(folder: Path) -> dict[str, Any]:
    """Load, check and build all specs of a folder."""
    from vertex_batch.dag_factory import build_dags
    from vertex_batch.specs import load_specs

    found = load_specs(folder)
    dags = {dag.dag_id: dag for dag in build_dags(found)}
    found.raise_for_errors()
    return dags


def make_theirs(folder: Path) -> dict[str, Any]:
    """Let dag-factory build all files of a folder."""
    from dagfactory import load_yaml_dags

    made: dict[str, Any] = {}
    load_yaml_dags(made, dags_folder=str(folder), defaults_config_path=str(folder))
    return made


MAKERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    OURS: make_ours,
    SPLITTING: make_ours,
    THEIRS: make_theirs,
}
TEXTS = {OURS: spec, SPLITTING: splitting_spec, THEIRS: factory_file}


def child(name: str, first: Path, folder: Path) -> None:
    """Make the DAGs of a folder once, and print what that took."""
    import logging

    logging.disable(logging.INFO)
    MAKERS[name](first)  # what is imported late is imported now
    wall, cpu = time.perf_counter(), time.process_time()
    dags = MAKERS[name](folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    tasks = {tuple(sorted(dag.task_ids)) for dag in dags.values()}
    print(json.dumps({"wall": wall, "cpu": cpu, "dags": len(dags), "tasks": sorted(map(list, tasks))}))


def measure(name: str, first: Path, folder: Path) -> dict[str, Any]:
    """Run one contestant in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        variables = {"AIRFLOW_HOME": home, "PYTHONPATH": str(REPOSITORY / "plugins"), "DO_NOT_TRACK": "1"}
        done = subprocess.run(
            [str(PYTHON), __file__, "--child", name, str(first), str(folder)],
            env={**os.environ, **variables, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
            capture_output=True,
            text=True,
            check=True,
        )
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def measure_commands(folder: Path) -> int:
    """Check and plan all specs of a folder, and print what that took."""
    files = sorted(folder.iterdir())
    commands = {
        "`validate`, one spec": [["validate", files[0]]],
        f"`validate`, {len(files):,} specs": [["validate", folder]],
        f"`plan --offline`, {len(files):,} times": [["plan", "--offline", file] for file in files],
    }
    print("| | wall s | CPU s | peak MB |\n|---|---:|---:|---:|")
    for name, lines in commands.items():
        began, cpu, peak = time.perf_counter(), 0.0, 0
        for line in lines:
            words = [sys.executable, "-m", "vertex_batch.cli", *map(str, line)]
            process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0, line
            cpu, peak = cpu + used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss)
        wall = time.perf_counter() - began
        print(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak / 1000:,.0f} |", flush=True)
    return 0


def main() -> int:
    """Write the files, measure, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", action="store_true", help="of the command line, instead of DAGs")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, first, folder = options.child
        child(name, Path(first), Path(folder))
        return 0
    with tempfile.TemporaryDirectory() as root:
        if options.commands:
            return measure_commands(_write(Path(root) / OURS, SPLITTING, options.files)[1])
        folders = {name: _write(Path(root) / name, name, options.files) for name in CONTESTANTS}
        rounds = [
            {name: measure(name, *folders[name]) for name in CONTESTANTS} for _ in range(options.rounds)
        ]
    return _report(rounds, options.files)


def _write(root: Path, name: str, files: int) -> tuple[Path, Path]:
    first, folder = root / "first", root / "all"
    for place in (first, folder):
        place.mkdir(parents=True)
    for number in range(files):
        (folder / f"bench_{number:05}.yaml").write_text(TEXTS[name](number))
    (first / "bench_99999.yaml").write_text(TEXTS[name](99999))
    return first, folder


def _report(rounds: list[dict[str, dict[str, Any]]], files: int) -> int:
    print(f"\n{files:,} YAML files to DAGs, median of {len(rounds)} rounds")
    print(f"{'':14} {'CPU ms a file':>14} {'wall ms a file':>15} {'DAGs':>6}")
    medians = {}
    for name in CONTESTANTS:
        results = [each[name] for each in rounds]
        cpu, wall = (
            statistics.median(each[clock] for each in results) / files * 1000 for clock in ("cpu", "wall")
        )
        medians[name] = cpu
        (made,) = {each["dags"] for each in results}
        print(f"{name:14} {cpu:14.2f} {wall:15.2f} {made:6,}")
        expected = sorted([*TASKS, *SPLIT] if name == SPLITTING else TASKS)
        if made != files or any(each["tasks"] != [expected] for each in results):
            print(f"{name} did not make {files} DAGs of the tasks {', '.join(expected)}")
            return 1
    print(f"{OURS} takes {medians[OURS] / medians[THEIRS]:.2f} of {THEIRS}'s CPU time")
    return 0 if medians[OURS] < medians[THEIRS] else 1


if __name__ == "__main__":
    sys.exit(main())
