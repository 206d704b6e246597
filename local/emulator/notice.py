"""The emulator's one condition variable: something has changed, look again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Notice:
    """Lets coroutines wait for something to become true, without polling."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def changed(self) -> None:
        """Wake all who wait."""
        self._event.set()
        self._event = asyncio.Event()

    async def until(self, look: Callable[[], T | None], timeout_seconds: float) -> T | None:
        """What ``look`` finds, as soon as it finds something; None when the time is up."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while (found := look()) is None:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                return None
            event = self._event
            try:
                async with asyncio.timeout(left):
                    await event.wait()
            except TimeoutError:
                continue
        return found
