"""``vertex-batch run``: runs a spec's DAG once, without Airflow's scheduler, with ``dag.test()``."""

from __future__ import annotations

import argparse
import fcntl
import getpass
import json
import os
import signal
import socket
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING

from vertex_batch.cli import arguments
from vertex_batch.cli import plan as plans
from vertex_batch.cli.access import Access
from vertex_batch.cli.main import INTERRUPTED
from vertex_batch.cli.output import ask, say
from vertex_batch.errors import ConfigurationError
from vertex_batch.specs import Spec, load_spec
from vertex_batch.specs.load import FOLDER_VARIABLE, root_of
from vertex_batch.specs.model import JobSpec
from vertex_batch.specs.rendering import latest_moment

if TYPE_CHECKING:
    from types import FrameType

INTERRUPT = signal.SIGUSR1
"""What the process that runs the DAG gets instead of the user's signals, whose handlers Airflow replaces."""
STATE_VARIABLE, DEPLOYMENT_VARIABLE = "VERTEX_BATCH_STATE", "VERTEX_BATCH_DEPLOYMENT"
_POLL_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PROXY = "vertex_batch_run"
_DAG_FILE = "import __main__\n\ndag = __main__.dag  # Airflow looks for DAGs in this file\n"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to run. Keys are not part of it: they are in the connections of the environment.

    :param moment: the run's logical time, ISO 8601.
    :param jobs: only these jobs of the spec; empty: all.
    :param again: submit new jobs if an earlier run of the same moment has ended.
    :param poll_seconds: replaces the spec's `poll_interval`; None: a short pause, because a person waits.
    :param changes: field of a job -> value that replaces the spec's.
    :param defaults: field of a job -> value for a spec that has none.
    """

    spec: str
    moment: str
    jobs: list[str]
    again: bool
    as_json: bool
    poll_seconds: float | None
    changes: dict[str, str]
    defaults: dict[str, str]

    def job(self, job: JobSpec) -> JobSpec:
        """Apply the command's options to a job of the spec."""
        defaults = {name: getattr(job, name) or value for name, value in self.defaults.items()}
        pause = timedelta(seconds=self.poll_seconds or min(_POLL_SECONDS, job.poll_interval.total_seconds()))
        return job.model_copy(update={**defaults, "poll_interval": pause, **self.changes})


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Run a spec's DAG once, for a date, with the same tasks as in Airflow, and print the"
        " bills. A spec and a date are one run, however often the command is used: a second run resumes the"
        " first one's jobs. Without --date, it is the latest run of the spec's schedule, or today's."
        " Exit status 1 if a task failed, 130 if the command was interrupted."
    )
    plans.add_spec_options(command, "the latest run of the spec's schedule, or today")
    command.add_argument(
        "--again",
        action="store_true",
        help="submit new jobs even if this run was made before (a run that has not ended is resumed instead)",
    )
    command.add_argument(
        "--on-interrupt",
        choices=["ask", "cancel", "leave"],
        default="ask",
        help="what to do with running jobs on Ctrl-C or SIGTERM (default: ask, or cancel without a terminal)",
    )
    command.add_argument(
        "--poll",
        type=_seconds,
        metavar="SECONDS",
        help=f"pause between polls (default: {_POLL_SECONDS:g}, or the spec's if it is shorter)",
    )
    arguments.add_json(command)
    arguments.add_table(command, apart=True)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the DAG in a process of its own, with a private metadata database."""
    if find_spec("airflow") is None:
        raise ModuleNotFoundError(name="airflow")
    spec = load_spec(options.spec)
    request = _request(options, spec)
    with _held(state_folder() / spec.name) as lock:
        folder = Path(lock.name).resolve().parent
        environment = {**os.environ, **_airflow_settings(folder), **_connections(options, spec)}
        # Its DAGs folder is another one, and what specs share is found from the specs folder.
        environment[FOLDER_VARIABLE] = str(root_of(Path(request.spec)))
        command = [sys.executable, "-m", "vertex_batch.cli.dag_run", json.dumps(asdict(request))]
        return _Process(command, environment, lock, options.on_interrupt).wait()


@dataclass(slots=True)
class _Process:
    """The process that runs the DAG. The signals of a terminal reach only this one, which decides.

    :param lock: stays locked while the process runs, even if this one is killed.
    """

    command: list[str]
    environment: dict[str, str]
    lock: IO[str]
    on_interrupt: str
    interrupted: bool = False
    child: subprocess.Popen[bytes] | None = None

    def wait(self) -> int:
        """Start it and wait for its end. Return the command's exit status."""
        before = {number: signal.signal(number, self._interrupt) for number in _SIGNALS}
        try:
            self.child = subprocess.Popen(  # noqa: S603 - this program
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                process_group=0,
                pass_fds=[self.lock.fileno()],
            )
            if self.interrupted:
                self.child.kill()
            status = self.child.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return INTERRUPTED if self.interrupted else status

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        again, self.interrupted = self.interrupted, True
        if self.child is None:
            return
        if again or not self._shall_cancel():
            self.child.kill()
            say("A job that was submitted keeps running and is billed; rerun this command to resume it.")
        else:
            say("Interrupted: cancelling the running jobs and recording their bills.")
            self.child.send_signal(INTERRUPT)

    def _shall_cancel(self) -> bool:
        if self.on_interrupt != "ask" or not sys.stdin.isatty():
            return self.on_interrupt != "leave"
        return not ask("Cancel the running jobs? Finished rows are billed. [Y/n] ").startswith("n")


