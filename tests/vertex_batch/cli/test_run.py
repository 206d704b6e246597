"""A spec and a date are one run, however often it is run, and whatever interrupts it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
from datetime import UTC, datetime

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.vertex_batch.cli.conftest import DAY
from vertex_batch.costs import CostTable
from vertex_batch.specs import load_spec
from vertex_batch.specs.rendering import latest_moment
from vertex_batch.ui.words import is_of_command_line

# Each run starts Airflow in a process of its own.
slow = pytest.mark.timeout(900)


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/costs.db"


@pytest.fixture
def go(spec, url, capfd):
    """Run the spec; the pauses are those of a test."""
    from vertex_batch.cli import main

    def go(*arguments: str) -> tuple[int, str, str]:
        words = ["run", str(spec), "--date", DAY, "--url", url, "--poll", "0.05", *arguments]
        status = main(words)
        return status, *capfd.readouterr()

    return go


def bills(url: str) -> list[str]:
    return [cost.job.job_id for cost in CostTable(url).jobs()]


@slow
def test_the_same_run_is_one_job_with_and_without_its_files_and_again_makes_another(
    go, vertex, url, tmp_path
):
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER, times=1))
    status, out, err = go("--json")
    (job,) = vertex.admin.jobs()
    (shown,) = json.loads(out)["jobs"]
    assert status == 0, err
    assert (shown["job_id"], shown["succeeded"], shown["rows"]["ok"], shown["complete"]) == (
        job.id,
        True,
        3,
        True,
    )
    assert job.labels["team"] == "search"
    (cost,) = CostTable(url).jobs()
    assert (cost.job.job_id, cost.job.spec, cost.total.text) == (job.id, "nightly", shown["amount_usd"])
    assert is_of_command_line(cost.job)  # the pages show it as such, without a link to a run

    state = tmp_path / "state"
    assert (state / "nightly").stat().st_mode & 0o777 == 0o700
    key = vertex.direct.api_key.encode()
    assert not [path for path in state.rglob("*") if path.is_file() and key in path.read_bytes()]

    shutil.rmtree(state)
    status, _, err = go()
    assert (status, len(vertex.admin.jobs()), bills(url)) == (0, 1, [job.id]), err

    status, _, err = go("--again")
    assert (status, len(vertex.admin.jobs())) == (0, 2), err
    assert sorted(bills(url)) == sorted(each.id for each in vertex.admin.jobs())


@slow
def test_failures_give_status_1_and_submit_nothing_that_depends_on_them(go, vertex, spec, url):
    vertex.admin.clear_scenarios()
    vertex.admin.add_scenario(Scenario(end="FAILED", error_code=3, error_message="Bad rows."))
    vertex.gcs.put("gs://demo-bucket/cli/broken.jsonl", b"no\n")
    spec.write_text(
        spec.read_text().replace("model: gemini-3.8-flash\n", "")
        + "jobs:\n  first: {model: gemini-2.5-pro}\n"
        "  refused: {model: gemini-3.8-flash, inputs: gs://demo-bucket/cli/broken.jsonl}\n"
        "  second: {model: gemini-3.8-flash, after: [first]}\n"
    )
    status, out, err = go("--json")
    (job,) = vertex.admin.jobs()
    shown = {each["job"]: each for each in json.loads(out)["jobs"]}
    assert status == 1
    assert job.request["model"].endswith("gemini-2.5-pro")
    assert bills(url) == [job.id]
    assert "nothing was spent" in err
    assert "Bad rows." in err
    assert "--again" in err
    assert (shown["first"]["state"], shown["first"]["succeeded"]) == ("FAILED", False)
    assert (shown["second"]["job_id"], shown["refused"]["job_id"]) == (None, None)


@slow
def test_a_spec_in_a_folder_of_the_specs_has_the_limits_of_its_team(
    vertex, spec, url, tmp_path, monkeypatch, capfd
):
    from vertex_batch.cli import main

    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", str(tmp_path / "dags"))
    nested = tmp_path / "include" / "jobs" / "search" / spec.name
    nested.parent.mkdir(parents=True)
    spec.rename(nested)
    (tmp_path / "include" / "budgets.yaml").write_text("teams: {search: {per_run: {refuse: 0}}}\n")
    status = main(["run", str(nested), "--date", DAY, "--url", url, "--poll", "0.05"])
    assert (status, vertex.admin.jobs()) == (1, [])
    assert "The budget refuses the job of nightly.submit" in capfd.readouterr().err


def interrupt_once_it_runs(vertex) -> threading.Thread:
    def wait_and_interrupt() -> None:
        vertex.admin.wait_for_jobs(state="PENDING", timeout_seconds=600)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


@slow
@pytest.mark.parametrize(("choice", "state"), [("ask", "CANCELLED"), ("leave", "PENDING")])
def test_an_interrupt_cancels_or_leaves_the_job(go, vertex, url, choice, state):
    vertex.admin.clear_scenarios()
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    thread = interrupt_once_it_runs(vertex)
    status, _, err = go("--on-interrupt", choice)
    thread.join()
    assert status == 130, err
    assert [job.state for job in vertex.admin.jobs()] == [state]
    assert len(bills(url)) == (state == "CANCELLED")
    assert ("keeps running and is billed" in err) == (choice == "leave")


def test_two_processes_never_run_the_same_spec_at_once(go, vertex, tmp_path):
    folder = tmp_path / "state" / "nightly"
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, _, err = go("--again")
    assert status == 1
    assert "Another process" in err
    assert vertex.admin.jobs() == []


def test_a_run_of_the_future_is_refused(run, vertex, spec, url):
    status, _, err = run("run", spec, "--date", "2999-01-01", "--url", url)
    assert status == 1
    assert "in the future" in err


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ('"30 2 * * *"', datetime(2026, 11, 20, 2, 30, tzinfo=UTC)),
        ('"30 22 * * *"', datetime(2026, 11, 19, 22, 30, tzinfo=UTC)),
        ("null", datetime(2026, 11, 20, tzinfo=UTC)),
    ],
)
def test_the_latest_run_of_a_schedule_has_come(spec, schedule, expected):
    spec.write_text(spec.read_text().replace('"30 2 * * *"', schedule))
    now = datetime(2026, 11, 20, 10, 15, 3, tzinfo=UTC)
    assert latest_moment(load_spec(spec), now) == expected
