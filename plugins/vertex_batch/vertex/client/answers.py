"""Turn an answer into data or a typed error. Pure, for both clients."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn

import httpx
from pydantic import ValidationError

from vertex_batch import errors
from vertex_batch.vertex.client.failures import classify, leaves_create_unknown, read_failure
from vertex_batch.vertex.client.requests import SPEND_PAGE_ROWS, ApiRequest
from vertex_batch.vertex.resource import BatchPredictionJob

JsonObject = dict[str, Any]

_SECONDS = re.compile(r"\d{1,7}(\.\d{1,6})?", re.ASCII)
_RESETS_AT = re.compile(r"Limit resets at: (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC", re.ASCII)
_CALL_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
# In each relayed answer LiteLLM gives the limit of the key, but not those of its team or user.
_KEY_TPM_LIMIT = "x-litellm-key-tpm-limit"
_EMPTY_PAGE_KEYS = {"nextPageToken"}


def interpret(
    request: ApiRequest, status: int, headers: Mapping[str, str], body: bytes, *, secret: str = ""
) -> JsonObject:
    """Return the answer's JSON object, or raise the matching error.

    :param secret: the key in use; it is removed from messages, since a server may repeat it.
    :raises AmbiguousSubmitError: the request was a create, and a job may have been created.
    :raises ApiError: the subclass says what happened.
    """
    data = _json_object(body) if 200 <= status < 300 else None  # noqa: PLR2004 - the class of success
    if data is None:
        _refuse(request, status, {name.lower(): value for name, value in headers.items()}, body, secret)
    return data


def _refuse(
    request: ApiRequest, status: int, headers: Mapping[str, str], body: bytes, secret: str
) -> NoReturn:
    failure = read_failure(body)
    kind, message = classify(status, failure, request), failure.message
    if status < 300:  # noqa: PLR2004 - the class of success
        message = f"not a JSON object: {message}"
    if "location" in headers:
        message = f"redirect to {headers['location']}"
    if kind is errors.FieldAddedError and headers.get(_KEY_TPM_LIMIT, "").isdecimal():
        message = f"{message} (the key has tpm_limit {headers[_KEY_TPM_LIMIT]})"
    call_id = headers.get("x-litellm-call-id", "")
    _fail(
        request,
        kind,
        unknown=leaves_create_unknown(status, failure),
        http_status=status,
        status=errors.scrub(failure.status, secret),
        message=errors.scrub(message, secret),
        retry_after_seconds=_retry_after_seconds(headers, failure.message),
        call_id=call_id if _CALL_ID.fullmatch(call_id) else "",
    )


def _json_object(body: bytes) -> JsonObject | None:
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def _fail(
    request: ApiRequest,
    kind: type[errors.ApiError],
    *,
    unknown: bool = True,
    cause: Exception | None = None,
    **facts: Any,
) -> NoReturn:
    """Raise an error of this kind, or an `AmbiguousSubmitError` if the outcome of a create is unknown."""
    unknown = unknown and request.operation is errors.Operation.CREATE
    facts["source"] = request.source
    error = kind(request.operation, request.target, may_have_submitted=unknown, **facts)
    error.__cause__ = cause
    if not unknown:
        raise error
    facts["message"] = f"{kind.what}: {error.message}" if error.message else kind.what
    raise errors.AmbiguousSubmitError(request.operation, request.target, **facts) from error


def fail_in_transport(
    request: ApiRequest, base_url: str, error: httpx.HTTPError, secret: str = ""
) -> NoReturn:
    """Raise the error for a broken connection. It depends on whether the request had been sent."""
    reason = errors.scrub(_first_words(error), secret)
    not_sent = (
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.PoolTimeout,
        httpx.ProxyError,
        httpx.UnsupportedProtocol,
    )
    if isinstance(error, not_sent):
        message = f"{base_url}: {reason}"
        _fail(request, errors.ProxyUnreachableError, unknown=False, cause=error, message=message)
    _fail(request, errors.AnswerLostError, cause=error, message=f"{type(error).__name__}: {reason}")


def _first_words(error: BaseException) -> str:
    # httpx's error for a failed TLS handshake may be empty; its cause has the message.
    seen: BaseException | None = error
    while seen is not None:
        if words := str(seen):
            return words
        seen = seen.__cause__ or seen.__context__
    return type(error).__name__


def _retry_after_seconds(headers: Mapping[str, str], message: str) -> float | None:
    """How long to wait. LiteLLM's own 429 lacks the header, but its message contains the time."""
    asked = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(asked):
        return float(asked)
    now = _http_date(headers.get("date", ""))
    until = _http_date(asked)
    if until is None and (match := _RESETS_AT.search(message)):
        try:
            until = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        except ValueError:
            return None
    return max(0.0, (until - now).total_seconds()) if until and now else None


