"""What a command has submitted, kept in files, so that the same command finds its job again."""

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
    """``$VERTEX_BATCH_STATE``, else the usual folder for what programs remember."""
    if configured := os.environ.get(STATE_VARIABLE):
        return Path(configured)
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "vertex-batch"


def deployment() -> str:
    """Who submits, so that two people who share a project never take each other's jobs for their own."""
    configured = os.environ.get(DEPLOYMENT_VARIABLE)
    return configured or f"command line of {getpass.getuser()} on {socket.gethostname()}"


class FileIntentStore:
    """The intent of one job in a file, written so that a crash leaves the old or the new one, never a part.

    :param key: names the job; letters and digits.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.path = folder / f"{key}.json"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from submitting the same job meanwhile.

        :raises ConfigurationError: one is doing so, or the folder cannot be written.
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
                    "Another process is running this very job at this moment. Nothing was submitted; wait for"
                    " it, or stop it first."
                ) from error
            yield

    def load(self) -> Intent | None:
        """Read what an earlier process has left.

        :raises ConfigurationError: the file is damaged: a job may exist that nobody would find again.
        """
        try:
            data = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise self._unusable(error) from error
        intent = Intent.from_dict(data)
        if intent is None:
            raise self._unusable(ValueError("it holds something else"))
        return intent

    def save(self, intent: Intent) -> None:
        """Write it, and see it on the disk: what comes next may cost money."""
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
            f"What is submitted cannot be kept in {self.path}: {error}. Nothing was submitted. Mend or"
            f" remove the file, or name another folder with {STATE_VARIABLE}; a job that was submitted before"
            " is still found by its labels."
        )
