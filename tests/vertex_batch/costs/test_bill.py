"""The facts of a billed job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vertex_batch.costs import JobFacts

JOB = JobFacts("demo-project", "us-central1", "17", model="publishers/google/models/gemini-2.5-flash")


@pytest.mark.parametrize(
    ("state", "message", "shown"),
    [
        ("CANCELLED", "CANCELED", ""),
        ("CANCELLED", "Cancelled.", ""),
        ("CANCELLED", "quota exceeded", "quota exceeded"),
        ("SUCCEEDED", "", ""),
        ("FAILED", "CANCELED", "CANCELED"),
    ],
)
def test_the_message_of_an_end_is_left_out_if_it_only_repeats_the_state(state, message, shown):
    assert replace(JOB, state=state, error_message=message).end_message == shown


CREATED = datetime(2026, 11, 22, 2, 30, 5, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    ("earlier", "later", "contradiction"),
    [
        ({}, {}, ""),
        ({"create_time": CREATED}, {"create_time": CREATED}, ""),
        ({"create_time": CREATED}, {"create_time": CREATED.replace(microsecond=0)}, ""),
        ({"create_time": CREATED}, {}, ""),
        (
            {"create_time": CREATED, "job_key": "a", "display_name": "one"},
            {"create_time": CREATED, "job_key": "b", "display_name": "two"},
            "",
        ),
        (
            {"create_time": CREATED, "job_key": "a"},
            {"create_time": CREATED + timedelta(hours=1), "job_key": "a"},
            "it was created at 2026-11-22T03:30:05.123456+00:00, not at 2026-11-22T02:30:05.123456+00:00",
        ),
        ({"job_key": "a"}, {"job_key": "b"}, "its idempotency key is 'b', not 'a'"),
        ({"job_key": "a"}, {"job_key": ""}, ""),
        (
            {"create_time": CREATED, "display_name": "one"},
            {"display_name": "two"},
            "its display name is 'two', not 'one'",
        ),
        ({"run_id": "scheduled", "dag_id": "nightly"}, {"run_id": "adopted", "dag_id": "adopt"}, ""),
    ],
)
def test_facts_of_another_job_with_the_same_id_are_told_from_facts_of_the_same(earlier, later, contradiction):
    assert replace(JOB, **later).contradiction(replace(JOB, **earlier)) == contradiction
