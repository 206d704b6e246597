"""`vertex-batch run` as a process of its own, through the real proxy, without Airflow's scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from local.emulator.admin import Match, Scenario, Step

SPEC = """\
model: gemini-3.8-flash
inputs: gs://demo-bucket/command_line/{{ run_date }}.jsonl
output: gs://demo-bucket/command_line-out/{{ run_date }}/
project: demo-project
location: us-central1
poll_interval: 1s
"""
pytestmark = pytest.mark.proxy_only
OURS = Match(input_uri="gs://demo-bucket/command_line/2026-11-20.jsonl")


@pytest.fixture
def start(stack, tmp_path):
    """Start the command; the key is in its environment alone."""
    path = tmp_path / "command_line.yaml"
    path.write_text(SPEC)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "LITELLM_PROXY_URL": stack.proxy_url,
        "LITELLM_PROXY_API_KEY": stack.master_key,
        "STORAGE_EMULATOR_HOST": stack.storage_url,
        "VERTEX_BATCH_STATE": str(tmp_path / "state"),
    }

    def start(command: str, *arguments: str) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "vertex_batch.cli", command, str(path), *arguments, "--json"]
        pipe = subprocess.PIPE
        return subprocess.Popen(words, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    return start


def test_a_run_is_billed_to_the_cent_and_a_second_one_finds_its_job(stack, nights, start, tmp_path):
    nights.put_input("command_line", "2026-11-20")
    url = f"sqlite:///{tmp_path}/costs.db"
    amounts = []
    for _ in range(2):
        process = start("run", "--date", "2026-11-20", "--url", url)
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert stack.master_key not in out + err
        (shown,) = json.loads(out)["jobs"]
        amounts.append(shown["amount_usd"])
    (job,) = stack.emulator.jobs(OURS)
    assert shown["job_id"] == job.id
    assert "was started before" in err
    assert amounts == [f"{nights.sum_by_hand(job).normalize():f}"] * 2


def test_a_plan_asks_the_real_proxy_for_model_and_prices(nights, start):
    nights.put_input("command_line", "2026-11-19")
    out, err = start("plan", "--date", "2026-11-19").communicate(timeout=240)
    (job,) = json.loads(out)["jobs"]
    assert job["findings"] == [], err
    assert job["rows"] == 12
    assert job["estimate"]["complete"]


def test_ctrl_c_cancels_the_job_and_bills_it(stack, nights, start, tmp_path):
    stack.emulator.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    nights.put_input("command_line", "2026-11-18")
    process = start("run", "--date", "2026-11-18", "--url", f"sqlite:///{tmp_path}/costs.db")
    match = Match(input_uri="gs://demo-bucket/command_line/2026-11-18.jsonl")
    (job,) = stack.emulator.wait_for_jobs(match, state="PENDING", timeout_seconds=180)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 130, err
    (shown,) = json.loads(out)["jobs"]
    assert (shown["job_id"], shown["state"], shown["amount_usd"]) == (job.id, "CANCELLED", "0")
    assert stack.emulator.jobs(match)[0].state == "CANCELLED"