def _http_date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    :param unreadable: job id -> why this entry is not a job. Only `read_page_leniently` fills it.
    """

    jobs: tuple[BatchPredictionJob, ...]
    next_token: str
    unreadable: Mapping[str, errors.UnexpectedAnswerError] = field(default_factory=dict)


def read_job(request: ApiRequest, answer: object) -> BatchPredictionJob:
    """Read a job.

    :raises UnexpectedAnswerError: the answer is not a job.
    :raises AmbiguousSubmitError: the same for a create.
    """
    try:
        job = BatchPredictionJob.model_validate(answer)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        _unexpected(request, f"not a job: {place}: {first['msg']}", error)
    if not job.job_id:
        _unexpected(request, "not a job: its name is empty")
    return job


def read_page(request: ApiRequest, answer: JsonObject) -> Page:
    """Read a page of jobs.

    Strict, since "not in the list" may lead to a second job: an empty page must look exactly like Google's.
    """
    entries, token = _entries(request, answer)
    return Page(tuple(read_job(request, entry) for entry in entries), token)


def read_page_leniently(request: ApiRequest, answer: JsonObject) -> Page:
    """Read a page of jobs, and set aside the entries that are not jobs, so that the others can be used."""
    jobs: list[BatchPredictionJob] = []
    unreadable: dict[str, errors.UnexpectedAnswerError] = {}
    entries, token = _entries(request, answer)
    for entry in entries:
        try:
            jobs.append(read_job(request, entry))
        except errors.UnexpectedAnswerError as error:
            name = entry.get("name") if isinstance(entry, dict) else None
            unreadable[str(name).rpartition("/")[2]] = error
    return Page(tuple(jobs), token, unreadable)


def _entries(request: ApiRequest, answer: JsonObject) -> tuple[list[object], str]:
    entries, token = answer.get("batchPredictionJobs"), answer.get("nextPageToken", "")
    if entries is None and answer.keys() <= _EMPTY_PAGE_KEYS:
        entries = []
    if not isinstance(entries, list) or not isinstance(token, str):
        _unexpected(request, f"not a list of jobs, but an object with {', '.join(sorted(answer)[:5])}")
    return entries, token


def read_nothing(_request: ApiRequest, _answer: JsonObject) -> None:
    """Read the answer of a cancel, an empty object."""


def read_object(_request: ApiRequest, answer: JsonObject) -> JsonObject:
    return answer


def read_models(request: ApiRequest, answer: JsonObject) -> list[JsonObject]:
    """Read ``GET /model/info``."""
    models = answer.get("data")
    if not isinstance(models, list) or not all(isinstance(model, dict) for model in models):
        _unexpected(request, "not a list of models")
    return models


@dataclass(frozen=True, slots=True)
class SpendPage:
    """One page of ``GET /spend/logs/v2``.

    :param is_last: no row of the period is on a later page. The proxy stops counting at 10,000, so its number
        of pages is not enough to know.
    """

    rows: tuple[JsonObject, ...]
    is_last: bool


def read_spend(request: ApiRequest, answer: JsonObject) -> SpendPage:
    """Read a page of ``GET /spend/logs/v2``."""
    rows, pages = answer.get("data"), answer.get("total_pages")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        _unexpected(request, "not a list of spend logs")
    if not isinstance(pages, int):
        _unexpected(request, "the number of pages is missing")
    may_follow = len(rows) >= SPEND_PAGE_ROWS or pages > int(request.params["page"])
    return SpendPage(tuple(rows), is_last=not (rows and may_follow))


def next_token(request: ApiRequest, page: Page, seen: set[str]) -> str:
    """Return the token of the page that follows; empty after the last one.

    :param seen: the tokens so far; this one is added.
    :raises UnexpectedAnswerError: the pages repeat, so the list cannot be read to its end.
    """
    if page.next_token in seen:
        raise errors.UnexpectedAnswerError(
            request.operation,
            request.target,
            message="the same nextPageToken came twice, so the list never ends",
            source=request.source,
        )
    if page.next_token:
        seen.add(page.next_token)
    return page.next_token


def _unexpected(request: ApiRequest, message: str, cause: Exception | None = None) -> NoReturn:
    _fail(request, errors.UnexpectedAnswerError, cause=cause, http_status=200, message=message)
