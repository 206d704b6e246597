"""How many polls in a row have failed, for a sensor whose every poll is another process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow.sdk import Context

_KEY = "failed_polls"


class FailureTally:
    """Keeps the number in the task's state store, for one try: a retry begins anew."""

    def __init__(self) -> None:
        self._kept = 0

    def restore(self, context: Context) -> int:
        """What the processes before this one have counted."""
        kept: Any = _store(context).get(_KEY)
        is_ours = isinstance(kept, dict) and kept.get("try_number") == context["ti"].try_number
        self._kept = int(kept["failures"]) if is_ours else 0
        return self._kept

    def keep(self, context: Context, failures: int) -> None:
        """Write the number down, where it has changed."""
        if failures != self._kept:
            _store(context).set(_KEY, {"try_number": context["ti"].try_number, "failures": failures})
            self._kept = failures


def _store(context: Context) -> Any:
    return context["task_state_store"]
