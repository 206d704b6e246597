"""What a killed task does about its job, in a worker.

Airflow 3.3 calls ``on_kill`` in the signal handler of SIGTERM. It sends that signal because a person ended
the task, because the worker shuts down, or because heartbeats failed. Only Airflow can tell these apart, so
the code queries the task's state. The handler may interrupt the main thread while it holds the supervisor's
lock, so another thread does the work. After the handler the task continues until SIGKILL five seconds later,
or to its end if the worker shuts down.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowTaskTimeout

from vertex_batch.errors import VertexBatchError
from vertex_batch.lifecycle.ownership import Killed, cancels_when_killed, is_superseded
from vertex_batch.log import Log

if TYPE_CHECKING:
    from airflow.sdk import Context

# In the handler: long enough for two successful calls, short enough to leave time for the interrupted code.
_HANDLER_SECONDS = 1.5
_TIMEOUT_SECONDS = 60.0


class TaskKilledError(VertexBatchError):
    """The task was killed before it submitted anything."""


class KillSwitch:
    """Carries out `ownership.cancels_when_killed` for one running task.

    :param cancel: cancels the task's job; its argument is the reason.
    :param retry_resumes: after ``execution_timeout``, a remaining try resumes the job.
    """

    def __init__(
        self, context: Context, cancel: Callable[[str], None], log: Log, *, retry_resumes: bool = False
    ) -> None:
        self._ti = context["ti"]
        self._cancel = cancel
        self._log = log
        self._next_try_resumes = retry_resumes and self._ti.try_number <= self._ti.max_tries
        self._work: threading.Thread | None = None
        self.cancelled = False
        self._superseded = False

    def kill(self) -> None:
        """Call this from ``on_kill``."""
        timed_out = isinstance(sys.exc_info()[1], AirflowTaskTimeout)
        why = Killed.TIMEOUT if timed_out else Killed.SIGNAL
        self._work = threading.Thread(target=self._decide, args=(why,), name="on_kill")
        self._work.start()
        self._work.join(_TIMEOUT_SECONDS if timed_out else _HANDLER_SECONDS)

    def check(self) -> None:
        """Raise if the task was killed; do nothing if Airflow asked it to stop but left it running.

        :raises TaskKilledError: the task was killed, or a later try has replaced it. It must not submit
            anything more.
        """
        if self._work:
            self._work.join(_TIMEOUT_SECONDS)
        if self.cancelled or self._superseded:
            raise TaskKilledError("The task was killed. It submits nothing more.")

    def _decide(self, why: Killed) -> None:
        state = self._task_state() if why is Killed.SIGNAL else None
        if state == "success":
            self._superseded = is_superseded(why, state, has_result=self._has_result())
        if self._superseded:
            self._log.info("A later try of this task has succeeded; leaving the job to it")
            return
        if not cancels_when_killed(why, state, next_try_resumes=self._next_try_resumes):
            self._log.info("Received SIGTERM while the task is %s; leaving the job for the next try", state)
            return
        self.cancelled = True
        self._cancel("its task timed out" if why is Killed.TIMEOUT else f"its task was set to {state}")

    def _has_result(self) -> bool:
        """Whether a try of this task has returned; if Airflow does not say, True: the job is left alone."""
        try:
            return self._ti.xcom_pull(self._ti.task_id, map_indexes=self._ti.map_index) is not None
        except Exception as error:  # noqa: BLE001 - whatever it is, Airflow did not say
            self._log.warning("Could not read the task's result from Airflow: %s", error)
            return True

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
            self._log.warning("Could not read the task's state from Airflow: %s", error)
            return None
        # A mapped task's key carries its map index, so the only entry is taken whatever its name.
        return str(next(iter((states.get(ti.run_id) or {}).values()), "removed"))
