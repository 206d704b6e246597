"""The client of the admin API: how a test scripts the emulator and reads its ledger."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
import msgspec
from msgspec import Struct

from local.waiting import check_lost_connection, check_processes

from .script import (
    Cancel,
    Fault,
    FaultKind,
    Listing,
    Match,
    Operation,
    Order,
    Output,
    RowRule,
    Scenario,
    Settings,
    Step,
    Trait,
)

__all__ = [
    "Cancel",
    "CancelCall",
    "EmulatorAdmin",
    "Fault",
    "FaultKind",
    "Held",
    "LedgerJob",
    "Listing",
    "LoggedCall",
    "Match",
    "Operation",
    "Order",
    "Output",
    "RowRule",
    "Scenario",
    "Settings",
    "Step",
    "Trait",
    "Visit",
]

_TIMEOUT_SECONDS = 30.0
_SLICE_SECONDS = 1.0
_ALL = Match()

T = TypeVar("T")


class Visit(Struct, frozen=True):
    """A state that a job was in, from a time on. The state is written without its prefix."""

    state: str
    time: datetime


class CancelCall(Struct, frozen=True):
    """A cancel call: when it came, the state it met, the status it was answered with."""

    time: datetime
    state: str
    http_status: int


class LedgerJob(Struct, frozen=True):
    """All that the emulator knows of a job; deleted ones are in the ledger too.

    :ivar version: the API version it was created through.
    :ivar request: the body it was created with, in canonical form.
    :ivar cancel_outcome: ``none`` (never asked), ``pending``, ``cancelled``, or ``too_late``.
    :ivar rows: rows of the input; None before the import.
    :ivar note: what went wrong, in more words than Vertex would use.
    """

    id: str
    name: str
    project: str
    location: str
    version: str
    display_name: str
    model: str
    labels: dict[str, str]
    request: dict[str, Any]
    scenario: str
    state: str
    history: list[Visit]
    cancel_calls: list[CancelCall]
    cancel_outcome: str
    rows: int | None
    finished_rows: int
    output_directory: str
    error: dict[str, Any] | None
    note: str
    deleted: bool
    delete_time: datetime | None

    @property
    def states(self) -> list[str]:
        """The states it went through, in order."""
        return [visit.state for visit in self.history]


class LoggedCall(Struct, frozen=True):
    """A call that reached the emulator. ``status`` is None while it runs and 0 where the connection was
    reset.
    """

    number: int
    op: Operation
    method: str
    path: str
    host: str
    time: datetime
    seconds: float
    status: int | None
    fault: str
    job: str


class Held(Struct, frozen=True):
    """A call whose answer is held. ``stored`` says whether it has taken effect; then ``job`` is known."""

    hold: int
    op: Operation
    stored: bool
    job: str


class EmulatorAdmin:
    """Scripts one emulator. Usable as a context manager.

    :param url: the plain HTTP port: ``http://127.0.0.1:9100``.
    """

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/_admin", timeout=60, trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def jobs(self, match: Match = _ALL) -> list[LedgerJob]:
        """Every job ever stored since the last reset, oldest first, or those that match."""
        return self.wait_for_jobs(match, count=0)

    def job(self, job_id: str) -> LedgerJob:
        """One job of the ledger."""
        return next(job for job in self.jobs() if job.id == job_id)

    def requests(self, op: Operation | str = Operation.ANY) -> list[LoggedCall]:
        """Every call since the last reset, oldest first."""
        calls = self._call("GET", "/requests", list[LoggedCall])
        return [call for call in calls if op in (Operation.ANY, call.op)]

    def held(self) -> list[Held]:
        """The calls whose answers are held now."""
        return self._call("GET", "/held", list[Held])

    def reset(self) -> None:
        """Forget jobs, scripts and calls; settings go back to those of the start. Held calls are dropped."""
        self._call("POST", "/reset", Any)

    def settings(self) -> Settings:
        """The settings in force."""
        return self._call("GET", "/settings", Settings)

    def set_settings(self, **changes: Any) -> Settings:
        """Change some settings: ``set_settings(speed=100, list_lag_seconds=2)``."""
        return self._call("PUT", "/settings", Settings, changes)

    def add_scenario(self, scenario: Scenario) -> None:
        """Put a scenario in force; the first that matches a new job is the job's own."""
        self._call("POST", "/scenarios", Any, scenario)

    def clear_scenarios(self) -> None:
        """Take all scenarios out of force. Jobs that have one keep it."""
        self._call("DELETE", "/scenarios", Any)

    def add_fault(self, fault: Fault) -> None:
        """Put a fault in force."""
        self._call("POST", "/faults", Any, fault)

    def clear_faults(self) -> None:
        """Take all faults out of force."""
        self._call("DELETE", "/faults", Any)

    def release_job(self, job_id: str) -> None:
        """End the present step of a job, held or not."""
        self._call("POST", "/release", Any, {"job": job_id})

    def release_held(self, hold: int | None = None, *, reset: bool = False) -> int:
        """Answer one held call, or all of them; how many there were.

        :param reset: reset the connection instead.
        """
        answer = self._call("POST", "/release", dict[str, int], {"hold": hold, "reset": reset})
        return answer["released"]

    def put_jobs(
        self,
        body: Mapping[str, Any],
        jobs: Sequence[tuple[datetime, str]],
        listing: Listing = Listing.NORMAL,
    ) -> list[str]:
        """Store jobs of an earlier time, oldest first, and return their ids. They stay in their state.

        :param body: of a create call.
        :param jobs: creation time and state of each one.
        """
        scenario = Scenario(listing=listing)
        return self._call("POST", "/jobs", list[str], {"body": body, "jobs": jobs, "scenario": scenario})

    def set_state(self, job_id: str, state: str) -> None:
        """Move a job that was stored by `put_jobs` into another state."""
        self._call("PUT", f"/jobs/{job_id}", Any, {"state": state})

    def delete_job(self, job_id: str) -> None:
        """Make a job vanish from the API in any state, as if another client had deleted it."""
        self._call("DELETE", f"/jobs/{job_id}", Any)

    def revoke_tokens(self) -> None:
        """Make every access token given out so far invalid."""
        self._call("POST", "/revoke-tokens", Any)

    def wait_for_jobs(
        self,
        match: Match = _ALL,
        *,
        job_id: str = "",
        state: str = "",
        count: int = 1,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> list[LedgerJob]:
        """Wait until so many jobs match and have been in a state (``RUNNING``; empty is any).

        :raises TimeoutError: they have not, in time.
        """
        wanted = {"until": "jobs", "match": match, "job": job_id, "state": state, "count": count}
        return self._wait(wanted, list[LedgerJob], timeout_seconds)

    def wait_for_calls(
        self,
        op: Operation | str,
        *,
        job_id: str = "",
        fault: str = "",
        count: int = 1,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> list[LoggedCall]:
        """Wait until so many calls have been answered, or dropped.

        :raises TimeoutError: they have not, in time.
        """
        wanted = {"until": "calls", "op": op, "job": job_id, "fault": fault, "count": count}
        return self._wait(wanted, list[LoggedCall], timeout_seconds)

    def wait_for_held(
        self,
        op: Operation | str = Operation.ANY,
        *,
        count: int = 1,
        timeout_seconds: float = _TIMEOUT_SECONDS,
    ) -> list[Held]:
        """Wait until so many calls are held.

        :raises TimeoutError: they are not, in time.
        """
        return self._wait({"until": "held", "op": op, "count": count}, list[Held], timeout_seconds)

    def _wait(self, wanted: Mapping[str, Any], kind: type[T], timeout_seconds: float) -> T:
        """Wait in slices, between which it shows whether a process that is waited for has ended."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            left = max(deadline - time.monotonic(), 0.0)
            body = {**wanted, "timeout_seconds": min(left, _SLICE_SECONDS)}
            try:
                return self._call("POST", "/wait", kind, body)
            except TimeoutError as error:
                check_processes()
                if left <= _SLICE_SECONDS:
                    msg = f"waited {timeout_seconds:g} s; at the end: {error}"
                    raise TimeoutError(msg) from None

    def _call(self, method: str, path: str, kind: type[T], body: object = None) -> T:
        content = None if body is None else msgspec.json.encode(body)
        try:
            answer = self._http.request(method, path, content=content)
        except httpx.TransportError:
            check_lost_connection()
            raise
        if answer.status_code == httpx.codes.REQUEST_TIMEOUT:
            raise TimeoutError(answer.json()["error"])
        if answer.is_error:
            msg = f"{method} {path}: {answer.status_code} {answer.text}"
            raise ValueError(msg)
        return msgspec.json.decode(answer.content, type=kind)
