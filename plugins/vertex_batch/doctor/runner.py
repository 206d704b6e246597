"""Run the checks: each on its own, at the same time, and none longer than its limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vertex_batch.errors import VertexBatchError, scrub

LIMIT_SECONDS = 30.0


class CheckStatus(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a check found.

    :param found: the facts, without keys.
    :param fix: what to do; empty if there is nothing to do.
    """

    status: CheckStatus
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class SetupCheck:
    """One check.

    :param subject: the connection, place, model or folder that is checked; empty if there is only one.
    :param run: it may raise a `VertexBatchError`, which fails the check with its message.
    :param needs: a check without which this one would only repeat its message.
    """

    name: str
    subject: str
    run: Callable[[], Diagnosis]
    needs: SetupCheck | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.subject}".rstrip()


@dataclass(frozen=True, slots=True)
class CheckedSetup:
    """A check and what it found."""

    name: str
    subject: str
    diagnosis: Diagnosis

    @property
    def status(self) -> CheckStatus:
        return self.diagnosis.status

    def to_dict(self) -> dict[str, str]:
        return {
            "check": self.name,
            "subject": self.subject,
            "status": self.status,
            "found": self.diagnosis.found,
            "fix": self.diagnosis.fix,
        }


def ok(found: str) -> Diagnosis:
    return Diagnosis(CheckStatus.OK, found)


def warning(found: str, fix: str) -> Diagnosis:
    return Diagnosis(CheckStatus.WARNING, found, fix)


def failed(found: str, fix: str = "") -> Diagnosis:
    return Diagnosis(CheckStatus.FAILED, found, fix)


def not_checked(found: str, fix: str = "") -> Diagnosis:
    return Diagnosis(CheckStatus.NOT_CHECKED, found, fix)


def run_checks(
    checks: Sequence[SetupCheck], secrets: Sequence[str] = (), limit_seconds: float = LIMIT_SECONDS
) -> list[CheckedSetup]:
    """Run all checks and return their results in the same order. It never raises.

    :param secrets: removed from every text.
    :param limit_seconds: the most that a check may take. One that takes longer is left behind in a daemon
        thread, and reported as failed.
    """
    first = [check for check in checks if check.needs is None]
    found = dict(zip(map(id, first), _run_together(first, secrets, limit_seconds), strict=True))
    rest = [check for check in checks if check.needs is not None]
    ready = []
    for check in rest:
        needed = found.get(id(check.needs))
        if needed is None or needed.status in (CheckStatus.OK, CheckStatus.WARNING):
            ready.append(check)
        else:
            found[id(check)] = not_checked(f"It needs the check `{check.needs}`, which did not succeed.")
    found |= zip(map(id, ready), _run_together(ready, secrets, limit_seconds), strict=True)
    return [CheckedSetup(check.name, check.subject, found[id(check)]) for check in checks]


def _run_together(
    checks: Sequence[SetupCheck], secrets: Sequence[str], limit_seconds: float
) -> list[Diagnosis]:
    results: dict[int, Diagnosis] = {}

    def run(number: int) -> None:
        results[number] = _run_one(checks[number], secrets)

    # Daemon threads: neither the command nor the API server waits for a check that hangs.
    threads = [
        threading.Thread(target=run, args=(number,), name=f"check-{checks[number].name}", daemon=True)
        for number in range(len(checks))
    ]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + limit_seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    late = failed(
        f"No result after {limit_seconds:g} s.",
        "check the network between here and there, and firewalls that drop packets",
    )
    return [results.get(number, late) for number in range(len(checks))]


def _run_one(check: SetupCheck, secrets: Sequence[str]) -> Diagnosis:
    try:
        found = check.run()
    except VertexBatchError as error:
        found = failed(str(error))
    except Exception as error:  # noqa: BLE001 - a check that fails must not hide the others
        found = failed(
            f"The check itself failed: {type(error).__name__}: {error}",
            "if the message does not explain it, report it as a bug of this package",
        )
    return Diagnosis(found.status, _without(found.found, secrets), _without(found.fix, secrets))


def _without(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = scrub(text, secret)
    return scrub(text)
