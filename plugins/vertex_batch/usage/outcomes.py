"""The outcomes of rows that have no usage to bill, with their reasons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from vertex_batch.usage.rows import decode_anything

_REASON_CHARS = 160


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


def stated_failure(status: Any, error: Any) -> Failed | None:
    """The failure that a row reports: a status that is not OK, or an error beside the response."""
    if not status and not error:
        return None
    said = next((word for word in (status, error) if word and not _is_ok(word)), None)
    return Failed(status_reason(said)) if said else None


def _is_ok(status: Any) -> bool:
    """Whether a status that is not empty means none: blanks, or google.rpc's OK in words or as 0."""
    if isinstance(status, dict):
        return status.get("code") in (0, "0", None) and not any(status.get(k) for k in ("message", "error"))
    return isinstance(status, str) and status.strip().upper() in ("", "OK")


def status_reason(status: Any) -> str:
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
