"""Rows in the shapes that jobs write, and a scan of them."""

from __future__ import annotations

import io
import json

import pytest

from tests.builders import scan_file
from vertex_batch.usage import UsageKey


def make_row(usage=None, *, model="gemini-2.5-flash", **changes):
    """A row of Gemini's output; `usage` is its usageMetadata."""
    response = {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Yes."}]}, "finishReason": "STOP"}],
        "createTime": "2026-11-21T21:29:47.484619Z",
        "modelVersion": model,
        "responseId": "r-1",
        "usageMetadata": usage or {"promptTokenCount": 9, "candidatesTokenCount": 10, "totalTokenCount": 19},
    }
    request = {"contents": [{"role": "user", "parts": [{"text": "Is it?"}]}]}
    row = {
        "status": "",
        "processed_time": "2026-11-21T21:29:47.352+00:00",
        "request": request,
        "response": response,
    }
    return {**row, **changes}


def scan_rows(*rows, job_model="publishers/google/models/gemini-2.5-flash", **options):
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    return scan_file(io.BytesIO(b"\n".join(lines) + b"\n"), "predictions.jsonl", job_model, **options)


@pytest.fixture
def row():
    return make_row


@pytest.fixture
def scan():
    return scan_rows


@pytest.fixture
def tokens_of():
    """The tokens of a scan by short names: ``input``, ``input audio``, ``output long_context``."""

    def short(key: UsageKey) -> str:
        parts = [key.kind, *([key.modality] if key.modality != "text" else [])]
        parts += [key.tier] if key.tier != "standard" else []
        return " ".join([*parts, *([key.cache_ttl] if key.cache_ttl else [])])

    return lambda result: {short(key): n for key, n in result.tokens.items()}
