"""How Airflow's processes of a night are set up: plugins, temporary files, and where tasks are measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local.stack.paths import REPOSITORY

LISTENER = Path(__file__).with_name("task_listener.py")
# `task_listener.FILE_VARIABLE`; that module needs Airflow, and is imported by Airflow alone.
FILE_VARIABLE = "VERTEX_BATCH_NIGHT_TASKS"


def settings(home: Path, tasks: Path) -> Mapping[str, str]:
    """Make a plugins folder with the project's own plugins and the listener, and return what leads there.

    :param tasks: the file to which each task process appends a line.
    """
    plugins = home / "plugins"
    plugins.mkdir()
    for file in (*(REPOSITORY / "plugins").glob("*.py"), LISTENER):
        (plugins / file.name).symlink_to(file)
    return {"AIRFLOW__CORE__PLUGINS_FOLDER": str(plugins), FILE_VARIABLE: str(tasks)}


@contextmanager
def temporary_files_in(folder: Path) -> Iterator[None]:
    """Have the processes that are started meanwhile put their temporary files there."""
    before = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before
