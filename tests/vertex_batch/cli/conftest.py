from __future__ import annotations

import pytest

from local.emulator.admin import Scenario, Step
from tests.builders import input_rows

ROW = input_rows("Hello")
SPEC = """\
model: gemini-3.8-flash
inputs: gs://demo-bucket/cli/{{ run_date }}.jsonl
output: gs://demo-bucket/cli-out/{{ run_date }}/
schedule: "30 2 * * *"
project: demo-project
location: us-central1
team: search
poll_interval: 1s
"""
DAY = "2026-11-20"


@pytest.fixture
def spec(tmp_path):
    path = tmp_path / "jobs" / "nightly.yaml"
    path.parent.mkdir()
    path.write_text(SPEC)
    return path


@pytest.fixture
def vertex(connections, tmp_path, monkeypatch):
    """The emulated Vertex, reached by Airflow's connections; jobs end within a moment."""
    connections.admin.set_settings(speed=1000)
    connections.admin.add_scenario(
        Scenario(timeline=[Step(state="PENDING", seconds=1), Step(state="RUNNING", seconds=1)])
    )
    connections.gcs.put(f"gs://demo-bucket/cli/{DAY}.jsonl", ROW * 3)
    monkeypatch.setenv("VERTEX_BATCH_STATE", str(tmp_path / "state"))
    yield connections
    connections.admin.set_settings(speed=1)
