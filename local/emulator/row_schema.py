"""Check the request of a row as Google's parser and validation do: what they refuse fails that row alone.

The message types are Google's, from the discovery document (``python -m tools.request_types`` writes them).
What that document does not say, such as ranges, is in the tables below. They share nothing with the package's
pre-flight, so that a mistake there is not repeated here.
Numbers may be strings, names may be in camelCase or snake_case, and one object may replace a list.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from .schema import camel, snake

_TYPES = Path(__file__).parents[2] / "plugins/vertex_batch/preflight/request_types.json"
GENERATE, EMBED = "GenerateContentRequest", "EmbedContentRequest"
_WHOLE = ("int32", "int64", "integer")
_NUMBERS = (*_WHOLE, "float", "double")
# The lowest accepted value, and the highest.
_RANGES: dict[tuple[str, str], tuple[float, float]] = {
    ("GenerationConfig", "temperature"): (0, 2),
    ("GenerationConfig", "topP"): (0, 1),
    ("GenerationConfig", "candidateCount"): (1, 8),
    ("GenerationConfig", "maxOutputTokens"): (1, 2**31 - 1),
    ("GenerationConfig", "presencePenalty"): (-2, 2),
    ("GenerationConfig", "frequencyPenalty"): (-2, 2),
}
_MOST_STOP_SEQUENCES = 5
_MIME_TYPES = ("text/plain", "application/json", "text/x.enum")
_DATA = frozenset(
    {"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode"}
    | {"codeExecutionResult"}
)
_NO_DATA_NEEDED = frozenset({"thoughtSignature", "audioTranscription"})


@cache
def _messages() -> Mapping[str, Mapping[str, str]]:
    types: dict[str, dict[str, str]] = json.loads(_TYPES.read_text())["types"]
    types[GENERATE]["model"] = "string"
    return types


def problem_of(request: object, message: str) -> str:
    """The first reason to refuse a request, in Google's words; empty if there is none.

    :param message: `GENERATE` or `EMBED`.
    """
    return next(_message(request, message, ""), "")


def _message(value: object, message: str, path: str) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield _invalid(path, f"type.googleapis.com/google.cloud.aiplatform.v1.{message}", value)
        return
    fields, given = _messages()[message], dict[str, object]()
    for key, inner in value.items():
        name = key if key in fields else camel(key)
        if name not in fields or key not in (name, snake(name)):
            at = f" at '{path}'" if path else ""
            yield f'Invalid JSON payload received. Unknown name "{key}"{at}: Cannot find field.'
        elif inner is not None:
            given[name] = inner
            yield from _field(inner, message, name, f"{path}.{snake(name)}".lstrip("."))
    yield from _required(message, given, path)


def _required(message: str, given: Mapping[str, object], path: str) -> Iterator[str]:
    data = _DATA & given.keys()
    if message == "Part" and (len(data) > 1 or (not data and not _NO_DATA_NEEDED & given.keys())):
        yield f"{path}.data: required oneof field 'data' must have one initialized field"
    if message == "Blob" and "mimeType" not in given:
        yield "Unable to submit request because it has an empty mimeType parameter."
    if message == "FileData" and not str(given.get("fileUri", "gs://")).startswith(
        ("gs://", "http://", "https://")
    ):
        yield f"Invalid file URI: {given['fileUri']}. Provide a Cloud Storage or HTTP URI."


def _field(value: object, message: str, name: str, path: str) -> Iterator[str]:
    shape, _, item = _messages()[message][name].partition(" ")
    if shape == "map":
        if not isinstance(value, Mapping):
            yield _invalid(path, "map", value)
            return
        for key, inner in value.items():
            if inner is not None:
                yield from _value(inner, item, message, name, f"{path}[{key}]")
    elif shape != "repeated":
        yield from _value(value, _messages()[message][name], message, name, path)
    elif isinstance(value, list):
        if name == "stopSequences" and len(value) > _MOST_STOP_SEQUENCES:
            yield f"Unable to submit request because it has more than {_MOST_STOP_SEQUENCES} stopSequences."
        for number, inner in enumerate(value):
            yield from _value(inner, item, message, name, f"{path}[{number}]")
    elif item in _messages() and isinstance(value, Mapping):
        yield from _message(value, item, path)
    else:
        yield _invalid(path, item.partition(" ")[0], value)


def _value(value: object, kind: str, message: str, name: str, path: str) -> Iterator[str]:
    base, _, values = kind.partition(" ")
    if base in _messages():
        yield from _message(value, base, path)
    elif base == "any":
        return
    elif isinstance(value, Mapping | list):
        yield _invalid(path, base, value)
    elif base in _NUMBERS:
        yield from _number(value, base, message, name, path)
    elif isinstance(value, str):
        if base == "enum" and value.upper() not in values.split("|"):
            yield _invalid(path, base, value)
        elif name == "responseMimeType" and value and value not in _MIME_TYPES:
            yield f"Unable to submit request because {value} is not a supported responseMimeType."


def _number(value: object, kind: str, message: str, name: str, path: str) -> Iterator[str]:
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        yield _invalid(path, kind, value)
    elif (limits := _RANGES.get((message, name))) and not limits[0] <= number <= limits[1]:
        yield (
            f"Unable to submit request because it has a {name} value of {value} but the supported range is"
            f" from {limits[0]} (inclusive) to {limits[1]} (inclusive). Update the value and try again."
        )
    elif kind in _WHOLE and not number.is_integer():
        yield _invalid(path, kind, value)


def _invalid(path: str, kind: str, value: object) -> str:
    shown = f"TYPE_{kind.upper()}" if "." not in kind else kind
    return f"Invalid value at '{path}' ({shown}), {json.dumps(value, ensure_ascii=False)[:200]}"
