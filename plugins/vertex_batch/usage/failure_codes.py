"""What the reason of a failed row says: why it failed, and whether it may be answered another time. Pure."""

from __future__ import annotations

import re
from enum import Enum

from vertex_batch.usage.types import EMPTY_RESPONSE, NO_RESPONSE

FailureCause = Enum("FailureCause", "REFUSED BUSY BROKE LATE DENIED GONE ENDED SILENT OTHER")
"""Why a row failed."""

# google.rpc's names and numbers, HTTP's codes, and the types of Anthropic and OpenAI. Source: google.rpc.Code
# and Google's page on API errors.
_CODES = {
    FailureCause.REFUSED: "INVALID_ARGUMENT FAILED_PRECONDITION OUT_OF_RANGE 400 3 9 11",
    FailureCause.BUSY: (
        "RESOURCE_EXHAUSTED UNAVAILABLE OVERLOADED_ERROR RATE_LIMIT_ERROR RATE_LIMIT_EXCEEDED"
        " 429 503 529 8 14"
    ),
    FailureCause.BROKE: "INTERNAL UNKNOWN ABORTED API_ERROR SERVER_ERROR 500 502 13 2 10",
    FailureCause.LATE: "DEADLINE_EXCEEDED TIMEOUT_ERROR 504 408 4",
    FailureCause.DENIED: "PERMISSION_DENIED UNAUTHENTICATED 403 401 7 16",
    FailureCause.GONE: "NOT_FOUND 404 5",
    FailureCause.ENDED: "CANCELLED CANCELED EXPIRED 499 1",
    FailureCause.OTHER: "ALREADY_EXISTS DATA_LOSS UNIMPLEMENTED",
}
_CAUSES = {code: cause for cause, codes in _CODES.items() for code in codes.split()}
# Nothing in a row without an answer and without an error speaks against another attempt; it was not billed.
_PASSING = frozenset(
    {FailureCause.BUSY, FailureCause.BROKE, FailureCause.LATE, FailureCause.ENDED, FailureCause.SILENT}
)
_NAME = "|".join(code for code in _CAUSES if not code.isdecimal())
# A code of HTTP, or a name in capitals, whatever follows. A small number or another word may begin a
# sentence: it is a code or a name only if a colon, the end, or (after a number) a name follows.
_FIRST = re.compile(
    r"(?:HTTP(?:/[\d.]+)? )?[\[(]?"
    rf"([45]\d\d\b|(?:{_NAME})\b|(?i:cancell?ed|expired)\b"
    rf"|\d{{1,3}}(?=\]|\)|:|$| (?:{_NAME})\b)|[A-Za-z_]+(?=\]|\)|:|$))"
)
_PASSING_PHRASE = re.compile(
    "deadline exceeded|resource (?:has been )?exhausted|internal (?:server )?error|service unavailable"
    f"|currently unavailable|too many requests|quota exceeded|overloaded|timed out|try again"
    f"|{EMPTY_RESPONSE}|{NO_RESPONSE}",
    re.IGNORECASE,
)


def cause_of(reason: str) -> FailureCause | None:
    """Read the code or name with which a reason begins; None if there is none.

    :param reason: what the scan says of the row, such as ``RESOURCE_EXHAUSTED: Quota exceeded``.
    """
    if reason in (EMPTY_RESPONSE, NO_RESPONSE):
        return FailureCause.SILENT
    found = _FIRST.match(reason)
    if not found:
        return None
    word = found[1].upper()
    unknown = FailureCause.OTHER if word.isdecimal() or "_" in word else None
    return _CAUSES.get(word, unknown)


def may_pass(reason: str) -> bool:
    """Whether a failed row may be answered if it is sent again."""
    cause = cause_of(reason)
    return cause in _PASSING if cause else bool(_PASSING_PHRASE.search(reason))


def was_not_run(reason: str) -> bool:
    """Whether a failed row was never run, because its job ended before."""
    return cause_of(reason) is FailureCause.ENDED
