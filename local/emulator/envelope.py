"""Google's error envelope, and the pages that its front end answers with instead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# google.rpc.Code by name: (number, HTTP status). From google/rpc/code.proto.
CODES: dict[str, tuple[int, int]] = {
    "CANCELLED": (1, 499),
    "UNKNOWN": (2, 500),
    "INVALID_ARGUMENT": (3, 400),
    "DEADLINE_EXCEEDED": (4, 504),
    "NOT_FOUND": (5, 404),
    "ALREADY_EXISTS": (6, 409),
    "PERMISSION_DENIED": (7, 403),
    "RESOURCE_EXHAUSTED": (8, 429),
    "FAILED_PRECONDITION": (9, 400),
    "ABORTED": (10, 409),
    "OUT_OF_RANGE": (11, 400),
    "UNIMPLEMENTED": (12, 501),
    "INTERNAL": (13, 500),
    "UNAVAILABLE": (14, 503),
    "DATA_LOSS": (15, 500),
    "UNAUTHENTICATED": (16, 401),
}

# Several codes share an HTTP status; these are the ones Google sends when it has nothing more precise to say.
STATUS_OF_HTTP: dict[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_MESSAGES: dict[int, str] = {
    401: "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
    "other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project.",
    403: "The caller does not have permission",
    404: "Requested entity was not found.",
    429: "Resource exhausted. Please try again later. Please refer to "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/error-code-429 for more details.",
    500: "Internal error encountered.",
    503: "The service is currently unavailable.",
    504: "Deadline expired before operation could complete.",
}


class ApiError(Exception):
    """An answer that the service gives instead of a result.

    :param status: the name of a google.rpc.Code, such as ``NOT_FOUND``.
    """

    def __init__(self, status: str, message: str, details: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = [dict(detail) for detail in details]
        self.http_status = CODES[status][1]

    def body(self) -> dict[str, Any]:
        """The envelope that Google puts around an error."""
        return envelope(self.http_status, self.status, self.message, self.details)


def envelope(
    http_status: int, status: str, message: str, details: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """Wrap an error as Google does."""
    error: dict[str, Any] = {"code": http_status, "message": message, "status": status}
    if details:
        error["details"] = list(details)
    return {"error": error}


def envelope_of_http(http_status: int, status: str = "", message: str = "") -> dict[str, Any]:
    """The envelope that goes with an HTTP status, for faults that name no more than that."""
    name = status or STATUS_OF_HTTP.get(http_status, "UNKNOWN")
    return envelope(http_status, name, message or _MESSAGES.get(http_status, f"HTTP {http_status}"))


def bad_request(violations: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The ``google.rpc.BadRequest`` detail: which fields, and why."""
    return {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": field, "description": text} for field, text in violations],
    }


def error_info(reason: str, metadata: Mapping[str, str], domain: str = "googleapis.com") -> dict[str, Any]:
    """The ``google.rpc.ErrorInfo`` detail: a reason that a program can act on."""
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": dict(metadata),
    }


def html_page(http_status: int, path: str) -> str:
    """The page of Google's front end, for a path it does not know or a backend it cannot reach."""
    titles = {404: "Error 404 (Not Found)!!1", 502: "Error 502 (Server Error)!!1"}
    reason = (
        f"The requested URL <code>{path}</code> was not found on this server."
        if http_status == 404  # noqa: PLR2004
        else "The server encountered a temporary error and could not complete your request.<p>"
        "Please try again in 30 seconds."
    )
    return (
        "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
        f"  <title>{titles.get(http_status, f'Error {http_status}')}</title>\n"
        f"  <p><b>{http_status}.</b> <ins>That is an error.</ins>\n"
        f"  <p>{reason}  <ins>That is all we know.</ins>\n"
    )
