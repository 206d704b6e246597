"""The one thing that Airflow's task log and the standard library's loggers have in common."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """What Airflow's task log and the standard library's have in common."""

    def info(self, msg: str, /, *args: Any) -> Any: ...

    def warning(self, msg: str, /, *args: Any) -> Any: ...

    def error(self, msg: str, /, *args: Any) -> Any: ...
