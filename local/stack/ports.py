"""Choose TCP ports on the loopback interface."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import weakref
from pathlib import Path

LOOPBACK = "127.0.0.1"
# Below the range from which systems take the ports of outgoing connections, so that none of those can
# take a port between the moment it is chosen and the moment its server binds it.
RANGE = range(20_000, 32_000)
TRIES = 300


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
    """Hand out ports, none twice among the processes of this user.

    A port is free until its server binds it, seconds later. So each one is claimed, by a locked file, while
    this object lives.

    :param usual: role -> the port that people expect there; taken when it is free.
    """

    def __init__(self, usual: dict[str, int] | None = None) -> None:
        self._usual = usual or {}

    def choose(self, role: str) -> int:
        """Return the role's usual port if it is free, else any free one."""
        candidates = [self._usual[role]] if role in self._usual else []
        candidates += random.sample(RANGE, TRIES)
        for port in candidates:
            if is_free(port) and (claim := _claim(port)) is not None:
                weakref.finalize(self, os.close, claim)
                return port
        raise OSError(f"no free port for the {role} among {len(candidates)} tried on {LOOPBACK}")


def _claim(port: int) -> int | None:
    """Lock the port's file and return its descriptor; None if another holds it."""
    folder = Path(tempfile.gettempdir(), f"vertex-batch-ports-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    claim = os.open(folder / str(port), os.O_CREAT | os.O_WRONLY, mode=0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(claim)
        return None
    return claim
