"""What Airflow's task log and the standard library's loggers have in common, and how much may be written."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """What Airflow's task log and the standard library's have in common."""

    def debug(self, msg: str, /, *args: Any) -> object: ...

    def info(self, msg: str, /, *args: Any) -> Any: ...

    def warning(self, msg: str, /, *args: Any) -> object: ...

    def error(self, msg: str, /, *args: Any) -> Any: ...


class LineBudget:
    """Limits how many log lines many tasks of one process write together.

    :param at_once: how many may be written in one moment.
    :param per_second: how many on average.
    """

    def __init__(self, at_once: int, per_second: float) -> None:
        self._at_once, self._per_second = at_once, per_second
        self._left, self._at = float(at_once), 0.0

    def allows(self, now: float) -> bool:
        """Whether one more line may be written.

        :param now: seconds of a monotonic clock.
        """
        earned = (now - self._at) * self._per_second
        self._left, self._at = min(self._left + earned, self._at_once), now
        if self._left < 1:
            return False
        self._left -= 1
        return True
