"""A job as the emulator keeps it: what the API shows of it, and what the ledger remembers of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from .catalogue import Model, Place
from .filters import Listed, listed
from .script import JobFacts, Scenario
from .states import TERMINAL, WITH_END_TIME, wire_name, wire_value


@dataclass(frozen=True)
class Progress:
    """How the share of finished rows grows: evenly, between two shares, over some seconds."""

    first: float = 0.0
    last: float = 0.0
    since: float = field(default_factory=monotonic)
    seconds: float = 0.0

    def share(self) -> float:
        """The share at this moment."""
        passed = 1.0 if self.seconds <= 0 else min(1.0, (monotonic() - self.since) / self.seconds)
        return self.first + (self.last - self.first) * passed

    def stopped(self) -> Progress:
        """The same, with no more growth."""
        share = self.share()
        return Progress(share, share)


class Counted(Protocol):
    """The rows of a job, in the order in which they finish.

    :ivar never: rows of the input that never finish; they are not among the others.
    """

    never: int

    def __len__(self) -> int: ...

    def counts(self, rows: int) -> tuple[int, int]:
        """How many of the first rows succeeded, and how many failed."""


@dataclass(frozen=True)
class CancelCall:
    """A cancel call: when it came, what state it met, and how it was answered."""

    time: datetime
    state: str
    http_status: int


@dataclass
class Job:
    """One job, from its creation on. ``body`` is the canonical request; states have no prefix.

    :ivar counted: the output rows; None until the import is through.
    """

    id: str
    number: int
    place: Place
    model: Model
    body: Mapping[str, Any]
    scenario: Scenario
    create_time: datetime
    version: str = "v1"
    state: str = "PENDING"
    update_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    delete_time: datetime | None = None
    error: Mapping[str, Any] | None = None
    note: str = ""
    output_directory: str = ""
    counted: Counted | None = None
    progress: Progress = field(default_factory=Progress)
    history: list[tuple[str, datetime]] = field(default_factory=list)
    cancel_calls: list[CancelCall] = field(default_factory=list)
    created_at: float = field(default_factory=monotonic)
    _listed: Listed | None = field(default=None, init=False, repr=False)

    @property
    def name(self) -> str:
        return f"{self.place.parent}/batchPredictionJobs/{self.id}"

    @property
    def is_terminal(self) -> bool:
        return self.state in TERMINAL

    @property
    def facts(self) -> JobFacts:
        return JobFacts.of(self.body)

    @property
    def finished_rows(self) -> int:
        """Rows that are done at this moment."""
        return int(len(self.counted) * self.progress.share() + 1e-6) if self.counted is not None else 0

    def enter(self, state: str) -> None:
        """Go into a state now."""
        now = datetime.now(UTC)
        self.state, self._listed = state, None
        self.update_time = now
        self.history.append((state, now))
        if state == "RUNNING" and self.start_time is None:
            self.start_time = now
        if state in WITH_END_TIME:
            self.end_time = now

    def listed(self) -> Listed:
        """The job as a filter sees it. Kept until its state changes: a list looks at every job."""
        if self._listed is None:
            self._listed = listed(self.body, wire_name(self.state), self.create_time)
        return self._listed

    def view(self, time_digits: int, *, numeric_enums: bool = False) -> dict[str, Any]:
        """The job as the API shows it: defaults left out, int64 as strings, the project's number in the
        name.
        """
        shown: dict[str, Any] = {
            "name": self.name,
            **self.body,
            "modelVersionId": "1",
            "state": wire_value(self.state, as_number=numeric_enums),
        }
        if self.output_directory and self.scenario.output.info:
            shown["outputInfo"] = {"gcsOutputDirectory": self.output_directory}
        if self.error:
            shown["error"] = dict(self.error)
        if self.is_terminal and self.scenario.partial_failures:
            failure = {"code": 3, "message": "Request contains an invalid argument."}
            shown["partialFailures"] = [failure] * self.scenario.partial_failures
        if (stats := self._stats()) is not None:
            shown["completionStats"] = stats
        times = {
            "createTime": self.create_time,
            "startTime": self.start_time,
            "endTime": self.end_time,
            "updateTime": self.update_time,
        }
        return shown | {key: format_time(time, time_digits) for key, time in times.items() if time}

    def _stats(self) -> dict[str, str] | None:
        if self.counted is None or self.start_time is None:
            return None
        if self.scenario.stats is not None:
            return {key: str(count) for key, count in self.scenario.stats.items()} or None
        done = self.finished_rows
        good, bad = self.counted.counts(done)
        counts = {
            "successfulCount": good,
            "failedCount": bad,
            "incompleteCount": len(self.counted) + self.counted.never - done,
        }
        return {key: str(count) for key, count in counts.items() if count}

    def ledger_entry(self) -> dict[str, Any]:
        """All that is known of the job, for a test that compares it with what others believe."""
        return {
            "id": self.id,
            "name": self.name,
            "project": self.place.project_id,
            "location": self.place.location,
            "version": self.version,
            "display_name": self.body.get("displayName", ""),
            "model": self.body.get("model", ""),
            "labels": self.body.get("labels", {}),
            "request": self.body,
            "scenario": self.scenario.name,
            "state": self.state,
            "history": [{"state": state, "time": format_time(time, 6)} for state, time in self.history],
            "cancel_calls": [
                {"time": format_time(call.time, 6), "state": call.state, "http_status": call.http_status}
                for call in self.cancel_calls
            ],
            "cancel_outcome": self._cancel_outcome(),
            "rows": len(self.counted) + self.counted.never if self.counted is not None else None,
            "finished_rows": self.finished_rows,
            "output_directory": self.output_directory,
            "error": self.error,
            "note": self.note,
            "deleted": self.delete_time is not None,
            "delete_time": format_time(self.delete_time, 6) if self.delete_time else None,
        }

    def _cancel_outcome(self) -> str:
        if not any(call.http_status == 200 for call in self.cancel_calls):  # noqa: PLR2004
            return "too_late" if self.cancel_calls else "none"
        if not self.is_terminal:
            return "pending"
        return "cancelled" if self.state == "CANCELLED" else "too_late"


def format_time(time: datetime, digits: int) -> str:
    """RFC 3339 with a chosen number of fractional digits."""
    fraction = f"{time.microsecond:06}".ljust(9, "0")[:digits]
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") + (f".{fraction}" if fraction else "") + "Z"
