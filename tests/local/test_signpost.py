"""What the demo tells its user, also when it ends by an error."""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from local.signpost import environment_file, print_addresses, print_after_crash, print_next
from local.stack import Stack, StackOptions
from local.stack.paths import REPOSITORY
from vertex_batch.costs import CostTable, Delivery


@pytest.fixture
def console():
    return Console(file=io.StringIO(), width=110)


def test_a_file_that_is_not_there_yet_is_said_to_come(tmp_path, console):
    stack = Stack(StackOptions(home=tmp_path))
    print_addresses(stack, console)
    assert "the file is there once all parts are ready" in console.file.getvalue()
    environment_file(stack).touch()
    console.file.truncate(0)
    print_addresses(stack, console)
    assert "once all parts are ready" not in console.file.getvalue()


def test_the_address_of_the_emulator_is_printed_with_its_variable(tmp_path, console):
    stack = Stack(StackOptions(home=tmp_path))
    print_addresses(stack, console)
    assert f"emulated at {stack.emulator_url}, which is $VERTEX_EMULATOR_URL" in console.file.getvalue()


def test_the_next_steps_name_delivered_files_and_read_the_rows_without_an_answer(tmp_path, console):
    stack = Stack(StackOptions(home=tmp_path))
    print_next(stack, console)
    assert "vertex-batch get" not in console.file.getvalue()
    for name, exceptions in (("few", 1), ("many", 2)):
        write_delivery(tmp_path, name, exceptions, CostTable(stack.cost_table_url))
    print_next(stack, console)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]
    assert f"vertex-batch get {tmp_path}/many.parquet ." in lines
    assert f"vertex-batch get {tmp_path}/many.exceptions.parquet ." in lines
    (command,) = (line for line in lines if line.startswith("python -c "))
    script = shlex.split(command)[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Request contains an invalid argument." in done.stdout


def write_delivery(folder: Path, name: str, exceptions: int, table: CostTable) -> None:
    """The numbers of a delivery, and its file of the rows without an answer."""
    row = {"key": "T-1", "reason": "failed", "message": "Request contains an invalid argument."}
    pd.DataFrame([row] * exceptions).to_parquet(folder / f"{name}.exceptions.parquet")
    uris = {
        f"{kind}_uri": f"{folder}/{name}{ending}"
        for kind, ending in (
            ("answers", ".parquet"),
            ("exceptions", ".exceptions.parquet"),
            ("manifest", ".parquet._SUCCESS.json"),
        )
    }
    numbers: dict[str, Any] = {"input_rows": 9, "delivered": 9 - exceptions, "exceptions": exceptions}
    delivery = Delivery(
        **numbers,
        **uris,
        dag_id=name,
        run_id="run",
        task_id="deliver",
        reasons={"failed": exceptions},
        usd="0",
        is_complete=True,
        delivered_at=datetime(2026, 11, 28, tzinfo=UTC),
        spec=name,
    )
    table.record_delivery(delivery, files_changed=True)


def test_after_a_crash_the_next_step_is_named(tmp_path, console):
    print_after_crash(tmp_path, console)
    text = console.file.getvalue()
    assert "has been stopped" in text
    assert f"{tmp_path.name}/logs" in text
    assert "`make demo` starts again" in text


def test_a_demo_that_ends_by_a_bug_shows_it_and_the_next_step(tmp_path):
    command = [
        sys.executable,
        "-m",
        "local.demo",
        "--once",
        "--folder",
        str(tmp_path / "no" / "such" / "folder"),
    ]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "FileNotFoundError" in done.stdout
    assert "`make demo` starts again" in done.stdout
