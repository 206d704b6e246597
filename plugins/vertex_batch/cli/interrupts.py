"""Ctrl-C and SIGTERM, held back while a job is being created: its answer must not be lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SLICE_SECONDS = 0.5


class Interrupts:
    """Turns both signals into `KeyboardInterrupt`, at once or at the next safe moment.

    :param sleep: waits; replaced in tests.
    """

    def __init__(self, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep
        self._held = False
        self._noted = False

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Take the signals over; outside the main thread there are none to take."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before: dict[int, Any] = {number: signal.signal(number, self._caught) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held_back(self) -> Iterator[None]:
        """Only note the first signal; the second one comes through. `check` and `sleep` are safe moments."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Let a signal through that was held back."""
        if self._noted:
            self._noted = False
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep until a signal comes."""
        until = time.monotonic() + seconds
        while True:
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return
            self._sleep(min(left, _SLICE_SECONDS))

    def _caught(self, _number: int, _frame: FrameType | None) -> None:
        if self._held and not self._noted:
            self._noted = True
            return
        self._noted = False
        raise KeyboardInterrupt
