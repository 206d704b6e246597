"""The JSON schema of a spec file, by which editors complete and check it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.model import JobSpec


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a spec file.

    It promises less than `load_spec` checks: what spans several keys, or needs a calendar, is not in it.
    """
    from vertex_batch.pricing import SPEC_PRICE_KEYS  # noqa: PLC0415 - loading a spec does not need it

    schema = JobSpec.model_json_schema()
    schema["properties"]["prices"]["additionalProperties"]["propertyNames"] = {"enum": [*SPEC_PRICE_KEYS]}
    schema["required"].remove("name")  # it defaults to the file's name
    for name, shown in schema["properties"].items():
        shown.pop("title", None)
        default = JobSpec.model_fields[name].default
        if isinstance(default, timedelta):
            shown["default"] = show_duration(default)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Vertex AI batch prediction job spec",
        **{key: value for key, value in schema.items() if key != "title"},
    }
