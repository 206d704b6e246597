"""Stores what a command submitted in files, so that the same command finds its job again."""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vertex_batch.errors import ConfigurationError
from vertex_batch.lifecycle.identity import Intent

STATE_VARIABLE = "VERTEX_BATCH_STATE"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
DEPLOYMENT_VARIABLE = "VERTEX_BATCH_DEPLOYMENT"


def state_folder() -> Path:
    """``$VERTEX_BATCH_STATE``, else the XDG state folder."""
    if configured := os.environ.get(STATE_VARIABLE):
        return Path(configured)
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "vertex-batch"


def deployment() -> str:
    """Name the user and the machine, so that two people in one project never adopt each other's jobs."""
    configured = os.environ.get(DEPLOYMENT_VARIABLE)
    return configured or f"command line of {getpass.getuser()} on {socket.gethostname()}"


class FileIntentStore:
    """The intent of one job in a file. A crash leaves the old or the new intent, never a partial one.

    :param key: identifies the job; letters and digits.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Prevent other processes from submitting the same job at the same time.

        :raises ConfigurationError: another process is doing so, or the folder is not writable.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = self.path.with_suffix(".lock").open("w")
        except OSError as error:
            raise self._unusable(error) from error
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigurationError(
                    "Another process is running this job. Nothing was submitted; wait for it to end, or stop"
                    " it first."
                ) from error
            yield

    def load(self) -> Intent | None:
        """Read the intent of an earlier process.

        :raises ConfigurationError: the file is damaged, so a job of that process might not be found again.
        """
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        intent = Intent.from_dict(data)
        if intent is None:
            raise self._unusable(ValueError("it does not contain an intent"))
        return intent

    def save(self, intent: Intent) -> None:
        """Write the intent and flush it to disk, because the next step may cost money."""
        new = self.path.with_suffix(".new")
        try:
            with os.fdopen(os.open(new, _NEW_FILE, 0o600), "w", encoding="utf-8") as stream:
                json.dump(intent.to_dict(), stream)
                stream.flush()
                os.fsync(stream.fileno())
            new.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> ConfigurationError:
        return ConfigurationError(
            f"Cannot save submission state to {self.path}: {error}. Nothing was submitted. Repair or delete"
            f" the file, or set {STATE_VARIABLE} to another folder. A job that was submitted before is still"
            " found by its labels."
        )
