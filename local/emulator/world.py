"""Everything the emulator knows at one moment: the project, the jobs, the scripts, and the log of calls."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from time import monotonic
from typing import Any

from .catalogue import Place, resolve_model
from .faults import FaultBook
from .jobs import Job, format_time
from .life import Life, Surroundings
from .matching import applies
from .notice import Notice
from .objects import ObjectStore
from .rows import FailureBook, RowMaker
from .script import JobFacts, Operation, Scenario, Settings
from .tokens import Tokens
from .work import Work

# Reading and making rows is work for the processor; more threads than this do not make it faster.
_WORKERS = 2


@dataclass
class Call:
    """One call in the log. ``status`` is None while it runs, 0 where the connection was reset."""

    number: int
    op: Operation
    method: str
    path: str
    host: str
    time: datetime
    status: int | None = None
    fault: str = ""
    job_id: str = ""
    seconds: float = 0.0
    started: float = field(default_factory=monotonic)

    def entry(self) -> dict[str, Any]:
        """What the admin API says of it."""
        return {
            "number": self.number,
            "op": self.op.value,
            "method": self.method,
            "path": self.path,
            "host": self.host,
            "time": format_time(self.time, 6),
            "seconds": round(self.seconds, 6),
            "status": self.status,
            "fault": self.fault,
            "job": self.job_id,
        }


@dataclass
class Script:
    """A scenario in force, and how many jobs it can still be for."""

    scenario: Scenario
    left: int | None


class World:
    """The state of the emulator. All of it is touched from the event loop only.

    :param static_token: the key of clients that reach the emulator without a proxy. It answers the proxy's
        own paths as a proxy without them, so that these clients do not wait for a better answer.
    """

    def __init__(
        self, projects: Mapping[str, str], storage_url: str, settings: Settings, static_token: str = ""
    ) -> None:
        self.projects = dict(projects)
        self.store = ObjectStore(storage_url)
        self.notice = Notice()
        self.tokens = Tokens(static_token)
        self.is_proxy = bool(static_token)
        self.executor = ThreadPoolExecutor(_WORKERS, thread_name_prefix="work")
        # Ids continue over a reset, so that a new job never has the id of an old one.
        self._ids = random.Random(settings.seed)  # noqa: S311 - has to be repeatable
        self._initial = settings
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._start(settings)

    def _start(self, settings: Settings) -> None:
        self.jobs: dict[str, Job] = {}
        self._by_number: list[Job] = []
        self.lives: dict[str, Life] = {}
        self.operations: dict[str, datetime] = {}
        self.scripts: list[Script] = []
        self.calls: list[Call] = []
        self.faults = FaultBook(self.notice, settings.seed)
        self.failures = FailureBook()
        self._numbers = count(1)
        self._around = Surroundings(settings, self.notice, self.executor)

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._around.settings

    def set_settings(self, settings: Settings) -> None:
        """Change the settings. Steps that have begun keep their speed; a new seed restarts the chances."""
        if settings.seed != self.settings.seed:
            self.faults.reseed(settings.seed)
        self._around.settings = settings

    def reset(self) -> None:
        """Forget everything but the tokens, and go back to the settings of the start."""
        for life in self.lives.values():
            life.abandon()
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        self.faults.release(reset=True)
        self._start(self._initial)
        self.notice.changed()

    def close(self) -> None:
        """Let go of all work."""
        self.reset()
        self.executor.shutdown(wait=False, cancel_futures=True)
        self.store.close()

    def log(self, op: Operation, method: str, path: str, host: str) -> Call:
        """Open the entry of a call."""
        call = Call(len(self.calls) + 1, op, method, path, host, datetime.now(UTC))
        self.calls.append(call)
        return call

    def add_scenario(self, scenario: Scenario) -> None:
        """Put a scenario in force."""
        self.scripts.append(Script(scenario, scenario.times))

    def create(self, version: str, place: Place, body: Mapping[str, Any]) -> Job:
        """Store a job and let it live."""
        model = resolve_model(body["model"], place)
        script = self._script_for(JobFacts.of(body))
        job = Job(
            id=self._new_id(),
            number=next(self._numbers),
            place=place,
            model=model,
            body=body,
            scenario=script.scenario if script else Scenario(),
            create_time=datetime.now(UTC),
            version=version,
        )
        if script and script.left is not None:
            script.left -= 1
        life = Life(job, self._work(job), self._around)
        self._keep(job, life)
        task = asyncio.create_task(life.run(), name=f"job {job.id}")
        self._tasks[job.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(job.id, None))
        return job

    def put(
        self, place: Place, body: Mapping[str, Any], state: str, created: datetime, scenario: Scenario
    ) -> Job:
        """Store a job of an earlier time in a state, in which it stays. Jobs are put in the order of time."""
        model = resolve_model(body["model"], place)
        job = Job(self._new_id(), next(self._numbers), place, model, body, scenario, created)
        self._keep(job, Life(job, None, self._around))
        job.start_time = created
        self.set_state(job, state)
        return job

    def set_state(self, job: Job, state: str) -> None:
        """Move a job that was put here into another state."""
        job.enter(state)
        self.notice.changed()

    def _keep(self, job: Job, life: Life) -> None:
        self.jobs[job.id] = job
        self._by_number.append(job)
        self.lives[job.id] = life

    def visible(self, place: Place, before: int | None = None) -> Iterator[Job]:
        """The jobs of a place that a list shows, newest first.

        :param before: only jobs with a lower number.
        """
        listed_before = monotonic() - self.settings.list_lag_seconds
        last = len(self._by_number) if before is None else before - 1
        for index in range(last - 1, -1, -1):
            job = self._by_number[index]
            if job.place == place and job.delete_time is None and job.created_at <= listed_before:
                yield job

    def find(self, place: Place, job_id: str) -> Job | None:
        """A job that was not deleted."""
        job = self.jobs.get(job_id)
        return job if job and job.place == place and job.delete_time is None else None

    def delete(self, job: Job) -> str:
        """Delete a job; the id of the operation that does it. The ledger keeps the job."""
        job.delete_time = datetime.now(UTC)
        operation = self._new_id()
        self.operations[operation] = job.delete_time
        self.notice.changed()
        return operation

    def _new_id(self) -> str:
        return str(self._ids.randrange(10**18, 2**63))

    def _script_for(self, facts: JobFacts) -> Script | None:
        return next(
            (script for script in self.scripts if script.left != 0 and applies(script.scenario.match, facts)),
            None,
        )

    def _work(self, job: Job) -> Work | None:
        source = job.body["inputConfig"].get("gcsSource")
        destination = job.body["outputConfig"].get("gcsDestination")
        if source is None or destination is None:
            return None
        scenario = job.scenario
        mix = self.settings.mix if scenario.mix is None else scenario.mix
        return Work(
            store=self.store,
            uris=source["uris"],
            output_prefix=destination["outputUriPrefix"],
            maker=RowMaker(job.model, job.id, mix, scenario.rows, scenario.output, self.failures),
            shuffle_seed=f"{self.settings.seed}:{job.number}",
            resumed=self._resumed(source["uris"]) if self.settings.resume_incomplete else (),
        )

    def _resumed(self, uris: Sequence[str]) -> list[tuple[Work, Counter[bytes]]]:
        """The ended jobs whose output folders are among these URIs."""
        return [
            (life.work, life.incomplete)
            for life in self.lives.values()
            if life.work and life.job.is_terminal and (folder := life.job.output_directory)
            if any(uri.startswith(f"{folder}/") for uri in uris)
        ]
