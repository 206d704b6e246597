"""Whose job a kill cancels, and which run still waits for it, as tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.lifecycle.ownership import (
    Killed,
    Owner,
    Ownership,
    cancels_when_killed,
    count_unwatched,
    is_superseded,
    lacks_a_bill,
    who_waits,
)
from vertex_batch.vertex.resource import BatchPredictionJob

DOCS = Path(__file__).resolve().parents[3] / "docs" / "lifecycle.md"


def a_job(labels: dict[str, str]) -> BatchPredictionJob:
    name = "projects/1/locations/us-central1/batchPredictionJobs/7"
    return BatchPredictionJob.model_validate({"name": name, "state": "RUNNING", "labels": labels})


def documented_kills() -> list[tuple[str, ...]]:
    """The rows of the table of kills in the documentation."""
    section = DOCS.read_text().split("### Killed tasks", 1)[1].split("\n#", 1)[0]
    rows = re.findall(r"^\| (signal|trigger|timeout) \| (.+?) \| (.+?) \| .+ \|$", section, re.MULTILINE)
    return [(why, state.strip("`"), decision) for why, state, decision in rows]


def test_the_documentation_says_what_the_code_does():
    rows = documented_kills()
    assert len(rows) >= 8
    for why, states, decision in rows:
        for state in states.split("`, `"):
            task_state = None if state.startswith("no answer") else state
            cancels = cancels_when_killed(
                Killed(why), task_state, next_try_resumes=state == "a try of submit is left"
            )
            assert cancels is (decision == "cancel"), (why, state)


class TestAKill:
    @pytest.mark.parametrize(
        ("case", "why", "state", "next_try_resumes", "cancels"),
        [
            ("a person marked the task failed", Killed.SIGNAL, "failed", False, True),
            ("a person marked it success", Killed.SIGNAL, "success", False, True),
            ("dagrun_timeout skipped it", Killed.SIGNAL, "skipped", False, True),
            ("the worker shuts down", Killed.SIGNAL, "running", False, False),
            ("a person cleared it", Killed.SIGNAL, "restarting", False, False),
            ("cleared, not scheduled yet", Killed.SIGNAL, "None", False, False),
            ("heartbeats fail, Airflow is away", Killed.SIGNAL, None, False, False),
            ("execution_timeout, a retry will look again", Killed.TIMEOUT, None, True, False),
            ("execution_timeout, nobody goes on", Killed.TIMEOUT, None, False, True),
            ("deferred, a person marked it failed", Killed.TRIGGER, "failed", False, True),
            ("deferred, the run was deleted", Killed.TRIGGER, "removed", False, True),
            ("deferred, cleared", Killed.TRIGGER, "scheduled", False, False),
            ("handed to another triggerer", Killed.TRIGGER, "deferred", False, False),
            ("deferred, Airflow does not answer", Killed.TRIGGER, None, False, False),
        ],
    )
    def test_takes_the_job_along_only_where_nobody_goes_on_with_it(
        self, case, why, state, next_try_resumes, cancels
    ):
        assert cancels_when_killed(why, state, next_try_resumes=next_try_resumes) is cancels, case

    @pytest.mark.parametrize(
        ("why", "state", "has_result", "superseded"),
        [
            (Killed.SIGNAL, "success", True, True),
            (Killed.SIGNAL, "success", False, False),  # a person has marked it
            (Killed.SIGNAL, "failed", True, False),
            (Killed.SIGNAL, "running", True, False),
            (Killed.TIMEOUT, "success", True, False),
        ],
    )
    def test_comes_late_where_a_later_try_has_a_result(self, why, state, has_result, superseded):
        assert is_superseded(why, state, has_result=has_result) is superseded


class TestWhoWaits:
    HERE = "https://airflow.example"
    NOBODY = Owner(Ownership.UNKNOWN)

    @pytest.mark.parametrize(
        ("case", "runs", "expected"),
        [
            ("deferred", {"a": {"submit": "success", "wait": "deferred"}}, Ownership.WAITED_FOR),
            ("cleared, not scheduled yet", {"a": {"submit": None, "wait": None}}, Ownership.WAITED_FOR),
            ("being recorded", {"a": {"submit": "failed", "record_cost": "running"}}, Ownership.WAITED_FOR),
            ("over", {"a": {"submit": "success", "wait": "failed"}}, Ownership.ORPHAN),
            ("another run still runs", {"a": {"submit": "success"}, "b": {"submit": None}}, Ownership.ORPHAN),
            ("run deleted", {"b": {"submit": "success"}}, Ownership.UNKNOWN),
            ("DAG not known", {}, Ownership.UNKNOWN),
        ],
    )
    def test_is_read_from_the_run_that_has_the_job_s_key(self, case, runs, expected):
        job = a_job(TaskIdentity(self.HERE, "nightly", "a", "submit").labels(3, "f"))
        assert who_waits(job, self.HERE, "nightly", runs).ownership is expected, case

    def test_finds_a_mapped_task(self):
        job = a_job(TaskIdentity(self.HERE, "nightly", "a", "submit", 7).labels(3, "f"))
        owner = who_waits(job, self.HERE, "nightly", {"a": {"submit_7": "success"}})
        assert owner == Owner(Ownership.ORPHAN, TaskIdentity(self.HERE, "nightly", "a", "submit", 7))
        assert who_waits(job, self.HERE, "nightly", {"a": {"submit_8": "success"}}) == self.NOBODY

    def test_is_not_read_from_another_airflow(self):
        job = a_job(TaskIdentity("https://staging", "nightly", "a", "submit").labels(3, "f"))
        assert who_waits(job, self.HERE, "nightly", {"a": {"submit": "success"}}) == self.NOBODY


class TestABill:
    NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("case", "state", "ownership", "ended_hours_ago", "is_lacking"),
        [
            ("dagrun_timeout skipped record_cost", "SUCCEEDED", Ownership.ORPHAN, 0, True),
            ("cancelled with its run", "CANCELLED", Ownership.ORPHAN, 0, True),
            ("its run records it by itself", "SUCCEEDED", Ownership.WAITED_FOR, 5, False),
            ("its DAG is paused, or its file is gone", "SUCCEEDED", Ownership.WAITED_FOR, 6, True),
            ("still runs, and may yet be cancelled", "RUNNING", Ownership.ORPHAN, 0, False),
            ("its run is not found, and may yet record it", "FAILED", Ownership.UNKNOWN, 5, False),
            ("its run was deleted long ago", "FAILED", Ownership.UNKNOWN, 6, True),
        ],
    )
    def test_is_made_for_what_has_ended_and_nobody_else_records(
        self, case, state, ownership, ended_hours_ago, is_lacking
    ):
        ended = self.NOW - timedelta(hours=ended_hours_ago)
        job = a_job({}).model_copy(update={"raw_state": f"{state}", "end_time": ended})
        assert lacks_a_bill(job, Owner(ownership), self.NOW) is is_lacking, case


class TestUnwatched:
    NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)

    def a_job_of(
        self, run_id: str, ended_minutes_ago: float | None, deferred: int, ownership: str = "waited_for"
    ):
        ended = {}
        if ended_minutes_ago is not None:
            end = self.NOW - timedelta(minutes=ended_minutes_ago)
            ended = {"state": "SUCCEEDED", "endTime": end.isoformat()}
        job = BatchPredictionJob.model_validate({"name": "jobs/7", "state": "RUNNING", **ended})
        return job, Owner(Ownership(ownership), TaskIdentity("here", "nightly", run_id, "submit"), deferred)

    @pytest.mark.parametrize(
        ("case", "jobs", "unwatched"),
        [
            ("runs", [("a", None, 1)], 0),
            ("ended just now", [("a", 5, 1)], 0),
            ("ended long ago, its task waits", [("a", 45, 1)], 1),
            ("ended long ago, its task goes on", [("a", 45, 0)], 0),
            ("the task waits for the run's other job", [("a", 45, 1), ("a", None, 1)], 0),
            ("or for one that has ended just now", [("a", 45, 1), ("a", 5, 1)], 0),
            ("two of three shards", [("a", 45, 3), ("a", 50, 3), ("a", None, 3)], 2),
            ("of two runs", [("a", 45, 1), ("b", 45, 1), ("c", None, 1)], 2),
            ("the run is over", [("a", 45, 0, "orphan")], 0),
        ],
    )
    def test_are_jobs_that_have_ended_long_ago_while_their_tasks_wait(self, case, jobs, unwatched):
        assert count_unwatched([self.a_job_of(*job) for job in jobs], self.NOW) == unwatched, case
