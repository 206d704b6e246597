"""Compile columns into a decoder that accepts only rows that need no further check, at the speed of C.

It is strict. It refuses a new or misspelled key, a value of another type or outside of what Google accepts, a
missing required key, and invalid JSON. Rows that it refuses are checked one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from vertex_batch.preflight.columns import Column, Columns, LowNumber
from vertex_batch.preflight.fields import Field, FieldGroup, snake
from vertex_batch.preflight.keys import path_names, spellings, value_at

_PLAIN: dict[str, Any] = {"a string": str, "a boolean": bool, "a number": float}
_REFUSED = Literal["\x00 refused"]
"""No value has this type, so the row is checked one by one and its problem is reported."""


class CheckedRowDecoder:
    """Decodes the rows that `columns` has admitted. It does not detect objects without keys.

    :param key: the path of the key that identifies a row's answer; empty: rows have none.
    """

    def __init__(self, columns: Columns, key: str = "") -> None:
        self._path = path_names(key)
        strict = not columns.is_full
        self._decoder = msgspec.json.Decoder(_record(columns.root, strict=strict, key=self._path))
        self.decode: Callable[[bytes], object] = self._decoder.decode
        self.decode_lines: Callable[[bytes], list[object]] = self._decoder.decode_lines
        self._where = _place_of(columns.root, self._path)

    def keys(self, rows: Sequence[object]) -> list[Any]:
        """The keys of decoded rows; UNSET or None where a row has none."""
        if self._where is not None:
            try:
                return list(map(self._where, rows))
            except AttributeError:  # an object on the way to the key is missing, or is something else
                pass
        return [self._key(row) for row in rows]

    def _key(self, row: object) -> Any:
        """What `value_at` returns for the row, if it has not been decoded into records."""
        value = row
        for depth, name in enumerate(self._path):
            if not isinstance(value, msgspec.Struct):
                return value_at(value, self._path[depth:])
            fields = _key_fields(len(self._path) - depth, name)
            found = (getattr(value, field, UNSET) for field in fields)
            value = next((each for each in found if each is not UNSET), None)
        return value


def _key_fields(left: int, name: str) -> list[str]:
    """The attributes of a record that may be on the way to the key: one for each spelling of the name."""
    return [f"key{left}_{number}" for number, _ in enumerate(spellings(name))]


def _place_of(column: Column, key: Sequence[str]) -> Callable[[object], object] | None:
    """What gets the key from a decoded row; None unless all rows so far spell its path in one way."""
    attributes = []
    for left, name in zip(range(len(key), 0, -1), key, strict=True):
        fields = dict(zip(spellings(name), _key_fields(left, name), strict=True))
        there = [spelling for spelling in fields if spelling in column.children]
        if not there and not column.opaque and column.kinds <= {"an object"}:
            return lambda _row: UNSET
        if len(there) != 1:
            return None
        attributes.append(fields[there[0]])
        column = column.children[there[0]]
    return attrgetter(".".join(attributes)) if attributes else None


def _record(column: Column, *, strict: bool, key: Sequence[str] = ()) -> Any:
    fields: list[Any] = []
    names: dict[str, str] = {}
    known: dict[str, list[str]] = {}
    one_of = _one_of(column)
    to_key = dict(zip(spellings(key[0]), _key_fields(len(key), key[0]), strict=True)) if key else {}
    for number, (name, child) in enumerate(column.children.items()):
        field = to_key.get(name, f"f{number}")
        names[field] = name
        is_required = child.required or name in one_of
        rest = key[1:] if name in to_key else ()
        opaque = Any if name in to_key else Raw
        kind = opaque if child.opaque else _type(child, strict=strict, is_required=is_required, key=rest)
        fields.append((field, kind) if is_required else (field, kind | UnsetType, UNSET))
        known[name] = [*known.get(name, ()), field]
    groups = list(_groups(column))
    if any(not keys for _, keys in groups):
        fields.append(("refused", _REFUSED))  # no row so far had a value for a required group
    several = [[known[key][0] for key in keys] for _, keys in groups if len(keys) > 1]
    namespace: dict[str, Any] = {"__post_init__": _check_groups(several)} if several else {}
    if low := column.low_number:
        either = (low.field, snake(low.field))
        namespace["__post_init__"] = _check_number(low, [known[name][0] for name in either if name in known])
    return msgspec.defstruct(
        "Record",
        fields,
        rename=names,
        kw_only=True,
        forbid_unknown_fields=strict,
        gc=False,
        namespace=namespace,
    )


def _groups(column: Column) -> Iterator[tuple[FieldGroup, list[str]]]:
    """The groups of a message, each with its keys that had a value in a row so far."""
    message = column.message
    for group in message.groups if message else ():
        there = (key for key, child in column.children.items() if child.kinds)
        yield group, [key for key in there if message and message.name_of(key) in group.names]


def _one_of(column: Column) -> set[str]:
    """The keys that a record must have, since they are the only ones of their group so far."""
    return {keys[0] for _, keys in _groups(column) if len(keys) == 1}


def _check_groups(groups: Sequence[Sequence[str]]) -> Callable[[object], None]:
    getters = [attrgetter(*fields) for fields in groups]

    def exactly_one_of_each(record: object) -> None:
        for values in getters:
            if sum(value is not UNSET and value is not None for value in values(record)) != 1:
                raise ValueError("not exactly one is set")

    return exactly_one_of_each


def _check_number(low: LowNumber, fields: Sequence[str]) -> Callable[[Any], None]:
    def not_too_low(record: Any) -> None:
        for field in fields:
            value = getattr(record, field)
            if isinstance(value, int) and value < low.below and low.needs_check(record):
                raise ValueError("the number may be too low")

    return not_too_low


def _type(column: Column, *, strict: bool, is_required: bool, key: Sequence[str] = ()) -> Any:
    if column.is_misspelled:
        return _REFUSED
    kinds = [
        _kind(column, kind, strict=strict, is_required=is_required, key=key) for kind in sorted(column.kinds)
    ]
    taken = [kind for kind in kinds if kind is not _REFUSED]
    if not taken and (kinds or is_required):
        return _REFUSED
    if not is_required:
        taken.append(None)
    whole = taken[0]
    for kind in taken[1:]:
        whole = whole | kind
    return whole


def _kind(column: Column, kind: str, *, strict: bool, is_required: bool, key: Sequence[str]) -> Any:
    field = column.field if column.field and column.field.is_looked_into else None
    if field and not _may_be(field, kind, is_item=column.is_item):
        return _REFUSED
    if kind == "an object":
        return _record(column, strict=strict, key=key)
    if kind == "a list":
        return list[Any] if column.is_item else _list(column, strict=strict, is_required=is_required)
    if field and kind == "a string":
        return _text(field)
    if field and kind == "a number" and field.is_number:
        whole: Any = int if field.is_whole_number else float
        return Annotated[whole, Meta(ge=field.limits[0], le=field.limits[1])] if field.limits else whole
    return _PLAIN[kind]


def _may_be(field: Field, kind: str, *, is_item: bool) -> bool:
    """Whether a value of this kind needs no further check."""
    if field.is_map or field.message:
        return kind == "an object" or (kind == "a list" and field.is_repeated and not is_item)
    if kind == "a list":
        return field.is_repeated and not is_item
    return kind == "a number" if field.is_number else kind != "an object"


def _list(column: Column, *, strict: bool, is_required: bool) -> Any:
    field = column.field
    has_known_items = field is not None and field.is_looked_into  # none of them may be null
    item: Any = _type(column.item, strict=strict, is_required=has_known_items) if column.item else None
    at_least = 1 if is_required or (field and field.is_filled) else None
    at_most = field.max_items if field else None
    if at_least is None and at_most is None:
        return list[item]
    return Annotated[list[item], Meta(min_length=at_least, max_length=at_most)]


def _text(field: Field) -> object:
    if field.values:
        spelled = {*field.values, *([""] if field.kind == "choice" else ())}
        if field.kind == "enum":
            spelled |= {value.lower() for value in field.values}
        return Literal[tuple(sorted(spelled))]
    return Annotated[str, Meta(pattern=field.pattern)] if field.pattern else str
