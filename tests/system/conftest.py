"""One running stack for all system tests: the real processes, started once."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from local.emulator.admin import LedgerJob, Match, Scenario, Step
from local.stack import Stack, StackOptions
from vertex_batch.costs import Bill, CostTable, JobFilter
from vertex_batch.vertex.names import JobId

REPOSITORY = Path(__file__).resolve().parents[2]
OWN_STACK = ("test_cluster", "test_demo", "test_night", "test_proxy_database")
JOB_SECONDS = 2
DEPLOYMENT = "tests"
# What Airflow does at intervals, it does soon; files are read again when a test asks for it (`reparse`).
WITHOUT_WAITING = {
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3600",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "3",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}
SECONDS_AT_SPEED_1 = 210
WITHOUT_AIRFLOW = frozenset({"object store", "emulator", "proxy"})
FOR_EVER = Scenario(timeline=[Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=None)], mix={})
ROWS = 12


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.system)
            # The limit is for what hangs: a process that has ended fails the waiting test at once.
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def stack(request, tmp_path_factory) -> Iterator[Stack]:
    """The stack, with copies of the DAGs and the example specs, and the specs of these tests beside them.

    Without Airflow if no test of the session needs it: that saves a minute for each version of the proxy.
    """
    users = [item for item in request.session.items if "stack" in item.fixturenames]
    without_airflow = all(item.get_closest_marker("proxy_only") for item in users)
    home = tmp_path_factory.mktemp("stack")
    shutil.copytree(
        REPOSITORY / "dags", home / "project" / "dags", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copytree(REPOSITORY / "include", home / "project" / "include")
    specs = home / "project" / "include" / "jobs"
    for spec in specs.glob("*.yaml"):
        spec.write_text(re.sub(r"(?m)^poll_interval:.*$", "poll_interval: 1s", spec.read_text()))
    for spec in (Path(__file__).parent / "jobs").glob("*.yaml"):
        shutil.copy(spec, specs)
    for dag in (Path(__file__).parent / "dags").glob("*.py"):
        shutil.copy(dag, home / "project" / "dags")
    options = StackOptions(
        home=home,
        dags=home / "project" / "dags",
        specs=specs,
        emulator_speed=SECONDS_AT_SPEED_1 / JOB_SECONDS,
        roles=WITHOUT_AIRFLOW if without_airflow else frozenset(),
        airflow_settings={
            "AIRFLOW__VERTEX_BATCH__DEPLOYMENT": DEPLOYMENT,
            "AIRFLOW__VERTEX_BATCH__LOOK_SECONDS": "5",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:ADMIN,viewer:VIEWER",
            **WITHOUT_WAITING,
        },
    )
    with Stack(options, print) as running:
        running.gcs.create_bucket("demo-bucket")
        yield running


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Stop the stack after the last test that uses it: until the end of the session it would take time."""
    stack = item.funcargs.get("stack")
    may_follow = (
        nextitem and nextitem.path.parent == Path(__file__).parent and nextitem.path.stem not in OWN_STACK
    )
    if stack and not may_follow:
        stack.stop()


@pytest.fixture(autouse=True)
def _nothing_scripted_is_left(request):
    """Leave the next test an emulator that does as Vertex does. Jobs and calls stay in its ledger.

    A process that has ended fails each test that is left at its start, with the end of the process's log.
    """
    stack = request.getfixturevalue("stack") if "stack" in request.fixturenames else None
    if stack:
        stack.check()
    yield
    if stack:
        stack.emulator.clear_faults()
        stack.emulator.clear_scenarios()
        stack.emulator.release_held()


