"""What most tests need, built in one place: rows of inputs, and the job that most tests make."""

from __future__ import annotations

import json
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


def row(text: str = "a", **request: Any) -> dict[str, Any]:
    """A row of an input: one question to Gemini.

    :param request: further fields of the row's request.
    """
    return {"request": {"contents": [{"role": "user", "parts": [{"text": text}]}], **request}}


def input_rows(*texts: str) -> bytes:
    """An input as JSON lines, a row for each text."""
    return "".join(f"{json.dumps(row(text))}\n" for text in texts).encode()


ROW = input_rows("a")


def a_request(inputs: str = INPUT, output: str = "gs://demo-bucket/out/", **fields: Any) -> CreateJobRequest:
    """A request for a job.

    :param fields: of the request; they take precedence.
    """
    usual = {
        "display_name": "nightly",
        "model": "publishers/google/models/gemini-3.8-flash",
        "input_config": InputConfig(gcs_source=GcsSource(uris=[inputs])),
        "output_config": OutputConfig(gcs_destination=GcsDestination(output_uri_prefix=output)),
    }
    return CreateJobRequest(**{**usual, **fields})
