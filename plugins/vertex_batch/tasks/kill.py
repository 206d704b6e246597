"""What a killed task does about its job, in a worker.

Airflow 3.3 calls ``on_kill`` in the signal handler of SIGTERM, which it sends because a person ended the
task, because the worker shuts down, or because heartbeats failed. Only Airflow itself can tell these apart,
so it is asked. The handler interrupts the main thread anywhere, also while that talks to the supervisor with
a lock held; so another thread does the work. After the handler the task goes on, until SIGKILL five seconds
later, or to its end if it was the worker that shuts down.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from vertex_batch.errors import VertexBatchError
from vertex_batch.lifecycle.ownership import Killed, cancels_when_killed
from vertex_batch.log import Log

if TYPE_CHECKING:
    from airflow.sdk import Context

# In the handler: long enough for two calls that go well, short enough to leave time for what it interrupted.
_HANDLER_SECONDS = 1.5
_TIMEOUT_SECONDS = 60.0


class TaskKilledError(VertexBatchError):
    """The task was killed before it submitted anything."""


class KillSwitch:
    """Carries out `lifecycle.cancels_when_killed` for one running task.

    :param cancel: cancels the task's job; told why.
    :param retry_goes_on: a try that is left after ``execution_timeout`` goes on with the job.
    """

    def __init__(
        self, context: Context, cancel: Callable[[str], None], log: Log, *, retry_goes_on: bool = False
    ) -> None:
        self._ti: Any = context["ti"]
        self._cancel = cancel
        self._log = log
        self._next_try_goes_on = retry_goes_on and self._ti.try_number <= self._ti.max_tries
        self._work: threading.Thread | None = None
        self.cancelled = False

    def kill(self) -> None:
        """Call this from ``on_kill``."""
        timed_out = isinstance(sys.exc_info()[1], AirflowTaskTimeout)
        why = Killed.TIMEOUT if timed_out else Killed.SIGNAL
        self._work = threading.Thread(target=self._decide, args=(why,), name="on_kill")
        self._work.start()
        self._work.join(_TIMEOUT_SECONDS if timed_out else _HANDLER_SECONDS)

    def check(self) -> None:
        """Stop a task that was killed; one that goes on although it was asked to end is let go on.

        :raises TaskKilledError: it was killed, and nobody will want what it would do.
        """
        if self._work:
            self._work.join(_TIMEOUT_SECONDS)
        if self.cancelled:
            message = "The task was killed. Nothing more is submitted."
            raise TaskKilledError(message)

    def _decide(self, why: Killed) -> None:
        state = self._task_state() if why is Killed.SIGNAL else None
        if not cancels_when_killed(why, state, next_try_goes_on=self._next_try_goes_on):
            self._log.info("Asked to end, but the task is %s: its job is left to the next try", state)
            return
        self.cancelled = True
        self._cancel("its task timed out" if why is Killed.TIMEOUT else f"its task was set to {state}")

    def _task_state(self) -> str | None:
        ti = self._ti
        try:
            states = ti.get_task_states(
                dag_id=ti.dag_id,
                task_ids=[ti.task_id],
                run_ids=[ti.run_id],
                map_index=-1 if ti.map_index is None else ti.map_index,
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, Airflow did not say
            self._log.warning("Airflow did not say what has become of the task: %s", error)
            return None
        # A mapped task's key carries its map index, so the only entry is taken whatever its name.
        return str(next(iter((states.get(ti.run_id) or {}).values()), "removed"))
