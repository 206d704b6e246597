"""Check a JSON body against the message types of the API, the way Google's front end parses JSON into
protobuf.

``schema.json`` holds the types: what the Vertex discovery document (its revision is in the file) says about
``BatchPredictionJob`` and everything below it. A type is written as ``string``, ``repeated GcsSource``,
``map string``, ``enum A|B``, with ``readonly`` before it where the field is output only. Under ``v1beta1``
are only the messages that differ from v1.

Fields may come in camelCase or snake_case, int64 as number or string, an enum by name or number. Read-only
fields are checked like the others and then dropped, as Google does. Defaults and nulls are dropped as well,
since protobuf cannot tell them from absent ones.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from .envelope import ApiError, bad_request

Message = Mapping[str, str]

# The discovery document does not say which fields exclude each other; the protobuf types do.
ONEOFS: dict[str, dict[str, tuple[str, ...]]] = {
    "BatchPredictionJobInputConfig": {
        "source": ("gcsSource", "bigquerySource", "vertexMultimodalDatasetSource"),
    },
    "BatchPredictionJobOutputConfig": {
        "destination": ("gcsDestination", "bigqueryDestination", "vertexMultimodalDatasetDestination"),
    },
}

_INT_BOUNDS = {"int32": 2**31, "int64": 2**63, "integer": 2**31}
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"-?\d+(\.\d{1,9})?s")
_DROPPED: Any = object()


@cache
def messages(version: str) -> Mapping[str, Message]:
    """The message types of ``v1`` or ``v1beta1``, by name."""
    tables = json.loads(Path(__file__).with_name("schema.json").read_text())
    return {**tables["v1"], **(tables["v1beta1"] if version == "v1beta1" else {})}


def parse_job(version: str, body: bytes) -> dict[str, Any]:
    """Read the body of a create call into its canonical form: camelCase, writable fields, no defaults.

    :raises ApiError: INVALID_ARGUMENT that names every field that is unknown or has the wrong type.
    """
    try:
        value = json.loads(body, parse_constant=_no_constant) if body else None
    except ValueError as error:
        text = f"Invalid JSON payload received. {error}"
        raise ApiError("INVALID_ARGUMENT", text, [bad_request([("", text)])]) from error
    if not isinstance(value, dict):
        text = 'Invalid JSON payload received. Unknown name "": Root element must be a message.'
        raise ApiError("INVALID_ARGUMENT", text, [bad_request([("", text)])])
    parser = _Parser(messages(version))
    job = parser.message("BatchPredictionJob", value, "batch_prediction_job")
    if parser.violations:
        text = "\n".join(description for _, description in parser.violations)
        raise ApiError("INVALID_ARGUMENT", text, [bad_request(parser.violations)])
    return job


def _no_constant(name: str) -> object:
    msg = f"Unexpected token. {name}"
    raise ValueError(msg)


@cache
def snake(name: str) -> str:
    """``gcsSource`` as ``gcs_source``, the form that Google's messages use."""
    return re.sub(r"([A-Z])", lambda match: "_" + match[1].lower(), name)


