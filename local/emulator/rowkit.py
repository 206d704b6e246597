"""What the makers of answers share: the draft they get, the answer they give, and how a failed row looks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from time import time_ns
from typing import Any

from .script import ROW_ERRORS, Output, Trait

_SHAPES = (Trait.FAILED_EMPTY, Trait.FAILED_NULL, Trait.FAILED_ABSENT)


@dataclass(frozen=True, slots=True)
class Stamp:
    """The time at which a row was processed, in the two forms that rows carry."""

    row: str
    response: str

    @classmethod
    def now(cls) -> Stamp:
        """The present time; rows of the same millisecond share one, since thousands are made in a second."""
        return _stamp(time_ns() // 1_000_000)


@lru_cache(maxsize=1)
def _stamp(milliseconds: int) -> Stamp:
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return Stamp(moment.isoformat(timespec="milliseconds"), f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z")


@dataclass(frozen=True, slots=True)
class Draft:
    """One row on its way out.

    :param digest: 32 bytes that depend on the input line alone; all "random" numbers of the row come from it.
    :param size: length of the input line in bytes.
    :param job_id: the job that runs the row.
    :param error_code: the row fails with this; a key of `ROW_ERRORS`. 0: it does not.
    """

    row: Mapping[str, Any]
    digest: bytes
    size: int
    traits: frozenset[Trait]
    model: str
    stamp: Stamp
    output: Output
    error_code: int = 0
    job_id: str = ""

    def number(self, slot: int, low: int, high: int) -> int:
        """A number of this row in ``[low, high)``; each slot (0 to 14) gives another one."""
        return low + int.from_bytes(self.digest[2 * slot : 2 * slot + 2]) % (high - low)


@dataclass(frozen=True)
class Answer:
    """What a model made of a row: the fields to add to it, and the status text (empty for a success)."""

    ok: bool
    fields: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""


def failure(draft: Draft) -> Answer | None:
    """The failure that the scenario asks of this row, if it asks for one."""
    code = 4 if Trait.FAILED_DEADLINE in draft.traits else draft.error_code
    if code:
        words, status, message = ROW_ERRORS[code]
        return Answer(ok=False, fields={"response": {}}, status=f"{words}: {_error(code, message, status)}")
    if draft.traits.isdisjoint({Trait.FAILED, *_SHAPES}):
        return None
    return refused(draft, "Request contains an invalid argument.")


def refused(draft: Draft, message: str) -> Answer:
    """A row that the model refuses, with the ``response`` in one of the shapes that exist."""
    shape = next((shape for shape in _SHAPES if shape in draft.traits), None)
    if shape is None:
        shape = _SHAPES[draft.number(14, 0, len(_SHAPES))] if Trait.FAILED in draft.traits else _SHAPES[0]
    fields: dict[Trait, Mapping[str, Any]] = {
        Trait.FAILED_EMPTY: {"response": {}},
        Trait.FAILED_NULL: {"response": None},
        Trait.FAILED_ABSENT: {},
    }
    status = "Bad Request: " + _error(400, message, "INVALID_ARGUMENT")
    return Answer(ok=False, fields=fields[shape], status=status)


def _error(code: int, message: str, status: str) -> str:
    return json.dumps({"error": {"code": code, "message": message, "status": status}})
