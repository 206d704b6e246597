"""Counts failed polls in a row, for a sensor that runs each poll in a new process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

_KEY = "failed_polls"


class FailureTally:
    """Keeps the count in the task's state store for one try. A retry starts again at zero."""

    def __init__(self) -> None:
        self._kept = 0

    def restore(self, context: Context) -> int:
        """Return the count of the earlier processes of this try."""
        kept: Any = _store(context).get(_KEY)
        is_ours = isinstance(kept, dict) and kept.get("try_number") == context["ti"].try_number
        self._kept = int(kept["failures"]) if is_ours else 0
        return self._kept

    def keep(self, context: Context, failures: int) -> None:
        """Store the count if it has changed."""
        if failures != self._kept:
            _store(context).set(_KEY, {"try_number": context["ti"].try_number, "failures": failures})
            self._kept = failures


def _store(context: Context) -> Any:
    return context["task_state_store"]
