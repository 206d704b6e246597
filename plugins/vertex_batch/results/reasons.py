"""Which failed rows may be answered another time. Pure."""

from __future__ import annotations

import re

# google.rpc's names and numbers, HTTP's codes, and the types of Anthropic and OpenAI. Source: google.rpc.Code
# and Google's page on API errors.
_NAMES = frozenset(
    {
        "ABORTED",
        "CANCELLED",
        "CANCELED",
        "DEADLINE_EXCEEDED",
        "INTERNAL",
        "RESOURCE_EXHAUSTED",
        "UNAVAILABLE",
        "UNKNOWN",
        "EXPIRED",
        "API_ERROR",
        "OVERLOADED_ERROR",
        "RATE_LIMIT_ERROR",
        "RATE_LIMIT_EXCEEDED",
        "SERVER_ERROR",
        "TIMEOUT_ERROR",
    }
)
_CODES = frozenset({1, 2, 4, 8, 10, 13, 14, 408, 429, 499, 500, 502, 503, 504, 529})
_STAY = frozenset(
    {
        "ALREADY_EXISTS",
        "DATA_LOSS",
        "FAILED_PRECONDITION",
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "OUT_OF_RANGE",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "UNIMPLEMENTED",
    }
)
_NAME = "|".join(sorted(_NAMES | _STAY))
# A code of HTTP, or a name in capitals, whatever follows. A small number or another word may begin a
# sentence: it is a code or a name only if a colon, the end, or (after a number) a name follows.
_FIRST = re.compile(
    r"(?:HTTP(?:/[\d.]+)? )?[\[(]?"
    rf"([45]\d\d\b|(?:{_NAME})\b|\d{{1,3}}(?=\]|\)|:|$| (?:{_NAME})\b)|[A-Za-z_]+(?=\]|\)|:|$))"
)
_PHRASES = (
    "deadline exceeded",
    "resource exhausted",
    "resource has been exhausted",
    "internal error",
    "internal server error",
    "service unavailable",
    "currently unavailable",
    "too many requests",
    "quota exceeded",
    "overloaded",
    "timed out",
    "try again",
    # What `usage.reader` says of a row without an answer and without an error: nothing in it speaks against
    # another attempt, and it was not billed.
    "empty response",
    "no response in the row",
)


def may_pass(reason: str) -> bool:
    """Whether a failed row may be answered if it is sent again.

    :param reason: what `usage` says of the row, such as ``RESOURCE_EXHAUSTED: Quota exceeded``.
    """
    if found := _FIRST.match(reason):
        word = found[1]
        if word.isdecimal():
            return int(word) in _CODES
        if word.upper() in _NAMES:
            return True
        if "_" in word or word.upper() in _STAY:
            return False
    said = reason.lower()
    return any(phrase in said for phrase in _PHRASES)
