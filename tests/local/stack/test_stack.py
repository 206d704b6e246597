import os
import signal
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from local.leftovers import marked
from local.stack import Stack, StackError, StackOptions

SMALL = frozenset({"object store", "emulator"})


def test_what_a_stack_has_started_ends_with_it(tmp_path):
    with Stack(StackOptions(home=tmp_path, roles=SMALL)) as stack:
        assert len(marked(stack.mark)) == 2
        assert httpx.get(f"{stack.emulator_url}/_admin/settings").is_success
    assert marked(stack.mark) == []


def test_one_process_can_be_killed_and_started_again(tmp_path):
    with Stack(StackOptions(home=tmp_path, roles=SMALL)) as stack:
        old = stack.pid("emulator")
        with stack.without("emulator"):
            assert stack.pid("emulator") is None
            assert stack.pid("object store") is not None
        assert stack.pid("emulator") not in (None, old)


def test_a_part_that_does_not_come_up_takes_the_others_with_it(tmp_path):
    (tmp_path / "objects").write_text("a file where the object store wants a folder")
    stack = Stack(StackOptions(home=tmp_path, roles=frozenset({"emulator"}), emulator_speed=0))
    with pytest.raises((StackError, FileExistsError)), stack:
        pass
    assert marked(stack.mark) == []


def test_nothing_is_left_when_the_process_that_owns_the_stack_is_killed(tmp_path):
    code = (
        "import pathlib, sys, time; from local.stack import Stack, StackOptions;"
        "stack = Stack(StackOptions(home=pathlib.Path(sys.argv[1]), roles=frozenset({'object store'})));"
        "stack.start(); print(stack.mark, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    mark = owner.stdout.readline().strip()
    assert len(marked(mark)) == 1
    owner.kill()
    owner.wait()
    owner.stdout.close()
    wait_for_the_end_of(lambda: marked(mark))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_while_it_starts_leaves_nothing(tmp_path, number):
    command = [sys.executable, "-m", "local.demo", "--folder", str(tmp_path / "demo")]
    demo = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in demo.stdout:
        if "object store is ready" in line:
            break
    demo.send_signal(number)
    assert demo.wait(120) == 128 + number  # each server has 20 s of grace
    demo.stdout.close()
    wait_for_the_end_of(lambda: processes_that_know(tmp_path))


def processes_that_know(folder):
    """List the processes that were told of the folder, in their command or their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            known = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in text for text in known):
            found.append(process)
    return found


def wait_for_the_end_of(processes):
    deadline = time.monotonic() + 15
    while left := processes():
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
