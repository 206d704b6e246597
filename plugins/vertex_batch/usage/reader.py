"""One line of output -> what became of the row, and its usage. The shape is chosen row by row."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from vertex_batch.usage import gemini, messages
from vertex_batch.usage.counting import BadCountError, count, slot
from vertex_batch.usage.reading import Reading
from vertex_batch.usage.rows import (
    Response,
    Row,
    UsageMetadata,
    decode_anything,
    decode_body,
    decode_predictions,
    decode_response,
    decode_row,
    decode_row_strictly,
    decode_usage,
    decode_usage_strictly,
)
from vertex_batch.usage.types import NO_USAGE, Kind

_INPUT = slot(Kind.INPUT)
_REASON_CHARS = 160
Line = bytes | bytearray
_ROW_KEYS = frozenset({"request", "response", "status", "instance", "predictions"})
_ANSWER_KEYS = frozenset({"usageMetadata", "usage_metadata", "usage", "candidates"})
_HTTP_OK = range(200, 300)
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`")


@dataclass(frozen=True, slots=True)
class Failed:
    """A row that Google could not answer. It is not billed, whatever it carries."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line that is not a row, or whose counts cannot be."""

    reason: str


def read_row(line: Line) -> Reading | Failed | Unreadable:
    """Classify one line and read its usage. Never raises for what a line holds."""
    try:
        row = decode_row_strictly(line)
        return _failed(row) or _read(row, line)
    except msgspec.ValidationError as error:
        return _read_odd(line, str(error))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        plain = strict_json(line)
        return read_row(plain) if plain else Unreadable(f"not JSON: {error}")
    except RecursionError:
        return Unreadable("nested too deeply")
    except BadCountError as error:
        return Unreadable(str(error))


def strict_json(line: Line) -> bytes | None:
    """Rewrite what other writers put into JSON and its standard refuses: NaN, halves of a surrogate pair.

    Answers have both, in scores and in texts, and are billed all the same. None: it is no JSON even so.
    """
    try:
        row = json.loads(line, parse_constant=lambda _: None)
        plain = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None
    return plain if plain != line else None


def _read_odd(line: Line, error: str) -> Reading | Failed | Unreadable:
    """A row that is not as we know them. New usage fields are reported; a wrong type is a reason to stop."""
    try:
        row = decode_row(line)
        reading = _failed(row) or _read(row, line)
    except msgspec.ValidationError as wrong:
        return _failed_all_the_same(line) or Unreadable(str(wrong))
    except (msgspec.DecodeError, UnicodeDecodeError, BadCountError) as wrong:
        return Unreadable(str(wrong))
    except RecursionError:
        return Unreadable("nested too deeply")
    if isinstance(reading, Reading) and (unknown := _unknown_field(error)):
        reading.notes.append(unknown)
    return reading


def _unknown_field(error: str) -> str:
    """The note about a field that a strict decoder refused; empty if that was not its reason."""
    found = _UNKNOWN_FIELD.search(error)
    return f"the usage has a field that is not known here: {found[1][:40]!r}" if found else ""


def _read(row: Row[Any], line: Line) -> Reading | Failed:
    response = row.response
    if isinstance(response, str):
        response = decode_response(response) if response.strip() else None
    if response is None:
        if row.predictions is not UNSET and (reading := _text_embeddings(row.predictions)):
            return reading
        return _without_response(line)
    return _usage(response) or _without_usage(response, line)


def _usage(response: Response[UsageMetadata]) -> Reading | Failed | None:
    """The usage of an answer, in whichever shape it is; None if it holds none."""
    if response.error and not response.candidates:
        return Failed(status_reason(response.error))
    metadata = response.usage_metadata
    if metadata is None:
        metadata = response.usage_metadata_snake
    if metadata is not None and (reading := gemini.read(metadata, response)):
        return reading
    if response.body is not UNSET or response.usage is not UNSET or response.status_code is not None:
        return _message_usage(response)
    tokens = count(response.token_count, response.token_count_snake)
    if tokens is None:
        return None
    return Reading(
        model=response.model or response.model_snake,
        response_id=response.response_id or response.response_id_snake,
        prompt_tokens=tokens,
        counts=[(_INPUT, tokens)],
    )


