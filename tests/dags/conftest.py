from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

DAGS = Path(__file__).resolve().parents[2] / "dags"
GOOD = """
model: gemini-2.5-flash
inputs: gs://bucket/in/{{ run_date }}.jsonl
output: gs://bucket/out/
"""


@pytest.fixture
def specs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Point the DAG files to a folder of specs of the test's own: stem -> text."""
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))

    def write(**texts: str) -> Path:
        for stem, text in texts.items():
            (tmp_path / f"{stem}.yaml").write_text(dedent(text))
        return tmp_path

    return write


@pytest.fixture
def bag() -> Callable[..., Any]:
    """Read the real DAG files as Airflow does."""
    from airflow.dag_processing.dagbag import DagBag

    def bag(file: str = "") -> Any:
        return DagBag(dag_folder=str(DAGS / file))

    return bag


@pytest.fixture
def good() -> str:
    return GOOD
