"""What a person sees of a spec in Airflow: the trigger form, and the DAG's page."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from airflow.sdk import Param

from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.model import JobSpec

OVERRIDES = {"inputs": "input", "model": "model", "labels": "labels"}
"""Field of the submit task -> param of the form that replaces it for one run."""

_MODELS = ["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-embedding-001"]
_SECTION = "For this run only"
_URI = "^(gs|bq)://"
_LABEL = r"^[a-z0-9_-]{0,63}$"


def form(spec: JobSpec) -> dict[str, Param]:
    """Build the trigger form. Nothing in it is required: what is left empty is as the spec says.

    (A DAG with a schedule may not have a required param, and the form is sent whole, empty fields included.)
    """
    return {
        "input": Param(
            default=None,
            # The first kind that is not null decides the widget; the API takes a single text as well.
            type=["null", "array", "string"],
            items={"type": "string", "pattern": _URI},
            pattern=_URI,
            title="Input",
            description_md=f"Read these instead, one per line. Default: {_code(spec.inputs)}",
            section=_SECTION,
        ),
        "model": Param(
            default=None,
            type=["null", "string"],
            pattern=r"^\S*$",
            examples=sorted({spec.model, *_MODELS}),
            title="Model",
            description_md=f"Ask this model instead. Default: {_code(spec.model)}",
            section=_SECTION,
        ),
        "labels": Param(
            default=None,
            type=["null", "object"],
            additionalProperties={"type": "string", "pattern": _LABEL},
            title="Labels",
            description_md=f"Set these as well, or to other values. Default: {_code(spec.job_labels)}",
            section=_SECTION,
        ),
        "note": Param(
            default=None,
            type=["null", "string"],
            format="multiline",
            maxLength=1000,
            title="Note",
            description_md="Why this run? It is kept beside its bill.",
            section=_SECTION,
        ),
    }


def page(spec: JobSpec) -> str:
    """Write the DAG's page: what it is for, and a table of what its spec says."""
    rows = [
        f"| {name} | {_cell(getattr(spec, name))} |"
        for name in type(spec).model_fields
        if name not in {"name", "description"} and getattr(spec, name) not in (None, [], {})
    ]
    title = spec.description.strip() or f"Batch prediction jobs of the spec `{spec.name}`."
    origin = f"\n\nFrom `{spec.file.name}`." if spec.file else ""
    table = "\n".join(["| spec | |", "|---|---|", *rows])
    return f"{title}\n\n{table}{origin}"


def _cell(value: Any) -> str:
    if isinstance(value, list) and value:
        return "<br>".join(_code(item) for item in value)
    return _code(value)


def _code(value: Any) -> str:
    # A bar would end the table's cell, a backtick the code.
    return f"`{_plain(value)}`".replace("|", "\\|")


def _plain(value: Any) -> str:
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    text = json.dumps(value, default=_decimal) if isinstance(value, dict) else str(value)
    return text.replace("`", "'")


def _decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
