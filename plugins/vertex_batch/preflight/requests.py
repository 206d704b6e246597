"""Find what Google would refuse in the request of a row. Each problem fails that row alone."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vertex_batch.preflight.fields import KINDS, Field, FieldGroup, Message, is_misspelled

_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True)
class Flaw:
    """One problem of a row.

    :param is_certain: the row fails. Otherwise a later API may accept it.
    """

    path: str
    message: str
    is_certain: bool = True


def problems(request: object, message: Message, path: str) -> Iterator[Flaw]:
    """Yield the problems of a request, in the order of its keys."""
    yield from _message(request, message, path, 0)


def _message(value: object, message: Message, path: str, depth: int) -> Iterator[Flaw]:
    if not isinstance(value, Mapping):
        yield Flaw(path, f"is {KINDS[type(value)]}, where an object is expected")
        return
    if depth > _MAX_DEPTH:
        return  # the importer refuses it anyway
    named: dict[str, Any] = {}
    for key, inner in value.items():
        name = message.name_of(key)
        if name is None:
            yield _unknown(key, message, path)
        elif inner is not None:
            named[name] = inner
            yield from _field(inner, message.fields[name], f"{path}.{key}", depth)
    has_unknown = any(message.name_of(key) is None for key in value)
    for group in message.groups:
        yield from _group(named, group, path, has_unknown=has_unknown)


def _unknown(key: str, message: Message, path: str) -> Flaw:
    place = f"{path}.{key[:80]}"
    if right := message.meant_by(key):
        return Flaw(place, f"is not a field of Google's API, so Google refuses the row: write `{right}`")
    like = message.like(key)
    hint = f"; did you mean `{like}`?" if like else ""
    return Flaw(place, f"is not a known field of this request{hint}", is_certain=False)


def _group(named: Mapping[str, object], group: FieldGroup, path: str, *, has_unknown: bool) -> Iterator[Flaw]:
    there = [name for name in group.names if name in named]
    if len(there) > 1:
        yield Flaw(path, f"has {' and '.join(f'`{name}`' for name in there)}: exactly one may be set")
    elif not there and not any(name in named for name in group.unless):
        wanted = f"`{group.names[0]}`" if len(group.names) == 1 else f"one of {', '.join(group.names)}"
        yield Flaw(path, f"has no value for {wanted}", is_certain=not has_unknown)


def _field(value: object, field: Field, path: str, depth: int) -> Iterator[Flaw]:
    if not field.is_looked_into:
        return
    if field.is_map:
        yield from _map(value, field, path, depth)
    elif isinstance(value, list):
        yield from _items(value, field, path, depth)
    elif field.is_repeated and isinstance(value, Mapping) != bool(field.message):
        yield Flaw(
            path,
            f"is {KINDS[type(value)]}, where a list of {_expected(field).partition(' ')[2]}s is expected",
        )
    elif field.message:
        # One object in place of a list is allowed: Google's own examples have it.
        yield from _message(value, field.message, path, depth + 1)
    else:
        yield from _scalar(value, field, path)


def _map(value: object, field: Field, path: str, depth: int) -> Iterator[Flaw]:
    if not isinstance(value, Mapping):
        yield Flaw(path, f"is {KINDS[type(value)]}, where an object is expected")
        return
    for key, inner in value.items():
        if inner is not None:
            yield from _field(inner, field.of_value, f"{path}.{key}", depth)


def _items(value: list[Any], field: Field, path: str, depth: int) -> Iterator[Flaw]:
    if not field.is_repeated:
        yield Flaw(path, f"is a list, where {_expected(field)} is expected")
        return
    if not value and field.is_filled:
        yield Flaw(path, "is empty")
    if field.max_items is not None and len(value) > field.max_items:
        yield Flaw(path, f"has {len(value)} items, but Google accepts at most {field.max_items}")
    for item in value:
        if field.message:
            yield from _message(item, field.message, f"{path}[]", depth + 1)
        else:
            yield from _scalar(item, field, f"{path}[]")


def _scalar(value: object, field: Field, path: str) -> Iterator[Flaw]:
    if isinstance(value, (Mapping, list)):
        yield Flaw(path, f"is {KINDS[type(value)]}, where {_expected(field)} is expected")
    elif field.is_number:
        yield from _number(value, field, path)
    elif isinstance(value, str):
        yield from _text(value, field, path)


def _number(value: object, field: Field, path: str) -> Iterator[Flaw]:
    number = _as_number(value)
    if number is None:
        yield Flaw(path, f"is {KINDS[type(value)]}, where a number is expected")
        return
    if field.limits and not field.limits[0] <= number <= field.limits[1]:
        low, high = field.limits
        yield Flaw(path, f"is {value}, but Google accepts {low:,} to {high:,}")
    elif field.is_whole_number and number != int(number):
        yield Flaw(path, f"is {value}, where a whole number is expected")


def _text(value: str, field: Field, path: str) -> Iterator[Flaw]:
    if field.pattern and not re.search(field.pattern, value):
        yield Flaw(path, f"is {value[:80]!r}, where an address such as gs://BUCKET/OBJECT is expected")
    if not field.values or field.knows(value):
        return
    if field.kind == "choice":
        yield Flaw(path, f"is {value[:80]!r}, but Google accepts only {', '.join(field.values[:2])}")
        return
    right = next((known for known in field.values if is_misspelled(value.upper(), known.upper())), None)
    if right:
        yield Flaw(path, f"is {value[:80]!r}: write {right!r}")
    else:
        yield Flaw(path, f"is {value[:80]!r}, which is not a known value", is_certain=False)


def _as_number(value: object) -> float | None:
    """A number as Google reads it, even if it is written as a string."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _expected(field: Field) -> str:
    if field.message or field.is_map:
        return "an object"
    return "a number" if field.is_number else "a boolean" if field.kind == "boolean" else "a string"
