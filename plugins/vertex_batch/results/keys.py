"""What identifies a row: its key, or its request in a canonical form. Pure.

Google echoes the request with its members sorted, may add null members, and may write a number in another
way. A key that looks like a number can come back as one (``"000000"`` as ``0``), so keys are also compared
by their numeric value, but only where no exact match exists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from struct import unpack
from typing import Any

import msgspec

from vertex_batch.preflight import REQUEST_NAMES, camel_case, decoded

Digest = tuple[int, int]
"""128 bits as two signed integers."""

_NUMBER = re.compile(r"[+-]?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?")
_encode = msgspec.json.Encoder(order="sorted").encode
_MAX_EXACT = 2**53
_KEY_MARK, _TEXT_MARK = b"\0", b"\1"
Nothing = tuple[None, None]
NOTHING: Nothing = (None, None)


def digest(data: bytes) -> Digest:
    """The digest of some bytes; hostile rows cannot make two of them equal."""
    high, low = unpack("<qq", blake2b(data, digest_size=16).digest())
    return high, low


def part_of_digest(data: bytes) -> int:
    """A number of some bytes; see `whole_digest`."""
    return int.from_bytes(blake2b(data, digest_size=16).digest())


def whole_digest(parts: Iterable[int]) -> str:
    """The digest of several things: the same in any order, and another one if one of them is there twice."""
    return f"{sum(parts) % 2**128:032x}"


def canonical_request(request: object) -> bytes:
    """A request's bytes, equal for every way in which Google may echo it.

    >>> one = canonical_request({"a_b": 1, "c": {"d": None}})
    >>> one == canonical_request({"c": {}, "aB": 1.0})
    True
    """
    try:
        return _encode(_canonical(request))
    except RecursionError:  # far deeper than what Google accepts, so that no output echoes it
        return _encode(request)


def request_of(row: dict[str, object]) -> object:
    """The request in an input or output row; the row itself if it has none, as rows of text embeddings."""
    for name in REQUEST_NAMES:
        if (found := row.get(name)) is not None:
            return decoded(found)
    return row


def has_request(row: dict[str, object]) -> bool:
    """Whether a row holds a request beside other members."""
    return any(row.get(name) is not None for name in REQUEST_NAMES)


def prompt_digest(row: dict[str, object]) -> Digest | None:
    """The digest of the texts in a row's request; None if it holds none.

    Unlike the canonical request it does not change with fields that Google may add, such as a role.
    """
    if not has_request(row):
        return None
    try:
        texts = sorted(_texts(request_of(row)))
    except RecursionError:
        return None
    return digest(_encode(texts)) if texts else None


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in value.items():
            if name in ("text", "content") and isinstance(each, str):
                yield each
            else:
                yield from _texts(each)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)


def key_text(value: object) -> str | None:
    """A key as text; None if the row has no key. Numbers are written in the shortest way."""
    if value is None:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < _MAX_EXACT:
        value = int(value)
    return msgspec.json.encode(value, order="sorted").decode()


def loose_key(text: str) -> str:
    """A key as an importer may rewrite it: what looks like a number becomes one.

    >>> loose_key("007"), loose_key("7.0"), loose_key("a7")
    ('7', '7', 'a7')
    """
    if not text or text[0] not in "+-0123456789" or not _NUMBER.fullmatch(text):
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return f"{number.normalize():f}" if number else "0"


def key_digest(text: str) -> Digest:
    """The digest of a key; it is never that of a request."""
    return digest(_KEY_MARK + text.encode("utf-8", "surrogatepass"))


def shared_digests(text: str, row: dict[str, object]) -> tuple[Digest | Nothing, Digest, Digest]:
    """What may identify a row whose key others have, too: key and request, the key as written, its number.

    The first is nothing if the row holds no request.
    """
    with_request: Digest | Nothing = NOTHING
    loose = loose_key(text).encode("utf-8", "surrogatepass")
    if has_request(row):
        with_request = digest(loose + b"\0" + canonical_request(request_of(row)))
    return (
        with_request,
        digest(_TEXT_MARK + text.encode("utf-8", "surrogatepass")),
        key_digest(loose_key(text)),
    )


def _canonical(value: Any) -> object:
    kind = type(value)
    if kind is str:
        return value
    if kind is dict:
        return {camel_case(name): _canonical(each) for name, each in value.items() if not _is_nothing(each)}
    if kind is list:
        return [_canonical(each) for each in value]
    if kind is float and value.is_integer() and abs(value) < _MAX_EXACT:
        return str(int(value))
    if kind is int or kind is float:
        return str(value)
    return value


def _is_nothing(value: object) -> bool:
    """Whether a member may as well be absent: null, or an object of nothing else."""
    return value is None or (type(value) is dict and all(_is_nothing(each) for each in value.values()))
