"""What a process of Airflow has imported before it forks for tasks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

IMAGE = Path(__file__).resolve().parents[2] / "deploy" / "image" / "config"
# The roots of what takes a task most of its time, and the DAG file's own import.
WANTED = ("gcsfs", "airflow.providers.google.cloud.hooks.gcs", "vertex_batch.operators", "vertex_batch.dags")
PRINTS = f"import sys, airflow_local_settings; print([name for name in {WANTED!r} if name in sys.modules])"


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["celery", "worker"], WANTED),
        (["scheduler"], WANTED),
        (["dag-processor"], WANTED),
        (["api-server"], ()),
        (["triggerer"], ()),
        (["tasks", "run"], ()),
    ],
)
def test_only_processes_that_fork_import_what_tasks_need(arguments, imported, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PRINTS, *arguments],
        env={
            **os.environ,
            "PYTHONPATH": f"{IMAGE}{os.pathsep}{IMAGE.parents[2] / 'plugins'}",
            "AIRFLOW_HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [str(list(imported))], done.stderr
