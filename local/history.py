"""The nights before, run by hand for their dates, so that the pages have a past.

They are no backfill: on SQLite Airflow refuses to create one while anything else writes, and what it takes
back then can end its scheduler.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta

from rich.console import Console

from local.examples import put_example_input
from local.stack import Stack
from local.stack.airflow_api import FINISHED, wait_until
from vertex_batch.specs import Spec

SECONDS_A_RUN = 60.0


def run_nights_before(
    stack: Stack, due: Mapping[str, tuple[Spec, datetime]], nights: int, console: Console
) -> bool:
    """Run so many nights before the one that is due, and tell how far it is; whether all of them went well.

    :param due: each spec with its last schedule point, by its name.
    """
    runs: dict[str, set[str]] = {name: set() for name in due}
    for back in range(nights, 0, -1):
        for name, (spec, last) in due.items():
            night = last - timedelta(days=back)
            rows = random.Random(f"{name} {night}").randint(60, 180)  # noqa: S311 - the same each time
            put_example_input(stack.gcs, spec, night, rows)
            runs[name].add(stack.airflow.trigger(name, logical_date=night)["dag_run_id"])
    total = nights * len(due)
    console.print(f"Running {nights} nights before that, {total} runs ...", highlight=False)
    told = 0

    def all_ended() -> list[str] | None:
        nonlocal told
        found = [run for name in due for run in stack.airflow.runs(name) if run["dag_run_id"] in runs[name]]
        ended = [run["state"] for run in found if run["state"] in FINISHED]
        if len(ended) * 10 // total > told * 10 // total:
            console.print(f"  {len(ended)} of {total} runs have ended", highlight=False)
        told = len(ended)
        return ended if len(ended) == total else None

    ended = wait_until(all_ended, "the nights before", total * SECONDS_A_RUN)
    return all(state == "success" for state in ended)
