"""Read one line of output: the row's outcome and its usage. The shape is detected for each row."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from vertex_batch.usage import claude_openai, embeddings, gemini
from vertex_batch.usage.counting import BadCountError, count, slot
from vertex_batch.usage.outcomes import (
    Failed,
    Reading,
    Unreadable,
    Unrecognized,
    stated_failure,
    status_reason,
)
from vertex_batch.usage.rows import (
    Response,
    Result,
    Row,
    UsageMetadata,
    decode_anything,
    decode_body,
    decode_raw_list,
    decode_response,
    decode_result,
    decode_row,
    decode_row_strictly,
    decode_usage,
    decode_usage_strictly,
)
from vertex_batch.usage.types import EMPTY_RESPONSE, INPUT_ROW, NO_RESPONSE, NO_USAGE, Kind

_INPUT = slot(Kind.INPUT)
Line = bytes | bytearray
Outcome = Reading | Failed | Unreadable | Unrecognized
_ROW_KEYS = frozenset({"request", "response", "status", "instance", "predictions"})
_ANSWER_KEYS = frozenset({"usageMetadata", "usage", "usage_metadata", "candidates"})
_OUTPUT_KEYS = frozenset({"status", "processed_time", "response", "predictions", "prediction", "result"})
_INPUT_KEYS = frozenset(
    {"request", "body", "content", "contents", "messages", "prompt", "instance", "instances"}
)
_HTTP_OK = range(200, 300)
_UNKNOWN_FIELD = re.compile(r"unknown field `(.*?)`")
_NAMED_KEYS = 6
_KEY_CHARS = 30


def read_row(line: Line) -> Outcome:
    """Classify one line and read its usage. Never raises for what a line holds."""
    try:
        row = decode_row_strictly(line)
        return stated_failure(row.status) or _timed(row, line)
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

    Answers have both, in scores and in texts, and are billed. None if it is still not JSON.
    """
    try:
        row = json.loads(line, parse_constant=lambda _: None)
        plain = json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return None
    return plain if plain != line else None


def _read_odd(line: Line, error: str) -> Outcome:
    """A row that is not as we know them. New usage fields are reported; a wrong type is a reason to stop."""
    try:
        row = decode_row(line)
        reading = stated_failure(row.status) or _timed(row, line)
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


def _timed(row: Row[Any], line: Line) -> Reading | Failed | Unrecognized:
    wrapper, outcome = _read(row, line)
    if row.error and not (isinstance(outcome, Reading) and outcome.counts):
        # Beside an answer it is a field of the input row, which has that name by chance.
        outcome = stated_failure(row.error) or outcome
    if isinstance(outcome, Reading):
        outcome.processed_time, outcome.wrapper = row.processed_time, wrapper
    return outcome


def _read(row: Row[Any], line: Line) -> tuple[str, Reading | Failed | Unrecognized]:
    """The member of the row that has the answer, and its outcome."""
    response = row.response
    if isinstance(response, str):
        response = decode_response(response) if response.strip() else None
    if response is not None:
        return "response", _usage(response, row.request) or _without_usage(response, line)
    if (predictions := _unwrapped(row.predictions)) is not None:
        return "predictions", _predictions(predictions, row)
    if (prediction := _unwrapped(row.prediction)) is not None:
        return "prediction", _prediction(prediction) or Unrecognized("a prediction without usage")
    if (result := _unwrapped(row.result)) is not None and result[:1] == b"{":
        return "result", _anthropic_result(decode_result(result))
    return "", _without_response(line)


def _unwrapped(raw: Raw | UnsetType) -> bytes | None:
    """A member as JSON; None if it is absent, null or empty. In tables it can be JSON inside a string."""
    text = b"" if raw is UNSET else bytes(raw)
    if text[:1] == b'"':
        inner = decode_anything(text)
        text = inner.strip().encode() if inner.lstrip()[:1] in ("{", "[") else text
    return None if text in (b"", b"null", b'""') else text


def _predictions(raw: bytes, row: Row[Any]) -> Reading | Failed | Unrecognized:
    """What a model wrote for one instance: embeddings, or the answers of a custom container."""
    each = decode_raw_list(raw) if raw[:1] == b"[" else []
    if not each and raw == b"[]":
        return Reading(notes=[NO_USAGE])
    if each and (embedded := embeddings.read(each, row)):
        return embedded
    readings = [_prediction(bytes(prediction)) for prediction in each]
    known = [reading for reading in readings if isinstance(reading, Reading)]
    if not known:
        failed = next((reading for reading in readings if reading), None)
        return failed or Unrecognized("predictions without usage")
    return Reading(
        prompt_tokens=max(reading.prompt_tokens for reading in known),
        counts=[counted for reading in known for counted in reading.counts],
        notes=[note for reading in known for note in reading.notes] + [NO_USAGE] * (len(known) < len(each)),
    )