def _message_usage(response: Response[UsageMetadata]) -> Reading | Failed | None:
    """The usage of Claude's and OpenAI-style answers, which may tell of an error in their own ways."""
    if not _is_http_ok(response.status_code):
        return Failed(f"HTTP {response.status_code}")
    body = decode_body(response.body) if response.body is not UNSET else None
    if body and body.error:
        return Failed(status_reason(body.error))
    for raw in (body.usage if body else UNSET, response.usage):
        if raw is not UNSET and (reading := _read_message_usage(raw)):
            return reading
    return None


def _read_message_usage(raw: Raw) -> Reading | None:
    try:
        usage = decode_usage_strictly(raw)
    except msgspec.ValidationError as error:
        usage, unknown = decode_usage(raw), _unknown_field(str(error))
    else:
        unknown = ""
    reading = messages.read(usage) if usage is not None else None
    if reading and unknown:
        reading.notes.append(unknown)
    return reading


def _is_http_ok(code: Any) -> bool:
    """Whether an OpenAI-style status code means an answer; what is no number says nothing."""
    text = str(code)
    return not (text.isascii() and text.isdecimal()) or int(text) in _HTTP_OK


def _text_embeddings(raw: Raw) -> Reading | None:
    predictions = decode_predictions(raw)
    if isinstance(predictions, str):
        predictions = decode_predictions(predictions) if predictions.strip() else None
    if predictions is None or isinstance(predictions, str):
        return None
    stated = [
        count(p.embeddings.statistics.token_count, p.embeddings.statistics.token_count_camel)
        for p in predictions
        if p.embeddings and p.embeddings.statistics
    ]
    known = [n for n in stated if n is not None]
    total = sum(known)
    notes = [] if predictions and len(known) == len(predictions) else [NO_USAGE]
    return Reading(prompt_tokens=total, counts=[(_INPUT, total)], notes=notes)


def _without_response(line: Line) -> Reading | Failed:
    """A row without a response is failed, unless the whole line is one: BigQuery's response column."""
    row = decode_anything(line)
    if not _ROW_KEYS & row.keys() and _ANSWER_KEYS & row.keys():
        response = decode_response(line)
        assert response is not None
        return _usage(response) or Reading(model=response.model, notes=[NO_USAGE])
    return Failed("no response in the row")


def _without_usage(response: Response[UsageMetadata], line: Line) -> Reading | Failed:
    answer = decode_anything(line)["response"]
    if isinstance(answer, str):
        answer = decode_anything(answer)
    if not answer:
        return Failed("empty response")
    return Reading(
        model=response.model or response.model_snake,
        response_id=response.response_id or response.response_id_snake,
        notes=[NO_USAGE],
    )


def _failed_all_the_same(line: Line) -> Failed | None:
    """A row with a status is failed even if something else in it has a type that we do not expect."""
    try:
        row = decode_anything(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return _failed(Row(status=row.get("status"), error=row.get("error"))) if isinstance(row, dict) else None


def _failed(row: Row[Any]) -> Failed | None:
    """The failure that a row tells of: a status that is not OK, or an error beside the response."""
    if not row.status and not row.error:
        return None
    said = next((word for word in (row.status, row.error) if word and not _is_ok(word)), None)
    return Failed(status_reason(said)) if said else None


def _is_ok(status: Any) -> bool:
    """Whether a status that is not empty means none: blanks, or google.rpc's OK in words or as 0."""
    if isinstance(status, dict):
        return status.get("code") in (0, "0", None) and not any(status.get(k) for k in ("message", "error"))
    return isinstance(status, str) and status.strip().upper() in ("", "OK")


def status_reason(status: Any) -> str:
    """Google's words about a failed row, short: ``INVALID_ARGUMENT: Please use a valid role``.

    A status is free text, or free text with the JSON of an error in it, or a google.rpc.Status.
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
        name, message = error.get("status") or error.get("code"), error.get("message")
        error = ": ".join(str(part) for part in (name, message) if part) or "failed"
    return " ".join(str(error).split())[:_REASON_CHARS]
