"""The job that most tests make: Gemini, over one object."""

from __future__ import annotations

from typing import Any

from vertex_batch.vertex.resource import (
    CreateJobRequest,
    GcsDestination,
    GcsSource,
    InputConfig,
    OutputConfig,
)

PROJECT, LOCATION = "demo-project", "us-central1"
INPUT = "gs://demo-bucket/in.jsonl"


def a_request(inputs: str = INPUT, output: str = "gs://demo-bucket/out/", **fields: Any) -> CreateJobRequest:
    """Ask for a job.

    :param fields: of the request; they win.
    """
    usual = {
        "display_name": "nightly",
        "model": "publishers/google/models/gemini-3.8-flash",
        "input_config": InputConfig(gcs_source=GcsSource(uris=[inputs])),
        "output_config": OutputConfig(gcs_destination=GcsDestination(output_uri_prefix=output)),
    }
    return CreateJobRequest(**{**usual, **fields})
