"""Map an error answer to an error class. Google's answers are relayed by the proxy, which also has its own.

How to tell them apart (LiteLLM 1.106): Google's envelope has an integer ``code`` and a ``status``; the
proxy's has a ``type`` and its ``code`` is a string; its framework answers ``{"detail": ...}``. Anything else,
such as HTML, comes from a server in between, and only its HTTP status is reliable.

LiteLLM's 401 of type ``auth_error`` is a catch-all: every exception of its authentication that is not an
HTTP error becomes one, whatever its cause (proxy/auth/auth_exception_handler.py). So its message decides, and
if the message is not known, the error says that the cause is not certain.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus

from vertex_batch import errors
from vertex_batch.vertex.client.requests import ApiRequest

# Enough for every envelope that we know; an HTML page may be long.
_TEXT_MAX_BYTES = 8192
_TAGS = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^>]*>", re.IGNORECASE | re.DOTALL)
_GOOGLE_STATUS = re.compile(r"[A-Z][A-Z_]{1,39}")
_PROXY_TYPE = re.compile(r"[a-z][a-z_]{1,59}")

_KEY_TYPES = {"token_not_found_in_db", "expired_key"}
_UNKNOWN_FIELD = re.compile(r"Unknown name \"(\w{1,100})\"")
_CLIENT_CLOSED = 499

_BY_GOOGLE: dict[int, type[errors.ApiError]] = {
    400: errors.InvalidArgumentError,
    401: errors.PermissionDeniedError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    429: errors.ResourceExhaustedError,
    500: errors.InternalServerError,
    501: errors.InternalServerError,
}
_BY_PROXY: dict[int, type[errors.ApiError]] = {
    400: errors.InvalidArgumentError,
    401: errors.AccessRefusedError,
    403: errors.RouteNotAllowedError,
    404: errors.RouteNotFoundError,
    405: errors.RouteNotFoundError,
    429: errors.ProxyRateLimitError,
    500: errors.UpstreamUnreachableError,
}
# The proxy's messages, for answers whose status and type do not say what is wrong.
_BY_WORDS: tuple[tuple[re.Pattern[str], type[errors.ApiError]], ...] = (
    (re.compile(r"Budget has been exceeded"), errors.KeyBudgetExceededError),
    (re.compile(r"^No Vertex AI credential"), errors.NoCredentialError),
    (re.compile(r"is not allowed in request body"), errors.InvalidArgumentError),
    (
        re.compile(r"Only proxy admin can be used|only for MASTER KEY|is an admin only route"),
        errors.AdminKeyRequiredError,
    ),
    (
        re.compile(r"\b(Team|Project|User|Organization)=\S+ (is blocked|has been deactivated)"),
        errors.OwnerBlockedError,
    ),
    (
        re.compile(
            r"Key is blocked|LiteLLM Virtual Key expected|No api key passed|Malformed API Key"
            r"|Invalid proxy server token passed"
        ),
        errors.BadKeyError,
    ),
)
# Answers of a server in between. An ingress's answer while the proxy restarts is not a reason to give up a
# running job. A 404 that is not Google's says nothing about the job: to read it as "the job is gone" would
# mean paying twice.
_BY_INTERMEDIARY: dict[int, type[errors.ApiError]] = {
    400: errors.UnexpectedAnswerError,
    401: errors.AccessRefusedError,
    403: errors.UnexpectedAnswerError,
    404: errors.UnexpectedAnswerError,
    405: errors.UnexpectedAnswerError,
    429: errors.ProxyRateLimitError,
    500: errors.InternalServerError,
}


class Answerer(StrEnum):
    """The program that created an answer."""

    GOOGLE = "Google"
    PROXY = "the proxy"
    UNKNOWN = "a server in between"


@dataclass(frozen=True, slots=True)
class Failure:
    """The content of an error body.

    :param status: Google's ``status`` or the proxy's ``type``.
    :param code: the integer of Google's envelope.
    """

    origin: Answerer
    message: str
    status: str = ""
    code: int | None = None


def read_failure(body: bytes) -> Failure:
    """Read the body of an error. Any bytes give a result."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        # What LiteLLM's web framework answers to an uncaught exception.
        is_proxy = body.strip() == b"Internal Server Error"
        return Failure(Answerer.PROXY if is_proxy else Answerer.UNKNOWN, _plain_text(body))
    if isinstance(data, list) and len(data) == 1:
        data = data[0]
    if isinstance(data, dict):
        if isinstance(data.get("error"), dict):
            return _read_envelope(data["error"])
        if "detail" in data:
            return Failure(Answerer.PROXY, _words(data["detail"]))
    return Failure(Answerer.UNKNOWN, _plain_text(body))


