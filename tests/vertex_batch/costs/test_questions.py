"""Which earlier run has answered the same inputs: the words as a table, and the query on both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from vertex_batch.costs import Bill, JobCost, JobFacts, PaysAgain, RowCounts, Total, paid_before

NIGHT = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
BEFORE, AFTER = NIGHT - timedelta(minutes=5), NIGHT + timedelta(seconds=1)
URIS = ("gs://b/in/2026-11-27/*.jsonl", "gs://b/in/more.jsonl")
FACTS = JobFacts(
    "p", "us-central1", "1", spec="nightly", dag_id="nightly", run_id="night 1", state="SUCCEEDED"
)
FACTS = replace(FACTS, input_uris=URIS, create_time=NIGHT)
JOB = JobCost(
    FACTS, RowCounts(ok=287, failed=13, input_rows=300), Total(Decimal("0.2831"), complete=True), 9, ()
)
OLDER = replace(JOB, job=replace(FACTS, run_id="night 0", create_time=NIGHT - timedelta(days=1)))
SHARD = replace(JOB, job=replace(FACTS, job_id="2"))


@pytest.mark.parametrize(
    ("jobs", "written", "words"),
    [
        ([], [BEFORE], ""),
        ([JOB], [BEFORE], "by run night 1 on 2026-11-27 (287 of 300 rows, 0.2831 USD); this run pays"),
        ([JOB, OLDER], [BEFORE], "by run night 1 on 2026-11-27 (287 of 300 rows, 0.2831 USD)"),
        ([JOB, SHARD], [BEFORE], "(574 of 600 rows, 0.5662 USD)"),
        ([replace(JOB, total=Total(Decimal(1), complete=False))], [BEFORE], "at least 1.00 USD"),
        ([replace(JOB, rows=RowCounts(ok=2, failed=1))], [BEFORE], "(2 of 3 rows"),
        ([JOB], [BEFORE, AFTER], ""),  # the same names, but one object was written since
        ([JOB], [BEFORE, None], ""),
        ([JOB], [], ""),
        ([replace(JOB, job=replace(FACTS, create_time=None))], [BEFORE], ""),
    ],
)
def test_an_earlier_run_is_named_only_if_its_inputs_are_certainly_the_same(jobs, written, words):
    said = paid_before(jobs, written, PaysAgain.PAYS)
    assert bool(said) is bool(words)
    assert words in said


@pytest.mark.parametrize(
    ("changes", "is_found"),
    [
        ({}, True),
        ({"state": "PARTIALLY_SUCCEEDED"}, True),
        ({"state": "FAILED"}, False),
        ({"spec": "other"}, False),
        ({"input_uris": URIS[:1]}, False),
        ({"run_id": "night 2"}, False),  # the run that asks
        ({"run_id": "night 2", "dag_id": "copy"}, True),
        ({"run_id": ""}, False),
    ],
)
def test_only_jobs_of_other_runs_with_the_same_inputs_are_found(table, changes, is_found):
    table.record(Bill(replace(FACTS, **changes), RowCounts(ok=1), []))
    found = table.answered("nightly", list(URIS), dag_id="nightly", run_id="night 2")
    assert [each.job.job_id for each in found] == (["1"] if is_found else [])
