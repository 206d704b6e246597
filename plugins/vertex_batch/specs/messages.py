"""Turns pydantic's errors into problems with a location and the correction."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vertex_batch.specs.origins import Values
from vertex_batch.specs.problems import MAPPING, NOTHING, TEXT, KeyPath, Problem, did_you_mean, show_path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

# Keys of related tools that are too different from ours to be recognized by their letters.
_OTHER_WORDS = {
    "cron": "schedule",
    "conn_id": "connection",
    "dag_id": "name",
    "destination": "output",
    "generation_config": "generation",
    "gcp_conn_id": "storage_connection",
    "id": "name",
    "litellm_conn_id": "connection",
    "model_parameters": "generation",
    "parameters": "generation",
    "region": "location",
    "schedule_interval": "schedule",
    "source": "inputs",
    "timeout": "deadline",
    "tz": "timezone",
}
_KINDS = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping of keys to values",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys to values",
    "string_type": "must be a string",
}
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", re.ASCII)
_YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def problems_of(
    error: ValidationError, values: Values, known: Mapping[str, FieldInfo], misspelled: Collection[str] = ()
) -> Iterator[Problem]:
    """Locate each error where its value was written.

    :param known: the valid keys.
    :param misspelled: keys that are present under a wrong name. That is already a problem, so they are not
        also reported as missing.
    """
    for details in error.errors(include_url=False):
        if details["type"] == "missing" and len(details["loc"]) == 1 and details["loc"][0] in misspelled:
            continue
        path: KeyPath = tuple(step for step in details["loc"] if step not in {TEXT, MAPPING, NOTHING})
        # pydantic marks an error in a mapping's key with an extra last step.
        in_key = bool(path) and path[-1] == "[key]"
        path = path[:-1] if in_key else path
        of_key = in_key or details["type"] == "extra_forbidden"
        origin = values.origin(path)
        shown, place = origin.document.locate(origin.path, key=of_key)
        if not shown or details["type"] in {"missing", "extra_forbidden"}:
            shown = origin.path
        message = _message(details, known)
        yield Problem(place.line, place.column, show_path(shown), message, str(origin.file))


def _message(details: ErrorDetails, known: Mapping[str, FieldInfo]) -> str:
    kind, value = details["type"], details["input"]
    key = str(details["loc"][-1]) if details["loc"] else ""
    if kind in {"missing", "extra_forbidden"}:
        known = _keys_around(details["loc"][:-1], known)
    if kind == "missing":
        return f"is missing{_example(known, key)}"
    if kind == "extra_forbidden":
        return f"is not a known key{known_keys(key, known)}"
    if kind in {"dict_type", "model_type"}:
        return f"{_wrong_kind(kind, value)}{_example(known, key)}"
    if kind in _KINDS:
        return _wrong_kind(kind, value)
    if kind == "literal_error":
        return _none_of(details)
    return details["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)


def _keys_around(path: KeyPath, known: Mapping[str, FieldInfo]) -> Mapping[str, FieldInfo]:
    """Return the valid keys at a path whose value is a mapping with known keys."""
    for step in path:
        field = known.get(step) if isinstance(step, str) else None
        if field and (below := next(_models(field.annotation), None)):
            known = below.model_fields
    return known


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _none_of(details: ErrorDetails) -> str:
    expected: str = details["ctx"]["expected"]
    value = details["input"]
    known = re.findall(r"'([^']+)'", expected)
    hint = did_you_mean(value.lower(), known) if isinstance(value, str) else ""
    return f"must be {expected.replace(chr(39), chr(96))}, not {_describe(value)}{hint}"


def _wrong_kind(kind: str, value: object) -> str:
    text = f"{_KINDS[kind]}, not {_describe(value)}"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f"{text}: put it in quotes"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _YAML_1_1_BOOLEANS:
        return f"{text}: write {_YAML_1_1_BOOLEANS[value.lower()]}"
    if kind == "float_type" and isinstance(value, str) and (percent := _PERCENT.fullmatch(value)):
        return f"{text}: write {Decimal(percent[1]).scaleb(-2).normalize():f}"
    if kind in {"int_type", "float_type"} and isinstance(value, str) and value.isdigit():
        return f"{text}: remove the quotes"
    return text


def _describe(value: object) -> str:
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the string `{value[:40]}`"
    return f"the number {value}"


def _example(known: Mapping[str, FieldInfo], key: str) -> str:
    field = known.get(key)
    return f"; for example `{key}: {_flow(field.examples[0])}`" if field and field.examples else ""


def _flow(value: object) -> str:
    """Write an example as one line of YAML."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {_flow(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return str(value)


def known_keys(key: str, known: Iterable[str]) -> str:
    """Suggest the key that was meant, or else list the valid keys."""
    words = list(known)
    meant = meant_key(key, words)
    return f"; did you mean `{meant}`?" if meant else f"; the keys are {', '.join(words)}"


def meant_key(key: str, known: Collection[str]) -> str | None:
    """Return the known key that a misspelled one means; None if none is similar."""
    word = key.lower().replace("-", "_")
    if _OTHER_WORDS.get(word) in known:
        return _OTHER_WORDS[word]
    near = did_you_mean(word, known)
    return near.split("`")[1] if near else None