def _read_envelope(error: dict[str, object]) -> Failure:
    code, kind, status = error.get("code"), error.get("type"), error.get("status")
    message = _words(error.get("message", ""))
    if isinstance(code, int) and not isinstance(code, bool) and not isinstance(kind, str):
        named = status if isinstance(status, str) and _GOOGLE_STATUS.fullmatch(status) else ""
        return Failure(Answerer.GOOGLE, message, named, code)
    if isinstance(kind, str):
        return Failure(Answerer.PROXY, message, kind if _PROXY_TYPE.fullmatch(kind) else "")
    return Failure(Answerer.UNKNOWN, message)


def _words(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _plain_text(body: bytes) -> str:
    text = body[:_TEXT_MAX_BYTES].decode(errors="replace")
    return " ".join(_TAGS.sub(" ", text).split()) or "(empty body)"


def classify(http_status: int, failure: Failure, request: ApiRequest) -> type[errors.ApiError]:
    """Choose the error class for an answer without a usable result."""
    if http_status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT}:
        return errors.RouteNotFoundError
    if http_status < HTTPStatus.BAD_REQUEST:
        return errors.UnexpectedAnswerError
    if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR and not request.operation.is_answered_by_google:
        return errors.ProxyInternalError
    if failure.origin is Answerer.GOOGLE:
        return _google_made(http_status, failure, request)
    if failure.origin is Answerer.PROXY:
        return _proxy_made(http_status, failure)
    return _BY_INTERMEDIARY.get(http_status) or _by_class(http_status)


def _google_made(http_status: int, failure: Failure, request: ApiRequest) -> type[errors.ApiError]:
    if http_status == HTTPStatus.BAD_REQUEST and _has_added_field(failure.message, request):
        return errors.FieldAddedError
    if http_status == HTTPStatus.BAD_REQUEST and failure.status == "FAILED_PRECONDITION":
        return errors.FailedPreconditionError
    if http_status == HTTPStatus.CONFLICT and failure.status == "ABORTED":
        return errors.ServiceUnavailableError
    return _BY_GOOGLE.get(http_status) or _by_class(http_status)


def _has_added_field(message: str, request: ApiRequest) -> bool:
    """Whether Google refused only fields that are not in the request as it was sent to the proxy."""
    unknown = _UNKNOWN_FIELD.findall(message)
    sent = _names(request.json or {})
    return bool(unknown) and all(name not in sent for name in unknown)


def _names(value: object) -> set[str]:
    """Collect the names of all fields of a body, at any depth."""
    if isinstance(value, Mapping):
        return set(value).union(*(_names(each) for each in value.values()))
    if isinstance(value, list):
        return set().union(*(_names(each) for each in value))
    return set()


def _proxy_made(http_status: int, failure: Failure) -> type[errors.ApiError]:
    kind = failure.status
    if kind == "budget_exceeded":
        return errors.KeyBudgetExceededError
    if kind.endswith("_model_access_denied"):
        return errors.ModelNotAllowedError
    if kind in _KEY_TYPES or (kind == "no_db_connection" and http_status == HTTPStatus.BAD_REQUEST):
        # Without a database the proxy knows only the master key, and answers "No connected db." to any other.
        return errors.BadKeyError
    if http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        for words, error in _BY_WORDS:
            if words.search(failure.message):
                return error
    return _BY_PROXY.get(http_status) or _by_class(http_status)


def _by_class(http_status: int) -> type[errors.ApiError]:
    if http_status >= HTTPStatus.INTERNAL_SERVER_ERROR or http_status in {
        HTTPStatus.REQUEST_TIMEOUT,
        _CLIENT_CLOSED,
    }:
        return errors.ServiceUnavailableError
    return errors.InvalidArgumentError


def leaves_create_unknown(http_status: int, failure: Failure) -> bool:
    """Whether a create with this error answer may have created a job anyway.

    The proxy answers 500 when Google's answer did not reach it. Its 503 ``no_db_connection`` comes from a
    handler that catches any error, before or after the call to Google. So of all 5xx only Google's own 503
    means that no job was created. Two of the 4xx are also time-outs.
    """
    if HTTPStatus.BAD_REQUEST <= http_status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return http_status in {HTTPStatus.REQUEST_TIMEOUT, _CLIENT_CLOSED}
    if http_status in {HTTPStatus.MOVED_PERMANENTLY, HTTPStatus.PERMANENT_REDIRECT}:
        return False
    return not (
        http_status == HTTPStatus.SERVICE_UNAVAILABLE
        and failure.origin is Answerer.GOOGLE
        and failure.code == HTTPStatus.SERVICE_UNAVAILABLE
        and failure.status == "UNAVAILABLE"
    )