@cache
def camel(name: str) -> str:
    """``gcs_source`` as ``gcsSource``."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


class _Parser:
    """One walk over a body; collects every violation instead of stopping at the first."""

    def __init__(self, types: Mapping[str, Message]) -> None:
        self.types = types
        self.violations: list[tuple[str, str]] = []

    def message(self, type_name: str, value: dict[str, Any], path: str) -> dict[str, Any]:
        fields = self.types[type_name]
        result: dict[str, Any] = {}
        seen: set[str] = set()
        for key, item in value.items():
            name = key if key in fields else camel(key)
            if name not in fields or (key != name and key != snake(name)):
                self._unknown(key, path, "Cannot find field.")
                continue
            if name in seen:
                self._unknown(key, path, "Proto field is repeated under two names, cannot set it twice.")
                continue
            seen.add(name)
            if item is None:
                continue
            kind = fields[name]
            parsed = self._field(kind, item, key, path)
            if not kind.startswith("readonly ") and not _is_default(kind, parsed):
                result[name] = parsed
        self._check_oneofs(type_name, value, path)
        return result

    def _check_oneofs(self, type_name: str, value: dict[str, Any], path: str) -> None:
        given = {camel(key) if "_" in key else key for key, item in value.items() if item is not None}
        for oneof, members in ONEOFS.get(type_name, {}).items():
            present = [member for member in members if member in given]
            for extra in present[1:]:
                text = f"oneof field '{oneof}' is already set. Cannot set '{extra}'"
                self.violations.append((path, f"Invalid value at '{path}' (oneof), {text}"))

    def _field(self, kind: str, value: object, key: str, path: str) -> object:
        kind = kind.removeprefix("readonly ")
        where = f"{path}.{snake(key)}"
        shape, _, item_kind = kind.partition(" ")
        if shape == "repeated" and isinstance(value, list):
            return [self._value(item_kind, item, f"{where}[{index}]") for index, item in enumerate(value)]
        if shape == "map" and isinstance(value, dict):
            return {name: self._value(item_kind, item, f"{where}[{name}]") for name, item in value.items()}
        if shape in ("repeated", "map"):
            return self._invalid(where, item_kind if shape == "repeated" else "map", value)
        if isinstance(value, list) and kind != "any":
            return self._unknown(key, path, "Proto field is not repeating, cannot start list.")
        if isinstance(value, dict) and kind != "any" and kind not in self.types:
            return self._unknown(key, path, "Starting an object on a scalar field.")
        return self._value(kind, value, where)

    def _value(self, kind: str, value: object, where: str) -> object:
        if kind in self.types:
            if not isinstance(value, dict):
                return self._invalid(where, kind, value)
            return self.message(kind, value, where)
        check = _SCALARS.get(kind.partition(" ")[0])
        if check is None:  # `any`, and the free `object`s inside google.rpc.Status
            return value
        parsed = check(value, kind)
        return self._invalid(where, kind, value) if parsed is _DROPPED else parsed

    def _unknown(self, key: str, path: str, reason: str) -> object:
        text = f"Invalid JSON payload received. Unknown name {json.dumps(key)} at '{path}': {reason}"
        self.violations.append((path, text))
        return _DROPPED

    def _invalid(self, where: str, kind: str, value: object) -> object:
        name = kind.partition(" ")[0]
        known = name in _SCALARS or name == "map"
        shown = f"TYPE_{name.upper()}" if known else f"type.googleapis.com/google.cloud.aiplatform.{name}"
        text = f"Invalid value at '{where}' ({shown}), {json.dumps(value, ensure_ascii=False)}"
        self.violations.append((where, text))
        return _DROPPED


def _is_default(kind: str, value: object) -> bool:
    """Whether protobuf would leave the value out; a message or a free value stays, even if it is empty."""
    if value is _DROPPED:
        return True
    has_presence = kind == "any" or (isinstance(value, dict) and not kind.startswith("map "))
    return not has_presence and value in ("", "0", 0, False, [], {})


def _string(value: object, _kind: str) -> object:
    return value if isinstance(value, str) else _DROPPED


def _boolean(value: object, _kind: str) -> object:
    return value if isinstance(value, bool) else _DROPPED


def _integer(value: object, kind: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _DROPPED
    try:
        number = int(value) if not isinstance(value, float) else (int(value) if value.is_integer() else None)
    except ValueError:
        return _DROPPED
    bound = _INT_BOUNDS[kind]
    if number is None or not -bound <= number < bound:
        return _DROPPED
    return str(number) if kind == "int64" else number


def _number(value: object, _kind: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _DROPPED
    try:
        number = float(value)
    except ValueError:
        return _DROPPED
    return number if math.isfinite(number) or isinstance(value, str) else _DROPPED


def _enum(value: object, kind: str) -> object:
    names = kind.partition(" ")[2].split("|")
    if isinstance(value, bool):
        return _DROPPED
    if isinstance(value, int):
        return names[value] if 0 <= value < len(names) else _DROPPED
    return value if value in names else _DROPPED


def _matching(pattern: re.Pattern[str]) -> Callable[[Any, str], Any]:
    return lambda value, _kind: value if isinstance(value, str) and pattern.fullmatch(value) else _DROPPED


def _bytes(value: Any, _kind: str) -> object:
    try:
        base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        return _DROPPED
    return value


_SCALARS: dict[str, Callable[[Any, str], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "int32": _integer,
    "int64": _integer,
    "integer": _integer,
    "float": _number,
    "double": _number,
    "number": _number,
    "enum": _enum,
    "timestamp": _matching(_TIMESTAMP),
    "duration": _matching(_DURATION),
    "bytes": _bytes,
}
