"""What the demo tells its user, also when it ends by an error."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from rich.console import Console

from local.signpost import environment_file, print_addresses, print_after_crash
from local.stack import Stack, StackOptions
from local.stack.paths import REPOSITORY


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
