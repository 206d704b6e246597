"""The nights before, as a backfill, so that the pages have a past."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.console import Console

from local.examples import put_example_input
from local.stack import Stack
from local.stack.airflow_api import FINISHED
from local.stack.gcs import adopt_files
from local.waiting import wait_until
from vertex_batch.specs import Spec

SECONDS_A_RUN = 60.0
# As many as Airflow has slots for tasks that run; those that wait for their job hold none.
RUNS_AT_ONCE = 4


def run_nights_before(
    stack: Stack, due: Mapping[str, tuple[Spec, datetime]], nights: int, console: Console
) -> bool:
    """Backfill the nights before the one that is due, and print the progress; return whether all went well.

    :param due: each spec with its last schedule point, by its name.
    """
    total = sum(_backfill(stack, spec, last, nights) for spec, last in due.values())
    console.print(f"Running {nights} nights before that, {total} runs ...", highlight=False)
    shown = 0

    def all_ended() -> list[str] | None:
        nonlocal shown
        found = [run for name in due for run in stack.airflow.runs(name) if run["run_type"] == "backfill"]
        ended = [str(run["state"]) for run in found if run["state"] in FINISHED]
        if len(ended) * 10 // total > shown * 10 // total:
            console.print(f"  {len(ended)} of {total} runs have ended", highlight=False)
        shown = len(ended)
        return ended if len(ended) == total else None

    ended = wait_until(all_ended, "the nights before", total * SECONDS_A_RUN)
    return all(state == "success" for state in ended)


def _backfill(stack: Stack, spec: Spec, last: datetime, nights: int) -> int:
    """Put the inputs of the schedule points in those nights, and start their backfill; return how many."""
    span = {"start": last - timedelta(days=nights), "end": last - timedelta(seconds=1)}
    adopt_files(stack.options.home / "objects")
    points = [datetime.fromisoformat(point) for point in stack.airflow.backfill_dates(spec.name, **span)]
    for point in points:
        rows = random.Random(f"{spec.name} {point}").randint(60, 180)  # noqa: S311 - the same each time
        put_example_input(stack.gcs, spec, point, rows)
    if points:
        stack.airflow.backfill(spec.name, **span, max_active_runs=RUNS_AT_ONCE)
    return len(points)