def _prediction(raw: bytes) -> Reading | Failed | None:
    """The usage of one answer of a custom container, in any form that is known; None if it states none."""
    if raw[:1] != b"{":
        return None
    try:
        answer = decode_response(raw)
        return _usage(answer, UNSET) if answer else None
    except msgspec.ValidationError:
        return None


def _anthropic_result(result: Result) -> Reading | Failed | Unrecognized:
    """One of Anthropic's batch results: succeeded, errored, canceled or expired."""
    if result.type in ("errored", "canceled", "expired"):
        return Failed(status_reason(result.error or result.type))
    if result.type != "succeeded" or _unwrapped(result.message) is None:
        return Unrecognized(f"a result of the type {str(result.type)[:_KEY_CHARS]!r} without a message")
    message = decode_response(_unwrapped(result.message) or b"null")
    found = _usage(message, UNSET) if message else None
    return found or Reading(notes=[NO_USAGE])


def _usage(response: Response[UsageMetadata], request: Raw | UnsetType) -> Reading | Failed | None:
    """The usage of an answer of any shape; None if it has none."""
    if response.error and not response.candidates:
        return Failed(status_reason(response.error))
    metadata = response.usage_metadata
    if metadata is None:
        metadata = response.usage_metadata_snake
    if metadata is not None and (reading := gemini.read(metadata, response, request)):
        return reading
    if response.body is not UNSET or response.usage is not UNSET or response.status_code is not None:
        return _message_usage(response)
    tokens = count(response.token_count, response.token_count_snake)
    if tokens is None:
        return None
    return gemini.reading_of(response, prompt_tokens=tokens, counts=[(_INPUT, tokens)])


def _message_usage(response: Response[UsageMetadata]) -> Reading | Failed | None:
    """The usage of Claude's and OpenAI-style answers, which may report an error in their own ways."""
    inner = _unwrapped(response.body)
    body = decode_body(inner) if inner and (inner[:1] == b"{" or _is_http_ok(response.status_code)) else None
    if not _is_http_ok(response.status_code):
        why = f": {status_reason(body.error)}" if body and body.error else ""
        return Failed(f"HTTP {response.status_code}{why}")
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
    reading = claude_openai.read(usage) if usage is not None else None
    if reading and unknown:
        reading.notes.append(unknown)
    return reading


def _is_http_ok(code: object) -> bool:
    """Whether an OpenAI-style status code means an answer; one that is not a number is ignored."""
    text = str(code)
    return not (text.isascii() and text.isdecimal()) or int(text) in _HTTP_OK


def _without_response(line: Line) -> Reading | Failed | Unrecognized:
    """A row without a response: the whole line may be one, as BigQuery's response column is."""
    row = decode_anything(line)
    keys = row.keys()
    if not _ROW_KEYS & keys and _ANSWER_KEYS & keys:
        response = decode_response(line)
        assert response is not None
        return _usage(response, UNSET) or Reading(model=response.model, notes=[NO_USAGE])
    if _OUTPUT_KEYS & keys:
        return Failed(NO_RESPONSE)
    if _INPUT_KEYS & keys:
        return Unrecognized(INPUT_ROW)
    named = ", ".join(sorted(key[:_KEY_CHARS] for key in keys)[:_NAMED_KEYS]) or "none"
    return Unrecognized(f"not a known output format; its keys are: {named}")


def _without_usage(response: Response[UsageMetadata], line: Line) -> Reading | Failed:
    answer = decode_anything(line)["response"]
    if isinstance(answer, str):
        answer = decode_anything(answer)
    if not answer:
        return Failed(EMPTY_RESPONSE)
    return gemini.reading_of(response, notes=[NO_USAGE])


def _failed_all_the_same(line: Line) -> Failed | None:
    """A row with a status is failed even if something else in it has a type that we do not expect."""
    try:
        row = decode_anything(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(row, dict):
        return None
    return stated_failure(row.get("status")) or stated_failure(row.get("error"))
