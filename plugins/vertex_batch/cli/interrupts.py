"""Ctrl-C and SIGTERM, delayed while a job is being created so that the response is not lost."""

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
        """Handle the signals. Outside the main thread, do nothing."""
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
        """Delay the first signal to the next `check` or `sleep`. A second signal raises at once."""
        self._held = True
        try:
            yield
        finally:
            self._held = False

    def check(self) -> None:
        """Raise if a signal was delayed."""
        if self._noted:
            self._noted = False
            raise KeyboardInterrupt

    def sleep(self, seconds: float) -> None:
        """Sleep, or raise when a signal arrives."""
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
