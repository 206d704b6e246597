"""``make chaos``: every kill point, again and again, and the table of what that did."""

from __future__ import annotations

import argparse
import itertools
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.stack import Stack
from tools.chaos.arena import Arena, Outcome
from tools.chaos.cluster import CLUSTER_POINTS
from tools.chaos.points import KILL_POINTS, KillPoint
from tools.chaos.scene import RETRY_SPEC, SPEC, prepare

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
        options = prepare(Path(folder), workers=WORKERS if arguments.cluster else 0)
        with Stack(options, print) as stack:
            stack.gcs.create_bucket("demo-bucket")
            arenas = {False: Arena(stack, SPEC), True: Arena(stack, RETRY_SPEC)}
            for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell has had SIGINT ignored
                signal.signal(number, signal.default_int_handler)
            try:
                _rounds(arenas, points, totals, arguments.runs)
            except KeyboardInterrupt:
                """What is known by now is worth a table."""
            finally:
                print(table(totals), flush=True)
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
