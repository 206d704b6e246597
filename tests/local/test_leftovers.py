import os
import signal
import subprocess
import sys
import time
import uuid

import psutil
import pytest

from local.leftovers import MARK_VARIABLE, Watchdog, marked, sweep

# Forks, leaves its session, group and parent, and takes another title: what Airflow's tasks do, and more.
RUNAWAY = """
import os, sys, time, setproctitle
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        setproctitle.setproctitle("something else altogether " * 20)
        print(os.getpid(), flush=True)
        os.close(1)
        time.sleep(60)
os._exit(0)
"""
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"


@pytest.fixture
def mark():
    name = uuid.uuid4().hex
    yield name
    for process in marked(name):
        process.kill()


def run_away(mark, before=""):
    environment = {**os.environ, MARK_VARIABLE: mark, "SPT_NOENV": "1"}
    command = [sys.executable, "-c", before + RUNAWAY]
    return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_process_is_found_after_it_has_left_its_parent_its_group_and_its_title(mark):
    pid = run_away(mark)
    assert [process.pid for process in marked(mark)] == [pid]


def test_a_sweep_ends_what_is_left_and_nothing_else(mark):
    pid, other = run_away(mark), run_away(mark + "-other")
    try:
        assert sweep(mark) == 1
        assert not is_running(pid)
        assert is_running(other)
    finally:
        os.kill(other, signal.SIGKILL)


def test_a_sweep_kills_what_does_not_listen(mark):
    pid = run_away(mark, DEAF)
    sweep(mark, grace_seconds=0.2)
    assert not is_running(pid)


def test_everything_ends_when_the_process_that_started_it_is_killed(mark):
    code = f"import time; from local.leftovers import Watchdog; w = Watchdog({mark!r}); print(flush=True);"
    starter = subprocess.Popen([sys.executable, "-c", code + "time.sleep(60)"], stdout=subprocess.PIPE)
    starter.stdout.readline()
    pid = run_away(mark)
    starter.kill()
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 10
    while is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_closed_watchdog_has_ended_what_was_left(mark):
    watchdog = Watchdog(mark)
    pid = run_away(mark)
    watchdog.close()
    assert not is_running(pid)
