"""What a well-typed job must still satisfy before Vertex accepts it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .envelope import ApiError, bad_request
from .schema import snake

DISPLAY_NAME_MAX_CHARS = 128
LABEL_MAX_CHARS = 63
MAX_LABELS = 64

# Lowercase letters of any script, or letters of a script that has no case, digits, `_` and `-`.
_LABEL_KEY = re.compile(r"[^\W\d_][\w-]*")
_LABEL_VALUE = re.compile(r"[\w-]*")

# (format, source or destination that goes with it)
_INPUT_FORMATS = {
    "jsonl": "gcsSource",
    "bigquery": "bigquerySource",
    "vertex-dataset": "vertexMultimodalDatasetSource",
}
_OUTPUT_FORMATS = {
    "jsonl": "gcsDestination",
    "bigquery": "bigqueryDestination",
    "vertex-dataset": "vertexMultimodalDatasetDestination",
}
# Fields for jobs over custom models; batch over a publisher model does not support them.
_CUSTOM_MODELS_ONLY = ("unmanagedContainerModel", "serviceAccount", "encryptionSpec", "explanationSpec")

Violation = tuple[str, str]
_REQUIRED = "Required field is not set."


def check_job(job: dict[str, Any]) -> None:
    """Check a canonical job (see `schema.parse_job`) of a create call.

    :raises ApiError: INVALID_ARGUMENT that lists all errors found, in the words and the layout of Vertex.
    """
    found = [
        *_display_name(job),
        *_model(job),
        *_input(job),
        *_output(job),
        *_labels(job.get("labels", {})),
        *_unsupported(job),
    ]
    if not found:
        return
    violations = [(f"batch_prediction_job.{field}", text) for field, text in found]
    listed = "".join(
        f"{number}.Field: {field}; Message: {text}\t"
        for number, (field, text) in enumerate(violations, start=1)
    )
    raise ApiError("INVALID_ARGUMENT", f"List of found errors:\t{listed}", [bad_request(violations)])


def _display_name(job: dict[str, Any]) -> Iterator[Violation]:
    name = job.get("displayName", "")
    if not name:
        yield "display_name", _REQUIRED
    if len(name) > DISPLAY_NAME_MAX_CHARS:
        yield "display_name", f"Must be at most {DISPLAY_NAME_MAX_CHARS} characters, got {len(name)}."


def _model(job: dict[str, Any]) -> Iterator[Violation]:
    if not job.get("model") and "unmanagedContainerModel" not in job:
        yield "model", _REQUIRED


def _input(job: dict[str, Any]) -> Iterator[Violation]:
    config = job.get("inputConfig")
    if config is None:
        yield "input_config", _REQUIRED
        return
    yield from _format_and_place(config, "input_config.instances_format", "instancesFormat", _INPUT_FORMATS)
    if "gcsSource" in config:
        uris = config["gcsSource"].get("uris", [])
        if not uris:
            yield "input_config.gcs_source.uris", _REQUIRED
        for index, uri in enumerate(uris):
            yield from _uri(f"input_config.gcs_source.uris[{index}]", uri, r"gs://[^/]+/.+")
    if "bigquerySource" in config:
        uri = config["bigquerySource"].get("inputUri", "")
        yield from _uri("input_config.bigquery_source.input_uri", uri, r"bq://[^.]+\.[^.]+\.[^.]+")


def _output(job: dict[str, Any]) -> Iterator[Violation]:
    config = job.get("outputConfig")
    if config is None:
        yield "output_config", _REQUIRED
        return
    yield from _format_and_place(
        config, "output_config.predictions_format", "predictionsFormat", _OUTPUT_FORMATS
    )
    if "gcsDestination" in config:
        uri = config["gcsDestination"].get("outputUriPrefix", "")
        yield from _uri("output_config.gcs_destination.output_uri_prefix", uri, r"gs://[^/]+(/.*)?")
    if "bigqueryDestination" in config:
        uri = config["bigqueryDestination"].get("outputUri", "")
        yield from _uri("output_config.bigquery_destination.output_uri", uri, r"bq://[^.]+(\.[^.]+){0,2}")


def _format_and_place(
    config: dict[str, Any], field: str, key: str, formats: dict[str, str]
) -> Iterator[Violation]:
    given = [place for place in formats.values() if place in config]
    if not given:
        yield field.rpartition(".")[0], f"Exactly one of {', '.join(formats.values())} has to be set."
    name = config.get(key, "")
    if not name:
        yield field, _REQUIRED
    elif name not in formats:
        yield field, f'"{name}" is not supported for this model. Supported: {", ".join(formats)}.'
    elif given and formats[name] not in given:
        yield field, f'"{name}" goes with {formats[name]}, not with {given[0]}.'


def _uri(field: str, uri: str, pattern: str) -> Iterator[Violation]:
    if not uri:
        yield field, _REQUIRED
    elif not re.fullmatch(pattern, uri):
        yield field, f'"{uri}" is not a valid URI, expected one like {pattern[:5]}...'


def _labels(labels: dict[str, str]) -> Iterator[Violation]:
    rule = f"at most {LABEL_MAX_CHARS} characters, lowercase letters, digits, underscores and dashes"
    if len(labels) > MAX_LABELS:
        yield "labels", f"No more than {MAX_LABELS} labels can be set, got {len(labels)}."
    for key, value in labels.items():
        if len(key) > LABEL_MAX_CHARS or not _LABEL_KEY.fullmatch(key) or key != key.lower():
            yield "labels", f'Label key "{key}" is invalid: {rule}, starting with a letter.'
        if len(value) > LABEL_MAX_CHARS or not _LABEL_VALUE.fullmatch(value) or value != value.lower():
            yield "labels", f'Label value "{value}" of key "{key}" is invalid: {rule}.'


def _unsupported(job: dict[str, Any]) -> Iterator[Violation]:
    for key in _CUSTOM_MODELS_ONLY:
        if key in job:
            yield snake(key), "Not supported for batch prediction with publisher models."
