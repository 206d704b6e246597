"""``make chaos``: every kill point, again and again, and the table of what that did."""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.stack import Stack, StackOptions
from tools.chaos.arena import Arena, Outcome
from tools.chaos.cluster import CLUSTER_POINTS
from tools.chaos.cluster import SETTINGS as CLUSTER_SETTINGS
from tools.chaos.points import KILL_POINTS, KillPoint

SPEC = "chaos"
SPEC_TEXT = """\
description: Runs whose processes are killed
model: gemini-3.8-flash
inputs: gs://demo-bucket/chaos/{{ run_date }}.jsonl
output: gs://demo-bucket/chaos_out/{{ run_date }}/
team: tests
retries: 5
retry_delay: 1s
poll_interval: 1s
"""
RETRY_SPEC = "chaos_retry"
RETRY_TEXT = """\
description: Runs that send rows again, and whose processes are killed
model: gemini-2.5-flash
inputs: gs://demo-bucket/chaos_retry/{{ run_date }}.jsonl
output: gs://demo-bucket/chaos_retry_out/{{ run_id }}/
team: tests
retries: 8
retry_delay: 1s
poll_interval: 1s
resubmits: 0
results:
  to: gs://demo-bucket/chaos_retry_answers/{{ run_id }}.jsonl
retry_rows:
  rounds: 2
"""
SETTINGS = {
    "AIRFLOW__VERTEX_BATCH__LOOK_SECONDS": "10",
    # What a crashed machine held is taken up within seconds instead of minutes.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
}
JOB_SPEED = 105.0  # a job takes two seconds
WORKERS = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="at least so many runs (default: 200)")
    parser.add_argument("--only", default="", help="kill points whose name holds this")
    parser.add_argument("--cluster", action="store_true", help="on Celery, with two of all that there may be")
    arguments = parser.parse_args()
    all_points = CLUSTER_POINTS if arguments.cluster else KILL_POINTS
    points = [point for point in all_points if arguments.only in point.name]
    totals = {point.name: Outcome() for point in points}
    with tempfile.TemporaryDirectory(prefix="vertex-batch-chaos-") as folder:
        home = Path(folder)
        (home / "jobs").mkdir()
        (home / "jobs" / f"{SPEC}.yaml").write_text(SPEC_TEXT)
        (home / "jobs" / f"{RETRY_SPEC}.yaml").write_text(RETRY_TEXT)
        options = StackOptions(
            home=home,
            specs=home / "jobs",
            emulator_speed=JOB_SPEED,
            airflow_settings=SETTINGS | (CLUSTER_SETTINGS if arguments.cluster else {}),
            workers=WORKERS if arguments.cluster else 0,
        )
        with Stack(options, print) as stack:
            stack.gcs.create_bucket("demo-bucket")
            arenas = {False: Arena(stack, SPEC), True: Arena(stack, RETRY_SPEC)}
            with contextlib.suppress(KeyboardInterrupt):  # what is known by then is worth a table
                _rounds(arenas, points, totals, arguments.runs)
    print(table(totals))
    return 0 if all(total.clean and not total.details for total in totals.values()) else 1


def _rounds(
    arenas: Mapping[bool, Arena], points: Sequence[KillPoint], totals: dict[str, Outcome], runs: int
) -> None:
    for number, point in enumerate(itertools.cycle(points)):
        began = time.monotonic()
        outcome = point.round(arenas[point.sends_again], f"round_{number}")
        totals[point.name] += outcome
        print(f"round {number}: {point.name}: {_verdict(outcome, time.monotonic() - began)}", flush=True)
        if sum(total.runs for total in totals.values()) >= runs:
            return


def table(totals: dict[str, Outcome]) -> str:
    """The kill points, and what went wrong at each; second jobs that cost nothing are apart."""
    width = max(len(name) for name in totals)
    lines = [f"{'kill point':{width}}  runs  duplicates  orphans  lost  zombies"]
    everything = sum(totals.values(), Outcome())
    for name, total in [*totals.items(), ("all", everything)]:
        lines.append(
            f"{name:{width}}  {total.runs:4}  {total.duplicates:10}  {total.orphans:7}  {total.lost:4}"
            f"  {total.zombies:7}"
        )
    return "\n".join([*lines, *everything.details])


def _verdict(outcome: Outcome, seconds: float) -> str:
    found = "clean" if outcome.clean else "NOT CLEAN"
    zombies = f", {outcome.zombies} of them with a cancelled second job, 0 rows" if outcome.zombies else ""
    return "\n  ".join([f"{outcome.runs} runs, {found}{zombies}, {seconds:.0f} s", *outcome.details])


if __name__ == "__main__":
    sys.exit(main())
