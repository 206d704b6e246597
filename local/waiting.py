"""Wait for something to happen, and stop at once when a process that should make it happen has ended.

Each running stack adds its check here. So every wait of a test or of the demo asks all of them, also one that
knows of no stack.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

LOST_CONNECTION_SECONDS = 2.0
T = TypeVar("T")
Check = Callable[[], None]
_checks: list[Check] = []


def add_check(check: Check) -> None:
    """Let all waits call this; it raises when waiting any longer is pointless."""
    _checks.append(check)


def remove_check(check: Check) -> None:
    """Forget a check. Harmless when it was not added."""
    if check in _checks:
        _checks.remove(check)


def check_processes() -> None:
    """Raise what a check raises: StackError, where a process of a stack has ended unexpectedly."""
    for check in tuple(_checks):
        check()


def check_lost_connection() -> None:
    """Raise like `check_processes`, for a caller that has just lost a connection.

    A server's connections close shortly before its process is seen to have ended.
    """
    deadline = time.monotonic() + LOST_CONNECTION_SECONDS
    while _checks and time.monotonic() < deadline:
        check_processes()
        time.sleep(0.05)


def wait_until(
    attempt: Callable[[], T | None],
    what: str,
    timeout_seconds: float,
    explain: Callable[[], str] = lambda: "",
    poll_seconds: float = 0.5,
) -> T:
    """Return the first truthy result.

    :param what: what is waited for; part of the message.
    :param explain: describes the state of things when the time is up.
    :raises TimeoutError: no result came in time.
    :raises StackError: a process of a running stack has ended unexpectedly.
    """
    deadline = time.monotonic() + timeout_seconds
    while True:
        if result := attempt():
            return result
        check_processes()
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds:.0f} s for {what}; {explain()}")
        time.sleep(poll_seconds)
