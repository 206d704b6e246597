"""Choose TCP ports on the loopback interface."""

from __future__ import annotations

import os
import random
import socket

LOOPBACK = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections, so that none of those can
# take a port between the moment it is chosen and the moment its server binds it.
RANGE = range(20_000, 32_000)
# Processes that choose at the same time, such as two workers of one test run, begin in parts of their own: a
# port is free until its server binds it, seconds later.
PART = 100


def is_free(port: int) -> bool:
    """Whether a server could bind the port on the loopback interface now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class Ports:
    """Hand out ports, none twice.

    :param usual: role -> the port that people expect there; taken when it is free.
    """

    def __init__(self, usual: dict[str, int] | None = None) -> None:
        self._usual = usual or {}
        self._given: set[int] = set()

    def choose(self, role: str) -> int:
        """Return the role's usual port if it is free, else any free one."""
        candidates = [self._usual[role]] if role in self._usual else []
        start = os.getpid() * PART % len(RANGE)
        candidates += random.sample(RANGE[start : start + PART], PART)
        candidates += random.sample(RANGE, 200)
        for port in candidates:
            if port not in self._given and is_free(port):
                self._given.add(port)
                return port
        raise OSError(f"no free port for the {role} among {len(candidates)} tried on {LOOPBACK}")
