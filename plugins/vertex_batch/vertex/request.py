"""Build a create request from the fields of a spec or the arguments of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from vertex_batch.errors import ConfigurationError
from vertex_batch.vertex.labels import SPEC_LABEL, too_many_labels
from vertex_batch.vertex.resource import CreateJobRequest, label_value

MAX_DISPLAY_NAME_CHARS = 128


def build_request(
    *,
    model: str,
    uris: Sequence[str],
    output: str,
    display_name: str,
    labels: Mapping[str, object],
    spec: str = "",
    model_parameters: dict[str, object] | None = None,
) -> CreateJobRequest:
    """Build the request; the labels by which the job is found again are added when it is submitted.

    :param spec: name of the spec, which becomes a label.
    :raises ConfigurationError: files and a table are mixed, or there are too many labels.
    :raises ValueError: Vertex would refuse it; the message begins with the field.
    """
    if problem := too_many_labels(labels):
        raise ConfigurationError(f"Nothing was submitted: {problem} from the spec's `labels` or the form's.")
    labelled = {name: str(value) for name, value in labels.items()}
    if spec:
        labelled[SPEC_LABEL] = label_value(spec)
    fields: dict[str, object] = {
        "display_name": display_name[:MAX_DISPLAY_NAME_CHARS],
        "model": full_model_name(model),
        "input_config": _input_config(list(uris)),
        "output_config": _output_config(output),
        "model_parameters": model_parameters or None,
        "labels": labelled,
    }
    try:
        return CreateJobRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{field}: {first['msg'].removeprefix('Value error, ')}") from error


def full_model_name(model: str) -> str:
    """Complete a model's name to the form that Vertex requires.

    >>> full_model_name("gemini-3.8-flash")
    'publishers/google/models/gemini-3.8-flash'
    >>> full_model_name("claude-sonnet-4-5")
    'publishers/anthropic/models/claude-sonnet-4-5'
    """
    name = model.removeprefix("vertex_ai/")
    if "/" in name:
        return name
    publisher = "anthropic" if name.startswith("claude") else "google"
    return f"publishers/{publisher}/models/{name}"


def _input_config(uris: list[str]) -> dict[str, object]:
    tables = [uri for uri in uris if uri.startswith("bq://")]
    if tables and len(uris) > 1:
        message = f"A job reads one BigQuery table or Cloud Storage objects, not {uris}"
        raise ConfigurationError(f"{message}. Nothing was submitted.")
    if tables:
        return {"instances_format": "bigquery", "bigquery_source": {"input_uri": tables[0]}}
    return {"instances_format": "jsonl", "gcs_source": {"uris": uris}}


def _output_config(output: str) -> dict[str, object]:
    if output.startswith("bq://"):
        return {"predictions_format": "bigquery", "bigquery_destination": {"output_uri": output}}
    # Vertex appends the slash itself; with it, the request compares equal to what it echoes.
    return {
        "predictions_format": "jsonl",
        "gcs_destination": {"output_uri_prefix": output if output.endswith("/") else f"{output}/"},
    }