@dataclass(frozen=True)
class Nights:
    """What the tests ask of runs: their inputs, the jobs that they made, and their bills."""

    stack: Stack

    def put_input(self, spec: str, date: str, rows: int = ROWS) -> None:
        """Put the input of one night where the spec looks for it."""
        lines = [_row(spec, f"{spec} {date} row {number}") for number in range(rows)]
        content = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        folder = f"input/{spec}" if spec.startswith("nightly") else spec
        self.stack.gcs.put(f"gs://demo-bucket/{folder}/{date}.jsonl", content)

    def start(self, spec: str, run_id: str, *, rows: int = ROWS, **fields) -> str:
        """Trigger a run without a logical date, as the API and the command line do; return its date."""
        self.stack.airflow.wait_for_dag(spec)
        self.stack.airflow.unpause(spec)
        run = self.stack.airflow.trigger(spec, dag_run_id=run_id, **fields)
        date = run["run_after"][:10]
        self.put_input(spec, date, rows)
        return date

    def jobs(self, spec: str, run_id: str) -> list[LedgerJob]:
        """The jobs of a run, from the ledger of the emulator."""
        return self.stack.emulator.jobs(Match(labels=_labels(spec, run_id)))

    def wait_for_job(self, spec: str, run_id: str, state: str, **options) -> LedgerJob:
        match = Match(labels=_labels(spec, run_id))
        return self.stack.emulator.wait_for_jobs(match, state=state, timeout_seconds=180, **options)[0]

    def bills(self, spec: str, run_id: str | None = None) -> list[Bill]:
        """The bills in the cost table."""
        table = CostTable(self.stack.cost_table_url)
        jobs = [cost.job for cost in table.jobs(JobFilter(dag_id=spec, run_id=run_id))]
        found = [table.bill(JobId(job.project, job.location, job.job_id)) for job in jobs]
        return [bill for bill in found if bill]

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Execute a statement in Airflow's own database."""
        url = self.stack.site.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            result = connection.execute(sqlalchemy.text(statement), values)
            return list(result) if result.returns_rows else []

    def tasks(self, spec: str, run_id: str) -> dict[str, str]:
        return {task["task_id"]: task["state"] for task in self.stack.airflow.task_instances(spec, run_id)}

    def sum_by_hand(self, job: LedgerJob) -> Decimal:
        """What the output's rows cost, with code that shares nothing with the package."""
        lines = self.stack.gcs.get(f"{job.output_directory}/predictions.jsonl").splitlines()
        return sum((_price_by_hand(json.loads(line)) for line in lines), Decimal(0))


@pytest.fixture
def nights(stack) -> Nights:
    return Nights(stack)


@pytest.fixture
def waiting(stack, nights):
    """Start a run and bring it to a task that waits for a running job."""

    def start(dag_id: str, run_id: str, state: str = "deferred", jobs: int = 1):
        stack.emulator.add_scenario(FOR_EVER)
        nights.start(dag_id, run_id)
        job = nights.wait_for_job(dag_id, run_id, "RUNNING", count=jobs)
        stack.airflow.wait_for_task(dag_id, run_id, "wait", [state], timeout_seconds=180)
        return job

    return start


def _labels(spec: str, run_id: str) -> dict[str, str]:
    return {"airflow_dag": spec, "airflow_run": re.sub(r"[^a-z0-9_-]", "-", run_id.lower())[:63]}


def _row(spec: str, text: str) -> dict:
    if spec == "nightly_text_embeddings":
        return {"content": text}
    if spec == "nightly_embeddings":
        return {"key": text, "request": {"content": {"parts": [{"text": text}]}}}
    row = {"request": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}
    return {"id": text, **row} if spec == "nightly_summaries" else row


# Batch prices in USD for a million tokens, read from Google's price list by a person.
# Gemini 3.8 Flash costs 10 % more in a region, and twice as much once the introductory price has ended.
FLASH_FACTOR = Decimal("1.1") if datetime.now(UTC).date() < date(2027, 1, 1) else Decimal("2.2")
FLASH_INPUT, FLASH_CACHED, FLASH_OUTPUT = (
    FLASH_FACTOR * Decimal(price) for price in ("0.375", "0.0375", "1.875")
)
GEMINI_EMBEDDING = Decimal("0.12")
TEXT_EMBEDDING = Decimal("0.02")  # for a million characters, without white space


def _price_by_hand(row: dict) -> Decimal:
    if row["status"]:
        return Decimal(0)
    if "predictions" in row:
        return len(re.sub(r"\s", "", row["instance"]["content"])) * TEXT_EMBEDDING / 1_000_000
    response = row["response"]
    if "embedding" in response:
        return int(response["tokenCount"]) * GEMINI_EMBEDDING / 1_000_000
    usage = response["usageMetadata"]
    cached = usage.get("cachedContentTokenCount", 0)
    written = usage.get("candidatesTokenCount", 0) + usage.get("thoughtsTokenCount", 0)
    micro_usd = (
        (usage["promptTokenCount"] - cached) * FLASH_INPUT + cached * FLASH_CACHED + written * FLASH_OUTPUT
    )
    return micro_usd / 1_000_000
