"""The admin endpoints under ``/_admin``; `local.emulator.admin` is their client, and the package docstring
their manual.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .catalogue import Place
from .jobs import Job
from .matching import applies
from .schema import parse_job
from .script import Fault, JobFacts, Match, Operation, Plain, Scenario, Settings
from .world import World

_MAX_WAIT_SECONDS = 600.0
_DEFAULT_WAIT_SECONDS = 30.0

T = TypeVar("T")


class Release(Plain, frozen=True):
    """Body of a release: a job's present step, one held call, or (with neither) all held calls.

    :param reset: the held call's connection is reset instead of answered.
    """

    job: str = ""
    hold: int | None = None
    reset: bool = False


class Wanted(Plain, frozen=True):
    """Body of a wait: what has to be true.

    :param until: ``jobs`` (that match, have reached a state), ``calls`` (that are answered) or ``held``.
    :param state: a state that each job has reached at some time; empty is any.
    :param op: of calls and holds; ``*`` is any.
    :param fault: kind of the fault that happened to a call; empty is any.
    :param count: how many there have to be.
    """

    until: str
    match: Match = Match()
    job: str = ""
    state: str = ""
    op: Operation = Operation.ANY
    fault: str = ""
    count: int = 1
    timeout_seconds: float = _DEFAULT_WAIT_SECONDS


class Put(Plain, frozen=True):
    """Body of a request to store jobs of an earlier time: creation time and state of each, oldest first.

    :param body: of a create call.
    :param scenario: only its ``listing`` has an effect.
    """

    body: dict[str, Any]
    jobs: list[tuple[datetime, str]]
    scenario: Scenario = Scenario()
    location: str = "us-central1"


class Moved(Plain, frozen=True):
    """Body of a request to move such a job into another state."""

    state: str


class Answer(Response):
    """JSON of the admin API."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Control:
    """The admin side of the emulator."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """All admin routes."""
        table: list[tuple[str, str, Callable[[Request], Awaitable[Any]]]] = [
            ("GET", "/jobs", self._jobs),
            ("POST", "/jobs", self._put),
            ("PUT", "/jobs/{id}", self._move),
            ("DELETE", "/jobs/{id}", self._vanish),
            ("GET", "/requests", self._requests),
            ("GET", "/held", self._held),
            ("POST", "/reset", self._reset),
            ("GET", "/settings", self._settings),
            ("PUT", "/settings", self._set_settings),
            ("POST", "/scenarios", self._add_scenario),
            ("DELETE", "/scenarios", self._clear_scenarios),
            ("POST", "/faults", self._add_fault),
            ("DELETE", "/faults", self._clear_faults),
            ("POST", "/release", self._release),
            ("POST", "/revoke-tokens", self._revoke_tokens),
            ("GET", "/wait", self._wait),
            ("POST", "/wait", self._wait),
        ]
        return [
            Route("/_admin" + path, _answered(function), methods=[verb]) for verb, path, function in table
        ]

    async def _jobs(self, _request: Request) -> object:
        return [job.ledger_entry() for job in self._world.jobs.values()]

    async def _vanish(self, request: Request) -> object:
        """Delete a job whatever its state, as if another client had."""
        job = self._job(request)
        self._world.delete(job)
        return job.ledger_entry()

    async def _put(self, request: Request) -> object:
        wanted = await _read(request, Put)
        body = parse_job("v1", msgspec.json.encode(wanted.body))
        project, number = next(iter(self._world.projects.items()))
        place = Place(project, number, wanted.location)
        put = partial(self._world.put, place, body, scenario=wanted.scenario)
        return [put(state, created).id for created, state in wanted.jobs]

    async def _move(self, request: Request) -> object:
        job = self._job(request)
        self._world.set_state(job, (await _read(request, Moved)).state)
        return job.ledger_entry()

    def _job(self, request: Request) -> Job:
        job = self._world.jobs.get(request.path_params["id"])
        if job is None:
            raise _RefusedError(404, f"there is no job {request.path_params['id']}")
        return job

    async def _requests(self, _request: Request) -> object:
        return [call.entry() for call in self._world.calls]

    async def _held(self, _request: Request) -> object:
        return [hold.entry() for hold in self._world.faults.holds.values()]

    async def _reset(self, _request: Request) -> object:
        self._world.reset()
        return {}

    async def _settings(self, _request: Request) -> object:
        return msgspec.structs.asdict(self._world.settings)

    async def _set_settings(self, request: Request) -> object:
        """Change the settings that the body names; the others stay."""
        changed = msgspec.json.decode(await request.body())
        read = await _read(request, Settings)
        chosen = {name: getattr(read, name) for name in changed}
        self._world.set_settings(msgspec.structs.replace(self._world.settings, **chosen))
        return msgspec.structs.asdict(self._world.settings)

    async def _add_scenario(self, request: Request) -> object:
        self._world.add_scenario(await _read(request, Scenario))
        return {}

    async def _clear_scenarios(self, _request: Request) -> object:
        self._world.scripts.clear()
        return {}

    async def _add_fault(self, request: Request) -> object:
        self._world.faults.add(await _read(request, Fault))
        return {}

    async def _clear_faults(self, _request: Request) -> object:
        self._world.faults.clear()
        return {}

    async def _release(self, request: Request) -> object:
        wanted = await _read(request, Release)
        if not wanted.job:
            return {"released": self._world.faults.release(wanted.hold, reset=wanted.reset)}
        life = self._world.lives.get(wanted.job)
        if life is None:
            raise _RefusedError(404, f"there is no job {wanted.job}")
        life.release()
        return {"released": 1}

    async def _revoke_tokens(self, _request: Request) -> object:
        self._world.tokens.revoke_all()
        return {}

    async def _wait(self, request: Request) -> object:
        wanted = await _read(request, Wanted) if request.method == "POST" else _wanted_of_query(request)
        look = {"jobs": self._wanted_jobs, "calls": self._wanted_calls, "held": self._wanted_holds}.get(
            wanted.until
        )
        if look is None:
            raise _RefusedError(400, f"cannot wait until '{wanted.until}': jobs, calls or held")

        def enough() -> Sequence[Any] | None:
            found = look(wanted)
            return found if len(found) >= wanted.count else None

        found = await self._world.notice.until(enough, min(wanted.timeout_seconds, _MAX_WAIT_SECONDS))
        if found is None:
            raise _RefusedError(
                408, f"{len(look(wanted))} of {wanted.count} after {wanted.timeout_seconds} s: {wanted}"
            )
        return found

    def _wanted_jobs(self, wanted: Wanted) -> list[Any]:
        return [job.ledger_entry() for job in self._world.jobs.values() if _is_wanted(job, wanted)]

    def _wanted_calls(self, wanted: Wanted) -> list[Any]:
        return [
            call.entry()
            for call in self._world.calls
            if call.status is not None
            and wanted.op in (Operation.ANY, call.op)
            and wanted.fault in ("", call.fault)
            and wanted.job in ("", call.job_id)
        ]

    def _wanted_holds(self, wanted: Wanted) -> list[Any]:
        return [
            hold.entry()
            for hold in self._world.faults.holds.values()
            if wanted.op in (Operation.ANY, hold.op) and wanted.job in ("", hold.job_id)
        ]


def _is_wanted(job: Job, wanted: Wanted) -> bool:
    reached = not wanted.state or any(state == wanted.state for state, _ in job.history)
    return reached and wanted.job in ("", job.id) and applies(wanted.match, JobFacts.of(job.body))


def _wanted_of_query(request: Request) -> Wanted:
    """The fields of a wait as query parameters; labels as ``label=key=value``, any number of them."""
    query: dict[str, Any] = dict(request.query_params)
    query.pop("label", None)
    pairs = [label.partition("=") for label in request.query_params.getlist("label")]
    labels = {key: value or "*" for key, _, value in pairs}
    match: dict[str, Any] = {
        key: query.pop(key) for key in ("display_name", "model", "input_uri") if key in query
    }
    return msgspec.convert(query | {"match": match | {"labels": labels}}, Wanted, strict=False)


async def _read(request: Request, kind: type[T]) -> T:
    return msgspec.json.decode(await request.body(), type=kind)


def _answered(function: Callable[[Request], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return Answer(await function(request))
        except _RefusedError as error:
            return Answer({"error": error.message}, error.status)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            return Answer({"error": f"{request.method} {request.url.path}: {error}"}, 400)

    return endpoint
