import os
import sys
import threading
import time

import pytest

from local.stack.processes import ManagedProcess, Service, StackError, answers

SLEEPER = "import time; time.sleep(60)"
STUBBORN = (
    "import pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
)


@pytest.fixture
def process(tmp_path):
    """Make processes that run a line of Python, and end them all."""
    made = []

    def make(code, *arguments, is_ready=lambda _: True, **options):
        command = [sys.executable, "-c", code, *map(str, arguments)]
        made.append(
            ManagedProcess(Service("helper", command, is_ready, **options), tmp_path / "helper.log", "mark")
        )
        return made[-1]

    yield make
    for each in made:
        each.kill()


def test_a_process_is_waited_for_until_it_is_ready(process, tmp_path):
    sign = tmp_path / "ready"
    helper = process(
        "import pathlib, sys, time; time.sleep(0.3); pathlib.Path(sys.argv[1]).touch(); time.sleep(60)",
        sign,
        is_ready=lambda _: sign.exists(),
    )
    helper.start()
    assert helper.wait_until_ready() >= 0.2
    assert helper.pid is not None


def test_a_process_that_ends_before_it_is_ready_is_reported_with_the_end_of_its_log(process):
    helper = process("import sys; print('no such bucket'); sys.exit(3)", is_ready=lambda _: False)
    helper.start()
    with pytest.raises(
        StackError, match=r"(?s)helper ended with status 3 before it was ready.*no such bucket"
    ):
        helper.wait_until_ready()


def test_a_process_that_is_too_slow_is_reported_with_where_its_log_is(process, tmp_path):
    helper = process(SLEEPER, is_ready=lambda _: False, ready_within_seconds=0.2)
    helper.start()
    with pytest.raises(StackError, match=r"was not ready within 0 s.*helper\.log") as raised:
        helper.wait_until_ready()
    assert raised.value.log == tmp_path / "helper.log"


def test_waiting_ends_when_somebody_else_has_given_up(process):
    helper = process(SLEEPER, is_ready=lambda _: False)
    helper.start()
    given_up = threading.Event()
    given_up.set()
    helper.wait_until_ready(given_up)


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace(process, tmp_path):
    sign = tmp_path / "deaf"
    helper = process(STUBBORN, sign, is_ready=lambda _: sign.exists())
    helper.start()
    helper.wait_until_ready()
    began = time.monotonic()
    helper.stop(grace_seconds=0.3)
    assert helper.pid is None
    assert 0.3 <= time.monotonic() - began < 5


def test_a_process_can_be_started_again_after_it_was_killed(process):
    helper = process(SLEEPER)
    helper.start()
    first = helper.pid
    helper.kill()
    helper.start()
    assert helper.pid not in (None, first)


def test_killing_a_process_kills_what_it_forked_also_in_a_session_of_its_own(process, tmp_path):
    sign = tmp_path / "forked"
    forks = (
        "import os, pathlib, sys, time; child = os.fork();"
        "child or os.setsid(); child or pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    )
    helper = process(forks, sign, is_ready=lambda _: sign.exists())
    helper.start()
    helper.wait_until_ready()
    server, child = helper.family()
    assert os.getpgid(server.pid) != os.getpgid(child.pid)
    helper.kill()
    child.wait(10)


def test_stopping_what_never_ran_does_nothing(process):
    process(SLEEPER).stop()


def test_nothing_of_the_callers_environment_reaches_a_process_but_what_it_needs(
    process, monkeypatch, tmp_path
):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid")
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    helper = process("import os; print(sorted(os.environ))", environment={"OURS": "1"})
    helper.start()
    helper._process.wait()
    seen = (tmp_path / "helper.log").read_text()
    assert "HTTPS_PROXY" not in seen
    assert "AIRFLOW" not in seen
    assert "'OURS'" in seen
    assert ("PATH" in os.environ) == ("'PATH'" in seen)


def test_nobody_at_home_is_not_an_answer():
    assert not answers("http://127.0.0.1:9/")(None)
