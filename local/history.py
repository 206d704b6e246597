"""The nights before: backfills of the example specs, as people start them, so that the pages have a past."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.console import Console

from local.examples import put_example_input
from local.stack import Stack
from local.stack.airflow_api import FINISHED, wait_until
from vertex_batch.specs import Spec

AT_ONCE = 3
"""Runs of one spec."""
SECONDS_A_RUN = 60.0


def backfill_nights(
    stack: Stack, due: Mapping[str, tuple[Spec, datetime]], nights: int, console: Console
) -> bool:
    """Run so many nights before the one that is due, and tell how far it is; whether all of them went well.

    :param due: each spec with its last schedule point, by its name.
    """
    expected = {}
    for name, (spec, last) in due.items():
        points = [last - timedelta(days=back) for back in range(nights, 0, -1)]
        for point in points:
            rows = random.Random(f"{name} {point}").randint(60, 180)  # noqa: S311 - the same each time
            put_example_input(stack.gcs, spec, point, rows)
        stack.airflow.backfill(name, start=points[0], end=points[-1], max_active_runs=AT_ONCE)
        expected[name] = len(points)
    total = sum(expected.values())
    console.print(f"Backfilling {nights} nights before that, {total} runs ...", highlight=False)
    told = 0

    def all_ended() -> list[str] | None:
        nonlocal told
        states = [
            run["state"]
            for name in expected
            for run in stack.airflow.runs(name)
            if run["run_type"] == "backfill"
        ]
        ended = [state for state in states if state in FINISHED]
        if len(ended) * 10 // total > told * 10 // total or len(ended) == total:
            console.print(f"  {len(ended)} of {total} runs have ended", highlight=False)
        told = len(ended)
        return ended if len(ended) == total else None

    ended = wait_until(all_ended, "the backfills", total * SECONDS_A_RUN)
    return all(state == "success" for state in ended)
