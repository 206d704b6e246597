"""A step of a run in a process of its own, to be killed: ``python killed.py stage|record PLACE [TABLE]``."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.outputs import OutputReader
from vertex_batch.costs import CostTable, JobFacts
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import JobLimits, StagingPlace
from vertex_batch.inputs.preparation import InputPreparer
from vertex_batch.preflight import RowRules
from vertex_batch.pricing import PriceBook

MODEL = "publishers/google/models/gemini-2.5-flash"


def stage(place: str) -> None:
    """Plan an input over several jobs, and print the plan."""
    staging = StagingPlace.of(f"{place}/out/", None, "k" * 40)
    log = logging.getLogger("killed")
    preparer = InputPreparer(
        open_storage(),
        [f"{place}/in/*.jsonl"],
        JobLimits(10_000),
        staging,
        log=log,
        check_for=RowRules(MODEL),
    )
    parts = preparer.prepare()
    sys.stdout.write(json.dumps([part.to_dict() for part in parts]))


def record(place: str, table: str) -> None:
    """Record the bill of an output."""
    facts = JobFacts(
        "p", "us-central1", "1", model=MODEL, output_directory=f"{place}/job", input_uris=(f"{place}/in/*",)
    )
    read = OutputReader(open_storage).read(facts, {})
    bill = make_bill(facts, read.scan, PriceBook(()), input_rows=read.input_rows)
    CostTable(f"sqlite:///{Path(table)}").record(bill)


if __name__ == "__main__":
    {"stage": stage, "record": record}[sys.argv[1]](*sys.argv[2:])
