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

ROW_KEY = "row_key"
"""The attribute of a decoded row that is its key; UNSET or None if it has none."""
_PLAIN: dict[str, Any] = {"a string": str, "a boolean": bool, "a number": float}
_REFUSED = Literal["\x00 refused"]
"""No value has this type, so the row is checked one by one and its problem is reported."""


def compile_decoder(columns: Columns, key_name: str = "") -> msgspec.json.Decoder[Any]:
    """Make the decoder for the rows that `columns` has admitted.

    It does not detect objects without keys.

    :param key_name: the key of a row that identifies its answer; see `ROW_KEY`.
    """
    return msgspec.json.Decoder(_record(columns.root, strict=not columns.is_full, row_key=key_name))


def _record(column: Column, *, strict: bool, row_key: str = "") -> Any:
    fields: list[Any] = []
    names: dict[str, str] = {}
    known: dict[str, list[str]] = {}
    one_of = _one_of(column)
    for number, (key, child) in enumerate(column.children.items()):
        field = ROW_KEY if key == row_key else f"f{number}"
        names[field] = key
        is_required = child.required or key in one_of
        kind = Raw if child.opaque else _type(child, strict=strict, is_required=is_required)
        fields.append((field, kind) if is_required else (field, kind | UnsetType, UNSET))
        known[key] = [*known.get(key, ()), field]
    groups = list(_groups(column))
    if any(not keys for _, keys in groups):
        fields.append(("refused", _REFUSED))  # no row so far had a value for a required group
    several = [[known[key][0] for key in keys] for _, keys in groups if len(keys) > 1]
    namespace: dict[str, Any] = {"__post_init__": _check_groups(several)} if several else {}
    if low := column.low_number:
        spellings = (low.field, snake(low.field))
        namespace["__post_init__"] = _check_number(low, [known[key][0] for key in spellings if key in known])
    if ROW_KEY not in names:
        namespace[ROW_KEY] = None
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


def _check_groups(groups: Sequence[Sequence[str]]) -> Callable[[Any], None]:
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


def _type(column: Column, *, strict: bool, is_required: bool) -> Any:
    if column.is_misspelled:
        return _REFUSED
    kinds = [_kind(column, kind, strict=strict, is_required=is_required) for kind in sorted(column.kinds)]
    taken = [kind for kind in kinds if kind is not _REFUSED]
    if not taken and (kinds or is_required):
        return _REFUSED
    if not is_required:
        taken.append(None)
    whole = taken[0]
    for kind in taken[1:]:
        whole = whole | kind
    return whole


def _kind(column: Column, kind: str, *, strict: bool, is_required: bool) -> Any:
    field = column.field if column.field and column.field.is_looked_into else None
    if field and not _may_be(field, kind, is_item=column.is_item):
        return _REFUSED
    if kind == "an object":
        return _record(column, strict=strict)
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


def _text(field: Field) -> Any:
    if field.values:
        spelled = {*field.values, *([""] if field.kind == "choice" else ())}
        if field.kind == "enum":
            spelled |= {value.lower() for value in field.values}
        return Literal[tuple(sorted(spelled))]
    return Annotated[str, Meta(pattern=field.pattern)] if field.pattern else str