def state_folder() -> Path:
    """``$VERTEX_BATCH_STATE``, else the XDG state folder."""
    if configured := os.environ.get(STATE_VARIABLE):
        return Path(configured)
    base = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(base).expanduser() / "vertex-batch"


@contextmanager
def _held(folder: Path) -> Iterator[IO[str]]:
    """Prevent two processes from running the same spec at the same time. Return the file that is locked.

    :raises ConfigurationError: another process is doing so, or the folder is not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "dags").mkdir(exist_ok=True)
        (folder / "dags" / "spec.py").write_text(_DAG_FILE)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(
            f"Cannot write to {folder}: {error}. Nothing was submitted. Set {STATE_VARIABLE} to another"
            " folder."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                "Another process is running this spec. Nothing was submitted; wait for it to end, or stop it"
                " first."
            ) from error
        yield lock


def _request(options: Namespace, spec: Spec) -> RunRequest:
    changes = {"connection": _PROXY if "://" in (options.proxy or "") else options.proxy}
    if options.cost_connection != "batch_costs":
        changes["cost_connection"] = options.cost_connection
    defaults = {name: getattr(options, name) for name in ("project", "location")}
    return RunRequest(
        spec=str(Path(options.spec).resolve()),
        moment=_moment(spec, options.date).isoformat(),
        jobs=[job.name for job in plans.chosen_jobs(spec, options.job)] if options.job else [],
        again=options.again,
        as_json=options.json,
        poll_seconds=options.poll,
        changes={name: value for name, value in changes.items() if value},
        defaults={name: value for name, value in defaults.items() if value},
    )


def _moment(spec: Spec, given: date | datetime | None) -> datetime:
    """Choose the logical time, which must have come: before that, Airflow starts no task."""
    now = datetime.now(UTC)
    moment = latest_moment(spec, now) if given is None else plans.chosen_moment(spec, given)
    if moment > now:
        raise ConfigurationError(
            f"The run of {moment:%Y-%m-%d %H:%M %Z} is in the future. Nothing was submitted. Use --date with"
            " an earlier time, or leave it out for the latest run."
        )
    return moment.astimezone(UTC)


def _airflow_settings(folder: Path) -> dict[str, str]:
    bundle = {
        "name": "vertex-batch-run",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(folder / "dags")},
    }
    user = f"command line of {getpass.getuser()} on {socket.gethostname()}"
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"sqlite+aiosqlite:///{folder}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        # What the tasks log, and nothing of the machinery around them.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "airflow.task=INFO airflow.triggers=INFO vertex_batch=INFO"
        " airflow.sdk.definitions.dag=ERROR airflow.models.crypto=ERROR py.warnings=ERROR",
        "AIRFLOW__LOGGING__LOG_FORMAT": "%(asctime)s %(message)s",
        "AIRFLOW__VERTEX_BATCH__DEPLOYMENT": os.environ.get(DEPLOYMENT_VARIABLE) or user,
    }


def _connections(options: Namespace, spec: Spec) -> dict[str, str]:
    """The Airflow connections that the options describe, and those that the environment lacks."""
    found: dict[str, dict[str, object]] = {}
    if "://" in (options.proxy or ""):
        config = Access(options).settings().config
        found[_PROXY] = {
            "conn_type": "litellm",
            "host": config.base_url,
            "password": config.api_key,
            "extra": {"route_prefix": config.route_prefix},
        }
    for job in spec.jobs:
        if f"AIRFLOW_CONN_{job.storage_connection.upper()}" not in os.environ:
            extra = {"is_anonymous": True} if os.environ.get("STORAGE_EMULATOR_HOST") else {}
            found[job.storage_connection] = {"conn_type": "google_cloud_platform", "extra": extra}
        if options.url:
            found[job.cost_connection] = _cost_connection(options.url)
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(data) for name, data in found.items()}


def _cost_connection(text: str) -> dict[str, object]:
    from sqlalchemy import make_url

    url = make_url(text)
    if url.get_backend_name() == "sqlite":
        return {"conn_type": "sqlite", "host": str(Path(url.database or "").resolve())}
    return {
        "conn_type": "postgres",
        "host": url.host,
        "port": url.port,
        "login": url.username,
        "password": url.password,
        "schema": url.database,
        "extra": dict(url.query),
    }


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:  # noqa: PLR2004 - a day
        raise argparse.ArgumentTypeError(f"not a number of seconds from 0 to 86400: `{text}`")
    return seconds
