"""No run is started, and no job paid for, that nobody asked for: runs and jobs are counted exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from local.emulator.admin import Match
from local.emulator.script import Scenario, Step
from local.stack import Stack
from local.stack.airflow_api import AirflowApiError, wait_until
from tests.builders import ROW

pytestmark = pytest.mark.timeout(900)
OF_SAME_FILE = "nightly_summaries"
"""All specs become DAGs in one file."""
DUE_AGO = timedelta(hours=3)
"""Further back than a run may be late, so that the last due time is one that must not be started."""


@dataclass(frozen=True)
class Unasked:
    """One spec of a test: what Airflow and Vertex have of it."""

    stack: Stack
    nights: Any
    name: str
    days: tuple[str, ...]

    def counts(self) -> tuple[dict[str, int], int]:
        """How many runs of each type there are in the metadata database, and how many jobs in Vertex."""
        rows = self.sql("SELECT run_type, COUNT(*) FROM dag_run WHERE dag_id = :name GROUP BY run_type")
        return {row[0]: row[1] for row in rows}, len(
            self.stack.emulator.jobs(Match(labels={"airflow_dag": self.name}))
        )

    def sql(self, statement: str, **values: Any) -> list[Any]:
        return self.nights.sql(statement, name=self.name, **values)

    def unpause(self) -> None:
        self.stack.airflow.wait_for_new_dag(self.name, OF_SAME_FILE)
        self.stack.airflow.unpause(self.name)

    def backfill(self, days: tuple[str, ...], **fields: Any) -> dict[str, Any]:
        return self.stack.airflow.backfill(
            self.name, start=f"{days[0]}T00:00:00Z", end=f"{days[-1]}T23:59:59Z", max_active_runs=4, **fields
        )

    def wait_for_backfill(self, number: int) -> None:
        """Wait until Airflow has closed the backfill: before that it refuses the next one."""
        wait_until(
            lambda: self.stack.airflow.call("GET", f"/backfills/{number}")["completed_at"],
            f"end of backfill {number} of {self.name}",
            180,
        )

    def settle(self) -> None:
        """Wait until whatever Airflow would start by itself has been started.

        The DAG is read twice more, so that a next run is computed from all that has happened; then a run by
        hand passes through the scheduler, which looks for due runs first.
        """
        self.wait_for_parses()
        self.stack.airflow.unpause("unasked_sentinel")
        run = self.stack.airflow.trigger("unasked_sentinel", conf={"dry_run": True})
        self.stack.airflow.wait_for_run("unasked_sentinel", run["dag_run_id"])
        assert self.next_run() > datetime.now(UTC)

    def wait_for_parses(self) -> None:
        """Wait until the DAG has been read twice: the second time has seen all that happened before."""
        for _ in range(2):
            seen = self.stack.airflow.dag(self.name)["last_parsed_time"]
            wait_until(
                partial(self.is_read_since, seen), f"the next reading of {self.name}", 120, poll_seconds=3
            )

    def is_read_since(self, seen: str) -> bool:
        """Whether the DAG has been read again. If not, ask for it: Airflow may forget an earlier call."""
        if self.stack.airflow.dag(self.name)["last_parsed_time"] > seen:
            return True
        self.stack.airflow.reparse(self.name)
        return False

    def next_run(self) -> datetime:
        return datetime.fromisoformat(self.stack.airflow.dag(self.name)["next_dagrun_run_after"])


@pytest.fixture(scope="module")
def due() -> datetime:
    return datetime.now(UTC) - DUE_AGO


@pytest.fixture(scope="module")
def write(stack, due) -> Callable[..., str]:
    def write(name: str, start_date: str = "", more: str = "") -> str:
        (stack.options.specs / f"{name}.yaml").write_text(
            f'schedule: "{due.minute} {due.hour} * * *"\n'
            f"{f'start_date: {start_date}' if start_date else ''}\n"
            "model: gemini-3.8-flash\n"
            f"inputs: gs://demo-bucket/{name}/{{{{ run_date }}}}.jsonl\n"
            f"output: gs://demo-bucket/{name}_out/{{{{ run_date }}}}/\n"
            f"poll_interval: 1s\nretry_delay: 1s\n{more}"
        )
        return name

    return write


@pytest.fixture(scope="module")
def _sentinel(stack, write) -> None:
    for day in (datetime.now(UTC), datetime.now(UTC) + timedelta(days=1)):
        stack.gcs.put(f"gs://demo-bucket/unasked_sentinel/{day:%Y-%m-%d}.jsonl", ROW)
    write("unasked_sentinel")


@pytest.fixture
def make(stack, nights, write, due, _sentinel) -> Callable[..., Unasked]:
    def make(name: str, start_date: str = "", more: str = "") -> Unasked:
        days = tuple(f"{due - timedelta(days=ago):%Y-%m-%d}" for ago in (5, 4, 3, 2))
        for day in (*days, f"{due - timedelta(days=1):%Y-%m-%d}", f"{due:%Y-%m-%d}"):
            nights.put_input(name, day)
        return Unasked(stack, nights, write(name, start_date, more), days)

    return make


def settle(specs: Sequence[Unasked], counts: tuple[dict[str, int], int], why: str) -> None:
    """Let Airflow start what it would start, and compare the runs and jobs of each spec with the counts."""
    specs[-1].settle()  # which has the file of all of them read
    for spec in specs:
        assert spec.next_run() > datetime.now(UTC), spec.name
        assert spec.counts() == counts, f"{spec.name}: {why}"


def test_what_is_not_asked_for_is_not_run(make):
    # Side by side, with and without a start date.
    specs = [make("unasked_bare"), make("unasked_since", "2026-01-01")]
    airflow = specs[0].stack.airflow
    for spec in specs:
        spec.unpause()
    settle(specs, ({}, 0), "unpausing started a run")

    runs = {spec: airflow.trigger(spec.name) for spec in specs}
    for spec, run in runs.items():
        spec.nights.put_input(spec.name, run["run_after"][:10])
    for spec, run in runs.items():
        assert airflow.wait_for_run(spec.name, run["dag_run_id"])["state"] == "success"
    settle(specs, ({"manual": 1}, 1), "a run by hand started another")

    first = {spec: spec.backfill(spec.days[:3]) for spec in specs}
    for spec in specs:
        with pytest.raises(AirflowApiError, match="409"):
            spec.backfill(spec.days[1:])
        airflow.wait_for_backfill(spec.name, expected=3, timeout_seconds=400)
    settle(specs, ({"manual": 1, "backfill": 3}, 4), "a backfill started another run")

    for spec, backfill in first.items():
        spec.wait_for_backfill(backfill["id"])
        spec.backfill(spec.days, reprocess_behavior="none")
    for spec in specs:
        airflow.wait_for_backfill(spec.name, expected=4, timeout_seconds=400)
    settle(specs, ({"manual": 1, "backfill": 4}, 5), "only the day that was missing is run")


def test_a_backfill_that_is_refused_starts_nothing(make):
    # With a start date, Airflow's own timetable would start the last due time on each of these occasions.
    spec = make("unasked_refused", "2026-01-01")
    spec.unpause()
    for days in ((spec.days[3], spec.days[0]), ("2099-01-01", "2099-01-02")):
        with pytest.raises(AirflowApiError):
            spec.backfill(days)
    spec.settle()
    assert spec.counts() == ({}, 0)


def test_a_trigger_that_names_the_night_never_runs_it_a_second_time(make, due):
    """The way that docs/deployment.md shows: unpausing within `start_within` starts the latest night."""
    night = due.replace(second=0, microsecond=0)
    unpaused, triggered = (
        make(name, "2026-01-01", "start_within: 5h\n") for name in ("unasked_night", "unasked_trigger")
    )
    airflow = unpaused.stack.airflow
    unpaused.unpause()
    wait_until(lambda: unpaused.counts()[0] == {"scheduled": 1}, f"the run of {night}", 120)
    with pytest.raises(AirflowApiError, match="409"):
        airflow.trigger(unpaused.name, logical_date=night)

    airflow.wait_for_new_dag(triggered.name, OF_SAME_FILE)
    airflow.trigger(triggered.name, logical_date=night)
    triggered.unpause()
    for spec, run_type in ((unpaused, "scheduled"), (triggered, "manual")):
        (run,) = airflow.runs(spec.name)
        assert datetime.fromisoformat(run["logical_date"]) == night
        assert airflow.wait_for_run(spec.name, run["dag_run_id"])["state"] == "success"
        settle([spec], ({run_type: 1}, 1), "the night was run twice")


def test_a_night_that_waits_for_the_run_before_starts_when_that_ends(make, due):
    """The run before ends hours after the time of the next one: later than `start_within`, and not late."""
    spec = make("unasked_waits", "2026-01-01", "max_active_runs: 1\n")
    stack, night = spec.stack, due.replace(second=0, microsecond=0)
    spec.unpause()
    spec.settle()
    stack.emulator.add_scenario(
        Scenario(
            match=Match(labels={"airflow_dag": spec.name}),
            timeline=[Step(state="RUNNING", seconds=None)],
            mix={},
            times=1,
        )
    )
    before = night - timedelta(days=1)
    run = stack.airflow.trigger(spec.name, logical_date=before)
    (job,) = stack.emulator.wait_for_jobs(
        Match(labels={"airflow_dag": spec.name}), state="RUNNING", timeout_seconds=180
    )
    spec.sql(
        "UPDATE dag_run SET run_type = 'scheduled', created_at = :before, queued_at = :before,"
        " start_date = :before, run_after = :before, data_interval_start = :before,"
        " data_interval_end = :before WHERE dag_id = :name",
        before=before,
    )
    spec.wait_for_parses()
    assert spec.next_run() == night, "it is late although it waits"
    assert spec.counts() == ({"scheduled": 1}, 1)

    stack.emulator.release_job(job.id)
    assert stack.airflow.wait_for_run(spec.name, run["dag_run_id"])["state"] == "success"
    wait_until(lambda: spec.counts()[0] == {"scheduled": 2}, f"the run of {night}", 120)
    (waited,) = (each for each in stack.airflow.runs(spec.name) if each["dag_run_id"] != run["dag_run_id"])
    assert datetime.fromisoformat(waited["logical_date"]) == night
    assert stack.airflow.wait_for_run(spec.name, waited["dag_run_id"])["state"] == "success"
    spec.settle()
    assert spec.counts() == ({"scheduled": 2}, 2)


class TestAfterAnOutage:
    """The scheduler finds a due time in the database that was stored before it went away."""

    @pytest.fixture
    def spec(self, make) -> Iterator[Unasked]:
        spec = make("unasked_outage", "2026-01-01")
        spec.unpause()
        spec.settle()
        yield spec
        spec.stack.airflow.pause(spec.name)

    def test_a_run_that_is_hours_late_is_skipped_and_reported(self, spec, due):
        stack, late = spec.stack, due.replace(second=0, microsecond=0)
        with stack.without("dag-processor"):
            with stack.without("scheduler"):
                spec.sql(
                    "UPDATE dag SET next_dagrun = :late, next_dagrun_create_after = :late,"
                    " next_dagrun_data_interval_start = :late, next_dagrun_data_interval_end = :late"
                    " WHERE dag_id = :name",
                    late=late,
                )
                assert spec.next_run() == late
            wait_until(lambda: spec.next_run() > datetime.now(UTC), "the scheduler to skip it", 120)
            log = stack.log("scheduler").read_text()
        assert f"The run that was due at {late:%Y-%m-%d %H:%M} UTC was not started" in log
        assert "airflow backfill create --dag-id unasked_outage" in log
        spec.settle()
        assert spec.counts() == ({}, 0)
