"""What most tests need, built in one place: rows of inputs, the job that most tests make, and a delivery."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from vertex_batch.costs import CostTable, Delivery
from vertex_batch.costs.schema import jobs
from vertex_batch.storage import ByteStream
from vertex_batch.usage import Scanner, ScanOptions, ScanResult
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


MORNING = datetime(2026, 11, 22, 4, 12, tzinfo=UTC)


def copy_first_job(table: CostTable, count: int, **changes: Any) -> None:
    """Record a job of a cost table many times more, without line items, under other ids.

    :param changes: of its columns.
    """
    with table.writing() as connection:
        recorded = connection.execute(select(jobs).limit(1)).mappings().one()
        copies = [{**recorded, **changes, "job_id": f"9{number:05}"} for number in range(count)]
        connection.execute(jobs.insert(), copies)


DELIVERED_TO = "gs://demo-bucket/a b/answers.parquet"


def a_delivery(**changes: Any) -> Delivery:
    """The numbers of a delivery in the morning."""
    facts: dict[str, Any] = {
        "dag_id": "nightly",
        "run_id": "night",
        "task_id": "deliver",
        "input_rows": 20,
        "delivered": 17,
        "exceptions": 3,
        "reasons": {"transient": 1, "failed": 2},
        "answers_uri": DELIVERED_TO,
        "exceptions_uri": "/srv/exceptions.parquet",
        "manifest_uri": f"{DELIVERED_TO}._SUCCESS.json",
        "usd": "0.123456789012",
        "is_complete": False,
        "delivered_at": MORNING,
        "spec": "nightly",
        "team": "search",
    }
    return Delivery(**{**facts, **changes})


def scan_file(stream: ByteStream, name: str, job_model: str, **options: Any) -> ScanResult:
    """Scan one stream of rows.

    :param options: of `ScanOptions`.
    """
    scanner = Scanner(ScanOptions(job_model, **options))
    scanner.scan(stream, name)
    return scanner.result()
