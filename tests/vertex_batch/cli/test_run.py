"""One request is one job, however often it is run, and whatever interrupts it."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.vertex_batch.cli.conftest import DAY, ROW
from vertex_batch.costs import CostTable


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/costs.db"


@pytest.fixture
def go(run, spec, url):
    """Run the spec; the paces are those of a test."""

    def go(*arguments: str) -> tuple[int, str, str]:
        return run("run", spec, "--date", DAY, "--url", url, "--poll", "0.05", *arguments)

    return go


def bills(url: str) -> list[str]:
    return [cost.job.job_id for cost in CostTable(url).jobs()]


def test_a_run_submits_waits_and_bills(go, vertex, url):
    status, out, _ = go("--json")

    (job,) = vertex.admin.jobs()
    (shown,) = json.loads(out)["jobs"]
    assert status == 0
    assert shown["job_id"] == job.id
    assert (shown["succeeded"], shown["rows"]["ok"], shown["complete"]) == (True, 3, True)
    assert job.labels["team"] == "search"
    assert bills(url) == [job.id]
    (cost,) = CostTable(url).jobs()
    assert (cost.job.spec, cost.job.run_type, cost.total.text) == (
        "nightly",
        "command line",
        shown["amount_usd"],
    )


def test_the_same_request_is_one_job_and_again_makes_another(go, vertex, url):
    go()
    status, _, err = go()
    assert (status, len(vertex.admin.jobs())) == (0, 1)
    assert "was submitted before" in err
    assert "--again" in err

    status, _, _ = go("--again")
    assert (status, len(vertex.admin.jobs())) == (0, 2)
    assert sorted(bills(url)) == sorted(job.id for job in vertex.admin.jobs())


def test_a_job_is_found_by_its_labels_where_the_files_are_lost(go, vertex, tmp_path):
    go()
    for path in (tmp_path / "state").iterdir():
        path.unlink()
    status, _, _ = go()
    assert (status, len(vertex.admin.jobs())) == (0, 1)


def test_a_create_whose_answer_is_lost_is_found_and_not_sent_again(go, vertex):
    vertex.admin.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER, times=1))
    status, _, _ = go()
    assert (status, len(vertex.admin.jobs())) == (0, 1)


def test_another_date_is_another_job(go, run, vertex, spec, url):
    go()
    vertex.gcs.put("gs://demo-bucket/cli/2026-11-21.jsonl", ROW)
    run("run", spec, "--date", "2026-11-21", "--url", url, "--poll", "0.05")
    assert len(vertex.admin.jobs()) == 2


def test_rows_that_would_fail_the_job_are_refused_before_it(go, vertex, tmp_path):
    vertex.gcs.put(f"gs://demo-bucket/cli/{DAY}.jsonl", b"no\n")
    status, _, err = go()
    assert status == 1
    assert "nothing was spent" in err
    assert vertex.admin.jobs() == []
    assert not list((tmp_path / "state").glob("*.json"))


def test_a_job_that_fails_is_billed_and_gives_status_1(go, vertex, url):
    vertex.admin.clear_scenarios()
    vertex.admin.add_scenario(Scenario(end="FAILED", error_code=13, error_message="System error."))
    status, _, err = go()
    assert status == 1
    assert "ended as failed: System error." in err
    assert len(bills(url)) == 1


def interrupt_once_it_runs(vertex) -> threading.Thread:
    def wait_and_interrupt() -> None:
        vertex.admin.wait_for_jobs(state="PENDING", timeout_seconds=60)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait_and_interrupt)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("choice", "state"), [("cancel", "CANCELLED"), ("leave", "PENDING"), ("ask", "CANCELLED")]
)
def test_an_interrupt_cancels_or_leaves_the_job(go, vertex, url, choice, state):
    vertex.admin.clear_scenarios()
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    thread = interrupt_once_it_runs(vertex)
    status, _, err = go("--on-interrupt", choice)
    thread.join()
    assert status == 130
    assert [job.state for job in vertex.admin.jobs()] == [state]
    assert len(bills(url)) == (state == "CANCELLED")
    assert ("keeps running and is billed" in err) == (choice == "leave")


def test_two_processes_never_run_the_same_job_at_once(go, vertex, tmp_path):
    import fcntl

    go()
    (lock,) = (tmp_path / "state").glob("*.lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        status, _, err = go("--again")
    assert status == 1
    assert "Another process" in err
    assert len(vertex.admin.jobs()) == 1


def test_a_damaged_file_is_no_reason_to_pay_again(go, vertex, tmp_path):
    go()
    (kept,) = (tmp_path / "state").glob("*.json")
    kept.write_text("{")
    status, _, err = go()
    assert status == 1
    assert str(kept) in err
    assert len(vertex.admin.jobs()) == 1


def test_what_is_kept_is_for_its_owner_alone_and_holds_no_key(go, vertex, tmp_path):
    go()
    (kept,) = (tmp_path / "state").glob("*.json")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert vertex.direct.api_key not in kept.read_text()


def test_jobs_that_wait_for_others_run_after_them(go, vertex, spec, url):
    spec.write_text(
        spec.read_text().replace("model: gemini-2.5-flash\n", "")
        + "jobs:\n  second: {model: gemini-2.5-flash, after: [first]}\n  first: {model: gemini-2.5-pro}\n"
    )
    status, out, _ = go("--json")
    assert status == 0
    assert [job.request["model"].rsplit("/")[-1] for job in vertex.admin.jobs()] == [
        "gemini-2.5-pro",
        "gemini-2.5-flash",
    ]
    assert [job["job"] for job in json.loads(out)["jobs"]] == ["second", "first"]
    assert len(bills(url)) == 2


def test_a_job_is_not_submitted_after_one_that_failed(go, vertex, spec):
    vertex.admin.clear_scenarios()
    vertex.admin.add_scenario(Scenario(timeline=[Step(state="FAILED", seconds=None)]))
    spec.write_text(
        spec.read_text().replace("model: gemini-2.5-flash\n", "")
        + "jobs:\n  first: {model: gemini-2.5-pro}\n  second: {model: gemini-2.5-flash, after: [first]}\n"
    )
    status, _, err = go()
    assert status == 1
    assert len(vertex.admin.jobs()) == 1
    assert "Job second was not submitted" in err
