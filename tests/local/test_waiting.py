"""No wait goes on when a process that should make it end has ended."""

import io
import os
import signal

import httpx
import psutil
import pytest
from rich.console import Console

from local.demo import wait_for_interrupt
from local.emulator.admin import Operation
from local.progress import Run, Watch, follow
from local.stack import Stack, StackError, StackOptions
from local.stack.airflow_api import AirflowApi
from local.waiting import check_processes, wait_until

FAR_AWAY = 250
QUIET = Console(file=io.StringIO())


@pytest.fixture
def stack(tmp_path):
    roles = frozenset({"object store", "emulator"})
    with Stack(StackOptions(home=tmp_path, roles=roles)) as running:
        yield running


def crash(stack, role="object store"):
    """End a process behind the stack's back."""
    process = psutil.Process(stack.pid(role))
    os.kill(process.pid, signal.SIGKILL)
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, "the end of the process", 10)


class RunningForEver:
    def task_instances(self, dag_id, run_id):
        return [{"task_id": "wait", "state": "deferred"}]

    def run(self, dag_id, run_id):
        return {"state": "running"}


class NoJobs:
    def list(self, project, location):
        return iter(())


WAITS = {
    "a condition": lambda stack: wait_until(lambda: False, "what never comes", FAR_AWAY),
    "a job": lambda stack: stack.emulator.wait_for_jobs(timeout_seconds=FAR_AWAY),
    "a call": lambda stack: stack.emulator.wait_for_calls(Operation.CREATE, timeout_seconds=FAR_AWAY),
    "a held call": lambda stack: stack.emulator.wait_for_held(timeout_seconds=FAR_AWAY),
    "the demo's runs": lambda stack: follow(
        Watch(RunningForEver(), NoJobs(), [Run("nightly", "run-1", rows=1)]), QUIET, FAR_AWAY
    ),
    "the end of the demo": lambda stack: wait_for_interrupt(QUIET, stack.options.home / "objects"),
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_a_wait_ends_when_a_process_has_ended_and_quotes_its_log(stack, wait):
    stack.log("object store").write_text("the disk is full\n")
    crash(stack)
    with pytest.raises(StackError, match=r"(?s)object store ended unexpectedly.*status -9.*the disk is full"):
        wait(stack)


def test_a_call_that_finds_no_server_names_the_process_that_has_ended(stack):
    crash(stack)
    nowhere = AirflowApi("http://127.0.0.1:9", "admin", "admin")
    with pytest.raises(StackError, match="object store ended unexpectedly"):
        nowhere.dag_ids()
    nowhere.close()


def test_a_call_to_the_emulator_after_it_has_ended_says_so(stack):
    crash(stack, "emulator")
    with pytest.raises(StackError, match="emulator ended unexpectedly"):
        stack.emulator.jobs()


def test_a_process_that_is_killed_on_purpose_is_no_fault(stack):
    stack.kill("object store")
    check_processes()
    with pytest.raises(TimeoutError, match=r"waited 0 s for nothing; it is late"):
        wait_until(lambda: False, "nothing", 0.1, lambda: "it is late", poll_seconds=0.01)
    with pytest.raises(httpx.TransportError):
        stack.gcs.list("gs://bucket/")


def test_a_process_that_was_started_again_is_no_fault(stack):
    crash(stack)
    stack.restart("object store")
    check_processes()


def test_a_stack_that_has_ended_is_asked_no_more(tmp_path):
    with Stack(StackOptions(home=tmp_path, roles=frozenset({"object store"}))) as stack:
        crash(stack)
    check_processes()
    assert wait_until(lambda: "an answer", "an answer", 1) == "an answer"
