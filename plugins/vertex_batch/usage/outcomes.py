"""The outcomes of rows: the usage of an answered one, or why there is none to bill."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from vertex_batch.usage.rows import decode_anything

_REASON_CHARS = 160


@dataclass(slots=True)
class Reading:
    """The usage of one row. What depends on the model, which the row need not name, is left to the meter.

    :param model: the model that the row names; None: it names none.
    :param prompt_tokens: the size of the prompt, cached tokens included; it decides the tier.
    :param counts: (slot, count), see `counting.SLOTS`.
    :param queries: distinct Google Search queries of a Gemini row.
    :param characters: of the text that was embedded; None: no text, or not a text embedding.
    :param notes: what was odd.
    :param processed_time: when the row was answered, as it says; None: it does not.
    :param wrapper: the member of the row that has the answer; empty: the row is the answer.
    """

    model: Any = None
    response_id: object = None
    prompt_tokens: int = 0
    counts: list[tuple[int, int]] = field(default_factory=list)
    queries: int = 0
    characters: int | None = None
    notes: list[str] = field(default_factory=list)
    processed_time: object = None
    wrapper: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that could not be answered. It is not billed, even if it has usage."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is not a row, or whose counts are not possible."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unrecognized:
    """A JSON object in none of the known output formats; it is unknown whether it was answered."""

    reason: str


def stated_failure(status: object) -> Failed | None:
    """The failure that a row's status reports, or its error; None if that is empty or OK."""
    return Failed(status_reason(status)) if status and not _is_ok(status) else None


def _is_ok(status: object) -> bool:
    """Whether a status that is not empty means none: blanks, or google.rpc's OK in words or as 0."""
    if isinstance(status, dict):
        return status.get("code") in (0, "0", None) and not any(status.get(k) for k in ("message", "error"))
    return isinstance(status, str) and status.strip().upper() in ("", "OK")


def status_reason(status: object) -> str:
    """The service's words about a failed row, short: ``INVALID_ARGUMENT: Please use a valid role``.

    A status is free text, or free text with the JSON of an error in it, a google.rpc.Status, or the error of
    Anthropic or OpenAI, which have a type in place of a status.
    """
    error = status
    if isinstance(status, str) and (start := status.find("{")) >= 0:
        try:
            error = decode_anything(status[start:])
        except (msgspec.DecodeError, RecursionError):
            error = status
    if isinstance(error, dict):
        error = error.get("error") or error
    if isinstance(error, dict):
        name = error.get("status") or error.get("code") or error.get("type")
        error = ": ".join(str(part) for part in (name, error.get("message")) if part) or "failed"
    return " ".join(str(error).split())[:_REASON_CHARS]
