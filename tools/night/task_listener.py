"""An Airflow plugin that measures each task process; the night puts a link to it in its plugins folder.

When a task process ends, for any reason but SIGKILL, it appends one line of JSON to the file that
`FILE_VARIABLE` names. It also marks the process's requests to the object store: their path begins with
``/task-PID``, which `tools.night.store_proxy` takes off again.
"""

from __future__ import annotations

import atexit
import json
import os
import resource
import time
from pathlib import Path

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

FILE_VARIABLE = "VERTEX_BATCH_NIGHT_TASKS"
STORE_VARIABLE = "STORAGE_EMULATOR_HOST"
ENDS_ITSELF = "deferred"  # no hook reports this end


class TaskListener:
    """Measures the process from its fork to its exit."""

    def __init__(self) -> None:
        self._started = 0.0
        self._state = ENDS_ITSELF

    @hookimpl
    def on_starting(self, component: object) -> None:
        if "TaskRunner" in type(component).__name__:
            self._started = time.time()
            _forget_peak_memory()

    @hookimpl
    def on_task_instance_running(self, previous_state: object, task_instance: object) -> None:  # noqa: ARG002
        if not self._started:
            return  # not a task process
        os.environ[STORE_VARIABLE] = f"{os.environ[STORE_VARIABLE].rstrip('/')}/task-{os.getpid()}"
        atexit.register(self._write, task_instance)

    @hookimpl
    def on_task_instance_success(self, previous_state: object, task_instance: object) -> None:  # noqa: ARG002
        self._state = "success"

    @hookimpl
    def on_task_instance_failed(self, previous_state: object, task_instance: object, error: object) -> None:  # noqa: ARG002
        self._state = "failed"

    @hookimpl
    def on_task_instance_skipped(self, previous_state: object, task_instance: object) -> None:  # noqa: ARG002
        self._state = "skipped"

    def _write(self, task_instance: object) -> None:
        own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        line = {
            **{name: getattr(task_instance, name) for name in ("dag_id", "run_id", "task_id", "map_index")},
            "pid": os.getpid(),
            "state": self._state,
            "seconds": time.time() - self._started,
            "cpu_seconds": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime,
            "peak_bytes": max(_peak_memory() or own.ru_maxrss * 1024, children.ru_maxrss * 1024),
        }
        file = os.open(os.environ[FILE_VARIABLE], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{json.dumps(line)}\n".encode())
        finally:
            os.close(file)


def _forget_peak_memory() -> None:
    """Count the peak from now on: a fork begins with that of its parent."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed
        return


def _peak_memory() -> int | None:
    """The high-water mark of the resident memory in bytes; None where the system does not say."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    return next(
        (int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), None
    )


class NightPlugin(AirflowPlugin):
    """What Airflow finds in this file."""

    name = "vertex_batch_night"
    listeners = [TaskListener()]  # noqa: RUF012 - Airflow's own class declares it for instances
