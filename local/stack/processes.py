"""Start a server, wait until it is ready, stop it; and say what its log says when it will not start."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import httpx
import psutil

from local.leftovers import MARK_VARIABLE
from local.stack.paths import REPOSITORY

# What a program needs of the caller's environment. Everything else stays outside: a proxy setting, a Google
# credential or an AIRFLOW__ variable of the caller's would quietly change what the stack does.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")
LOG_LINES_SHOWN = 25
POLL_SECONDS = 0.05


def inherited() -> dict[str, str]:
    """What a program gets of the caller's environment."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


class StackError(Exception):
    """A part of the stack did not come up or did not stay up.

    :param role: which process.
    :param problem: what it did.
    :param log: where it wrote; its last lines become part of the message.
    """

    def __init__(self, role: str, problem: str, log: Path) -> None:
        super().__init__(role, problem, log)
        self.role = role
        self.problem = problem
        self.log = log

    def __str__(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        tail = "\n".join(f"    {line}" for line in lines[-LOG_LINES_SHOWN:]) or "    (it wrote nothing)"
        return f"The {self.role} {self.problem}. The end of {self.log}:\n{tail}"


class UserOptions(TypedDict, total=False):
    """What `subprocess` takes to run a program as another user."""

    user: str
    group: str
    extra_groups: list[str]


@dataclass(frozen=True)
class RunAs:
    """As which user to run a server; as this one unless anything is given.

    :param user: with `group`: a user of the system to change to.
    :param prefix: words before the command, of a program that changes the user.
    :param owner: who owns the server's files, where `prefix` changes to a user of the system.
    """

    user: str = ""
    group: str = ""
    prefix: tuple[str, ...] = ()
    owner: str = ""

    def options(self) -> UserOptions:
        return {"user": self.user, "group": self.group, "extra_groups": []} if self.user else {}

    def own(self, folder: Path) -> None:
        """Give that user the folder and all that is in it."""
        if user := self.user or self.owner:
            for path in (folder, *folder.rglob("*")):
                shutil.chown(path, user)


NOT_ROOT = RunAs("nobody", "nogroup")


@dataclass(frozen=True)
class Service:
    """How to run one server.

    :param is_ready: called again and again after the start, with the time of the start.
    :param stop_signal: what ends it in an orderly way.
    :param folder: its working directory; made if it is missing.
    """

    role: str
    command: Sequence[str | Path]
    is_ready: Callable[[datetime], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_within_seconds: float = 120.0
    run_as: RunAs = field(default_factory=RunAs)
    stop_signal: signal.Signals = signal.SIGTERM
    folder: Path = REPOSITORY


class ManagedProcess:
    """One server in a session of its own, logging to a file."""

    def __init__(self, service: Service, log: Path, mark: str) -> None:
        self.service = service
        self.log = log
        self._mark = mark
        self._process: subprocess.Popen[bytes] | None = None
        self._should_run = False
        self._started_at = datetime.now(UTC)

    @property
    def role(self) -> str:
        return self.service.role

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def check(self) -> None:
        """Raise StackError when the server has ended although nothing here has ended it."""
        status = self._process.poll() if self._process and self._should_run else None
        if status is not None:
            raise StackError(self.role, f"ended unexpectedly, with status {status}", self.log)

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # SPT_NOENV keeps setproctitle from writing a title over the environment that carries the mark.
        ours = {MARK_VARIABLE: self._mark, "SPT_NOENV": "1", "PYTHONUNBUFFERED": "1"}
        self._started_at = datetime.now(UTC)
        self.service.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in (*self.service.run_as.prefix, *self.service.command)],
                cwd=self.service.folder,
                env={**inherited(), **ours, **self.service.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self.service.run_as.options(),
            )
        self._should_run = True

    def wait_until_ready(self, given_up: threading.Event | None = None) -> float:
        """Return after how many seconds it was ready; raise StackError when it ends or is too slow."""
        started = time.monotonic()
        given_up = given_up or threading.Event()
        while not given_up.wait(POLL_SECONDS):
            status = self._process.poll() if self._process else None
            if status is not None:
                raise StackError(self.role, f"ended with status {status} before it was ready", self.log)
            if self.service.is_ready(self._started_at):
                break
            if time.monotonic() - started > self.service.ready_within_seconds:
                limit = self.service.ready_within_seconds
                raise StackError(self.role, f"was not ready within {limit:.0f} s", self.log)
        return time.monotonic() - started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to all that it forked, also into other process groups."""
        for process in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def family(self) -> list[psutil.Process]:
        """The server, before its children and their children."""
        try:
            server = psutil.Process(self.pid) if self.pid else None
            return [server, *server.children(recursive=True)] if server else []
        except psutil.NoSuchProcess:
            return []

    def stop(self, grace_seconds: float = 20.0) -> None:
        """End it in an orderly way, or with SIGKILL when that takes longer than the grace."""
        self._should_run = False
        if self._process is None:
            return
        # To the server alone: one that manages children ends them in its own order.
        self._process.send_signal(self.service.stop_signal)
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a crash of the machine would."""
        self._should_run = False
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()


def answers(url: str) -> Callable[[datetime], bool]:
    """Make a check of readiness: the URL answers, and well."""

    def is_ready(_: datetime) -> bool:
        try:
            return httpx.get(url, timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    return is_ready
