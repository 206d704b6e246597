"""The JSON schema of a spec file, by which editors complete and check it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.jobs_key import ENTRY_KEYS, JOB_KEYS, JOBS, MAX_JOBS, SPEC_KEYS
from vertex_batch.specs.matrix import MATRIX
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.values import NAME

_JOBS = {
    "type": "object",
    "minProperties": 1,
    "maxProperties": MAX_JOBS,
    "propertyNames": {"pattern": f"^{NAME}$"},
    "additionalProperties": {"$ref": "#/$defs/job"},
    "description": (
        "Several jobs of one spec, by name. Each is a task group. Put shared keys at the top of the file."
    ),
    "examples": [{"summaries": {"model": "gemini-3.8-flash"}, "topics": {"after": ["summaries"]}}],
}


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a spec file.

    It promises less than `load_spec` checks: what spans several keys, or needs a calendar, is not in it.
    """
    from vertex_batch.pricing import SPEC_PRICE_KEYS  # noqa: PLC0415 - loading a spec does not need it

    spec, job = Spec.model_json_schema(), JobSpec.model_json_schema()
    keys = {**job["properties"], **spec["properties"]}
    keys["prices"]["additionalProperties"]["propertyNames"] = {"enum": [*SPEC_PRICE_KEYS]}
    # An empty label takes away the one that is shared.
    keys["labels"]["additionalProperties"] = {
        "anyOf": [keys["labels"]["additionalProperties"], {"type": "null"}]
    }
    for name, shown in keys.items():
        shown.pop("title", None)
        default = {**SPEC_KEYS, **ENTRY_KEYS}[name].default
        if isinstance(default, timedelta):
            shown["default"] = show_duration(default)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Vertex AI batch prediction job spec",
        "description": Spec.__doc__,
        "type": "object",
        "additionalProperties": False,
        "properties": {**{key: keys[key] for key in (*SPEC_KEYS, *JOB_KEYS)}, JOBS: _JOBS, MATRIX: _matrix()},
        "$defs": {
            **spec.get("$defs", {}),
            **job.get("$defs", {}),
            "job": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "after": keys["after"],
                    # The others are described once, at the top of the file.
                    **{key: {"$ref": f"#/properties/{key}"} for key in JOB_KEYS},
                    MATRIX: {"$ref": f"#/properties/{MATRIX}"},
                },
            },
        },
    }


def _matrix() -> dict[str, object]:
    value = {"type": "object", "minProperties": 1}
    choices = {"anyOf": [{"type": "array", "minItems": 1}, value]}
    return {
        **value,
        "properties": dict.fromkeys(JOB_KEYS, choices),
        "additionalProperties": {**value, "additionalProperties": {"$ref": "#/$defs/job"}},
        "description": (
            "Make one job for each combination of these values: a key of a job with a list of values, or with"
            " names for them; or a word of your own with names, each for a mapping of keys."
        ),
        "examples": [{"model": ["gemini-3.8-flash", "gemini-3.5-flash"]}],
    }
