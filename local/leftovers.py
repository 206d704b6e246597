"""Leave nothing running: end all that a stack has started, however it was forked, orphaned or renamed.

Each process of a stack inherits a mark in its environment. A process may leave its parent, its process group
and its session, as Airflow's task processes do; it cannot leave its environment.

Run as ``python -m local.leftovers MARK`` with a pipe as standard input, this is a watchdog: when the pipe
closes, which it also does when its writer is killed, whatever still carries the mark is ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

MARK_VARIABLE = "VERTEX_BATCH_STACK"


def marked(mark: str) -> list[psutil.Process]:
    """List the living processes of this user that carry the mark, this one excepted."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK_VARIABLE) == mark:
                found.append(process)
        except (psutil.Error, OSError):  # gone meanwhile, a zombie, or another user's
            continue
    return found


def sweep(mark: str, *, grace_seconds: float = 5.0) -> int:
    """End what carries the mark: SIGTERM, then SIGKILL. Return how many processes there were."""
    processes = marked(mark)
    count = len(processes)
    _signal(processes, signal.SIGTERM)
    psutil.wait_procs(processes, timeout=grace_seconds)
    while rest := marked(mark):  # again, because a process may have forked while it was being ended
        _signal(rest, signal.SIGKILL)
        psutil.wait_procs(rest, timeout=1)
    return count


class Watchdog:
    """A process that outlives this one by as long as it takes to end what carries the mark."""

    def __init__(self, mark: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local.leftovers", mark],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal is not for it
        )

    def close(self) -> None:
        """Let it look a last time, and wait for it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _signal(processes: list[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _watch(mark: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    sweep(mark)


if __name__ == "__main__":
    _watch(sys.argv[1])
