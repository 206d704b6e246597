"""pydantic's errors -> problems with a place, in words that say what to write."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from vertex_batch.specs.problems import KeyPath, Problem, did_you_mean, show_path

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from vertex_batch.specs.document import Document

# Words from neighbouring tools, for keys that are too far from ours to be recognised by their letters.
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
    "string_type": "must be a text",
}
_YAML_1_1_BOOLEANS = {"yes": "true", "on": "true", "no": "false", "off": "false"}


def problems_of(error: ValidationError, document: Document, model: type[BaseModel]) -> Iterator[Problem]:
    """Give every error its place in the document."""
    for details in error.errors(include_url=False):
        path: KeyPath = details["loc"]
        # pydantic marks an error in a mapping's key with a last step of its own.
        in_key = bool(path) and path[-1] == "[key]"
        path = path[:-1] if in_key else path
        of_key = in_key or details["type"] == "extra_forbidden"
        shown, place = document.locate(path, key=of_key)
        if not shown or details["type"] in {"missing", "extra_forbidden"}:
            shown = path
        yield Problem(place.line, place.column, show_path(shown), _message(details, model))


def _message(details: ErrorDetails, model: type[BaseModel]) -> str:
    kind, value = details["type"], details["input"]
    key = str(details["loc"][-1]) if details["loc"] else ""
    if kind == "missing":
        return f"is missing{_example(model, key)}"
    if kind == "extra_forbidden":
        return f"is no known key{_known(key, model)}"
    if kind in _KINDS:
        return _wrong_kind(kind, value)
    return details["msg"].removeprefix("Value error, ").replace("Input should", "should", 1)


def _wrong_kind(kind: str, value: Any) -> str:
    text = f"{_KINDS[kind]}, not {_describe(value)}"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f"{text}: put it in quotes"
    if kind == "bool_type" and isinstance(value, str) and value.lower() in _YAML_1_1_BOOLEANS:
        return f"{text}: write {_YAML_1_1_BOOLEANS[value.lower()]}"
    if kind in {"int_type", "float_type"} and isinstance(value, str) and value.isdigit():
        return f"{text}: take the quotes away"
    return text


def _describe(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"the text `{value[:40]}`"
    return f"the number {value}"


def _example(model: type[BaseModel], key: str) -> str:
    field = model.model_fields.get(key)
    return f": write for example `{key}: {field.examples[0]}`" if field and field.examples else ""


def _known(key: str, model: type[BaseModel]) -> str:
    known = list(model.model_fields)
    word = key.lower().replace("-", "_")
    if word in _OTHER_WORDS:
        return f"; did you mean `{_OTHER_WORDS[word]}`?"
    return did_you_mean(word, known) or f"; the keys are {', '.join(known)}"
