"""List, show and cancel jobs."""

from __future__ import annotations

import json

import pytest

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tests.builders import a_request
from tests.vertex_batch.cli.conftest import DAY
from vertex_batch.vertex.labels import MANAGED_BY, MANAGED_BY_LABEL, SPEC_LABEL

HELD = Scenario(timeline=[Step(state="PENDING", seconds=None)])


@pytest.fixture
def job(vertex):
    """A job that another program submitted, and that waits."""
    vertex.admin.clear_scenarios()
    return vertex.submit(timeline=[Step(state="PENDING", seconds=None)])


@pytest.fixture
def ended_job(vertex):
    """Run a job of the spec to its end, and return its id."""

    def run_a_job() -> str:
        labels = {MANAGED_BY_LABEL: MANAGED_BY, SPEC_LABEL: "nightly"}
        job_id = vertex.create(a_request(f"gs://demo-bucket/cli/{DAY}.jsonl", labels=labels))
        count = len(vertex.admin.jobs())
        vertex.admin.wait_for_jobs(state="SUCCEEDED", count=count, timeout_seconds=60)
        return job_id

    return run_a_job


def test_only_our_own_jobs_are_listed_unless_all_are_asked_for(run, vertex, job):
    status, out, _ = run("jobs", "list", "--json")
    assert (status, json.loads(out)["jobs"]) == (0, [])
    status, out, _ = run("jobs", "list", "--all", "--json")
    assert [each["job_id"] for each in json.loads(out)["jobs"]] == [job.job_id]


def test_a_list_may_be_narrowed_by_state_and_spec_and_says_if_there_are_more(run, vertex, ended_job):
    ended_job()
    ended_job()
    found = {}
    for arguments in (
        ["--state", "succeeded"],
        ["--state", "failed"],
        ["--spec", "nightly"],
        ["--spec", "other"],
    ):
        _, out, _ = run("jobs", "list", *arguments, "--json")
        found[arguments[1]] = len(json.loads(out)["jobs"])
    assert found == {"succeeded": 2, "failed": 0, "nightly": 2, "other": 0}
    _, out, err = run("jobs", "list", "--limit", "1")
    assert "SUCCEEDED" in out
    assert "There are more than 1" in err


def test_a_name_that_another_program_gave_its_job_does_not_control_the_terminal(run, vertex):
    job_id = vertex.create(a_request(display_name="a\x1b[2J\x1b]0;b\x07c\x9bd"))
    for command in (["list", "--all"], ["list", "--all", "--json"], ["show", job_id]):
        status, out, _ = run("jobs", *command)
        assert status == 0
        assert {char for char in out if not char.isprintable()} == {"\n"}
    assert "a[2J]0;bcd" in run("jobs", "list", "--all")[1]


@pytest.mark.parametrize(
    "form",
    [
        "{id}",
        "demo-project/us-central1/{id}",
        "projects/100/locations/us-central1/batchPredictionJobs/{id}",
        "https://console.cloud.google.com/vertex-ai/locations/us-central1/batch-predictions/{id}?project=demo-project",
    ],
)
def test_a_job_is_shown_by_any_of_its_names(run, vertex, job, form):
    status, out, _ = run("jobs", "show", form.format(id=job.job_id), "--json")
    shown = json.loads(out)
    assert (status, shown["job_id"], shown["state"]) == (0, job.job_id, "PENDING")
    assert shown["inputs"] == {"uris": ["gs://demo-bucket/in.jsonl"]}
    assert run("jobs", "show", job.job_id)[0] == 0


def test_what_names_no_job_is_told(run, vertex):
    assert run("jobs", "show", "a/b")[0] == 1
    status, _, err = run("jobs", "show", "123")
    assert status == 1
    assert "123" in err


@pytest.mark.parametrize(
    "form", ["{0}/us-central1/{1}", "projects/{0}/locations/us-central1/batchPredictionJobs/{1}"]
)
def test_the_project_in_a_name_counts_and_is_not_replaced_by_the_connections(run, vertex, job, form):
    status, _, err = run("jobs", "cancel", form.format("another-project", job.job_id), "--yes")
    assert status == 1
    assert f"another-project/us-central1/{job.job_id}" in err
    assert [each.cancel_calls for each in vertex.admin.jobs()] == [[]]


def test_a_name_that_contradicts_an_option_is_refused_with_both(run, vertex, job):
    name = f"demo-project/us-central1/{job.job_id}"
    status, _, err = run("jobs", "cancel", name, "--yes", "--project", "another-project")
    assert status == 1
    assert "'another-project'" in err
    assert "'demo-project'" in err
    assert [each.cancel_calls for each in vertex.admin.jobs()] == [[]]


def test_a_cancel_asks_or_is_told_yes(run, vertex, job):
    status, _, err = run("jobs", "cancel", job.job_id)
    assert status == 1
    assert "--yes" in err
    assert [each.state for each in vertex.admin.jobs()] == ["PENDING"]

    status, out, err = run("jobs", "cancel", job.job_id, "--yes", "--json")
    assert status == 0
    assert json.loads(out)["jobs"][0]["state"] == "CANCELLED"
    assert "ended as CANCELLED\n" in err


def test_a_cancel_that_fails_says_how_the_other_jobs_ended(run, vertex, job):
    other = vertex.submit(timeline=[Step(state="PENDING", seconds=None)])
    vertex.admin.add_fault(Fault(op=Operation.CANCEL, kind=FaultKind.STATUS, status=403))
    status, _, err = run("jobs", "cancel", job.job_id, other.job_id, "--yes")
    assert status == 1
    assert job.job_id in err
    assert f"Job demo-project/us-central1/{other.job_id} ended as CANCELLED." in err


def test_a_cancel_of_a_job_that_is_not_found_fails_and_cancels_the_others(run, job):
    """Else a mistyped id looks like a cancelled job, which in fact runs on."""
    status, out, err = run("jobs", "cancel", "99999", job.job_id, "--yes", "--json")
    assert status == 1
    assert "Job demo-project/us-central1/99999 was not found, so nothing was cancelled." in err
    assert [each["state"] for each in json.loads(out)["jobs"]] == ["CANCELLED"]


def test_a_cancel_of_a_job_that_has_ended_says_that_nothing_was_cancelled(run, ended_job):
    status, _, err = run("jobs", "cancel", ended_job(), "--yes")
    assert status == 0
    assert "ended as SUCCEEDED before it could be cancelled; nothing was cancelled" in err


@pytest.mark.parametrize("limit", ["0", "1.5", "many"])
def test_a_list_has_at_least_one_job(run, limit):
    status, _, err = run("jobs", "list", "--limit", limit)
    assert status == 2
    assert "is not a whole number of 1 or more" in err
