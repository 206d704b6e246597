"""The file that the demo writes for a shell: `airflow` and `vertex-batch` there work on the running stack."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from local.signpost import write_environment

SPEC, DATES = "system_shell", ["2026-11-03", "2026-11-04"]


@pytest.fixture
def shell(stack, tmp_path):
    """Run a command in a shell that has sourced the file and knows nothing else of the stack."""
    file = write_environment(stack)
    plain = {
        "PATH": os.defpath,
        "HOME": str(tmp_path),
        "HTTPS_PROXY": "http://proxy.invalid:1",
        "HTTP_PROXY": "http://proxy.invalid:1",
        "AIRFLOW__CORE__EXECUTOR": "SequentialExecutor",
    }

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-euc", f"source '{file}'; {command}"],
            env=plain,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def test_the_address_of_the_emulator_is_in_the_file(stack, shell):
    assert shell('echo "$VERTEX_EMULATOR_URL"') == f"{stack.emulator_url}\n"
    assert "`make demo`" in shell('echo "$VERTEX_BATCH_UNREACHABLE_HINT"')


def test_only_its_owner_may_read_the_file(stack):
    assert write_environment(stack).stat().st_mode & 0o777 == 0o600


def test_a_backfill_from_the_command_line_makes_its_runs_and_their_bills(stack, nights, shell):
    for date in DATES:
        nights.put_input(SPEC, date)
    stack.airflow.wait_for_dag(SPEC)
    stack.airflow.unpause(SPEC)
    shell(f"airflow backfill create --dag-id {SPEC} --from-date {DATES[0]} --to-date {DATES[-1]}T23:00")
    runs = stack.airflow.wait_for_backfill(SPEC, expected=2)
    assert {run["state"] for run in runs} == {"success"}
    bills = nights.bills(SPEC)
    assert [(str(bill.day), bill.job.run_type) for bill in reversed(bills)] == [
        (date, "backfill") for date in DATES
    ]
    listed = shell("vertex-batch jobs list")
    assert all(bill.job.job_id in listed for bill in bills)
    assert SPEC in shell("vertex-batch cost --by spec")


def test_an_input_is_put_from_any_folder(stack, shell):
    uri = "gs://demo-bucket/put/by_hand.jsonl"
    shell(f"echo row | python -m local.docker.put {uri}")
    assert stack.gcs.get(uri) == b"row\n"


def test_the_doctor_finds_the_stack_healthy(stack, shell):
    found = {each["check"]: each for each in json.loads(shell("vertex-batch doctor --json"))["checks"]}
    assert [each for each in found.values() if each["status"] in ("failed", "not checked")] == []
    assert found["triggerer"]["found"].startswith("1 triggerer is alive")
    assert found["storage"]["found"].startswith("Wrote, read and deleted gs://")
