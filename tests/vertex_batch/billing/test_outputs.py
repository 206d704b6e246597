"""Reading what jobs have left, as tasks do it."""

from __future__ import annotations

import pytest

from vertex_batch.billing.outputs import PROCESSES_VARIABLE, OutputReader, why_unknown
from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.resource import BatchPredictionJob


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_number_of_processes_that_is_none_is_refused_before_anything_is_read(monkeypatch, text):
    monkeypatch.setenv(PROCESSES_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"{PROCESSES_VARIABLE} is '{text}'"):
        OutputReader(lambda: None)


@pytest.mark.parametrize(
    ("state", "stats", "started", "reason"),
    [
        ("SUCCEEDED", None, True, "the job is SUCCEEDED, but Vertex reports neither an output"),
        ("PARTIALLY_SUCCEEDED", None, True, "the job is PARTIALLY_SUCCEEDED, but Vertex reports neither"),
        ("SUCCEEDED", {"failedCount": "5"}, True, None),
        ("SUCCEEDED", {"successfulCount": "1200"}, True, "1,200 finished rows, but reports no output"),
        ("CANCELLED", None, False, None),
        ("CANCELLED", None, True, "the job is CANCELLED, but Vertex reports neither an output"),
        ("EXPIRED", None, False, None),
        ("EXPIRED", None, True, "the job is EXPIRED, but Vertex reports neither an output nor row counts"),
        ("FAILED", None, True, None),
        ("EXPIRED", {"incompleteCount": "5"}, True, None),
        ("CANCELLED", {"successfulCount": "3"}, True, "Vertex counts 3 finished rows"),
        ("FAILED", {"successfulCount": "-1"}, True, "does not know how many rows were finished"),
    ],
)
def test_a_job_without_an_output_is_free_only_if_it_has_finished_no_row(state, stats, started, reason):
    start = "2026-11-28T02:31:00Z" if started else None
    fields = {"name": "1", "state": state, "completionStats": stats, "startTime": start}
    job = BatchPredictionJob.model_validate(fields)
    found = why_unknown(job)
    assert found is None if reason is None else reason in (found or "")
