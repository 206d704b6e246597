"""``make night``: run the scenarios, print the tables, and fail where a limit is missed."""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from local.stack.paths import STATE
from tools.night.limits import misses
from tools.night.measures import NightResult
from tools.night.report import markdown, table
from tools.night.run import Night
from tools.night.scenarios import SCENARIOS, NightScenario

HOME = STATE / "night"
LOCK = STATE / "night.lock"  # a second night would remove the files of the first
WIDTH = 170  # of the tables, on any terminal
SPARE_BYTES = 5_000_000_000  # logs, databases, and what others on this machine write meanwhile


def main() -> int:
    """Return 0 where every limit is kept, 1 where one is missed or a scenario was not run."""
    parser = argparse.ArgumentParser(prog="python -m tools.night", description=__doc__)
    parser.add_argument("--only", default="", help="the letters of the scenarios to run: ac")
    parser.add_argument("--scale", type=float, default=1.0, help="with so many of the rows: 0.01")
    parser.add_argument("--markdown", action="store_true", help="also print the tables in Markdown")
    arguments = parser.parse_args()
    keys = {scenario.key for scenario in SCENARIOS}
    if unknown := set(arguments.only) - keys:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}: {', '.join(sorted(keys))}")
    chosen = [scenario for scenario in SCENARIOS if scenario.key in (arguments.only or keys)]
    if arguments.scale != 1.0:
        chosen = [scenario.scaled(arguments.scale) for scenario in chosen]
    console = Console(highlight=False, width=WIDTH)
    if problem := room(chosen, HOME):
        console.print(problem)
        return 1
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    with LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            console.print(f"Another night is running in {HOME}. Nothing was started.")
            return 1
        results = run(chosen, HOME, console)
    if results:
        console.print(table(results))
    for result in results:
        for text in misses(result):
            console.print(f"({result.scenario.key}) MISSED: {text}", soft_wrap=True)
    if arguments.markdown and results:
        print(markdown(results))
    return 0 if len(results) == len(chosen) and not any(map(misses, results)) else 1


def room(scenarios: Sequence[NightScenario], home: Path) -> str:
    """Say what is wrong with the free space on the disk; empty where it suffices."""
    needed = max(scenario.disk_bytes for scenario in scenarios) + SPARE_BYTES
    home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(home).free
    if free >= needed:
        return ""
    return (
        f"{home}: {free / 1e9:.1f} GB are free, the night needs {needed / 1e9:.1f} GB. Nothing was started."
    )


def run(scenarios: Sequence[NightScenario], home: Path, console: Console) -> list[NightResult]:
    """Run the scenarios one after the other; return the results that there are, also after Ctrl-C."""
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"{time.monotonic() - began:6.0f} s  {text}", soft_wrap=True)

    results: list[NightResult] = []
    try:
        with Night(home, scenarios, say) as night:
            for scenario in scenarios:
                try:
                    result = night.run(scenario)
                except TimeoutError as error:
                    say(f"({scenario.key}) given up: {error}")
                    continue
                results.append(result)
                say(f"({scenario.key}) {'; '.join(misses(result)) or 'all limits kept'}")
    except KeyboardInterrupt:
        console.print("Interrupted: everything has been stopped and removed.")
    return results


if __name__ == "__main__":
    sys.exit(main())
