"""The form with which a run of a spec is triggered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from airflow.sdk import Param

from vertex_batch.dag_factory.page import plain
from vertex_batch.inputs import MAX_SAMPLE_ROWS
from vertex_batch.pricing import retirement_of
from vertex_batch.specs.model import Spec
from vertex_batch.tasks.choices import DAY, DRY_RUN, JOBS, RETRY_OF
from vertex_batch.tasks.forms import text_field
from vertex_batch.vertex.labels import MAX_LABELS, RESERVED_PREFIXES

OVERRIDES = {"inputs": "input", "model": "model", "labels": "labels"}
"""Field of the submit task -> param of the form that replaces it for one run."""

_MODELS = ["gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-4-argon", "gemini-embedding-001"]
_RUN, _INPUT, _JOB = "This run", "Input and date", "Model and labels"
_URI = "^(gs|bq)://"
_SHOWN_JOBS = 3
_MARKDOWN = re.compile(r"[\\*_<>\[\]|~&$#]")
_LABEL = r"^[a-z0-9_-]{0,63}$"
_LABEL_KEY = rf"^(?!{'|'.join(RESERVED_PREFIXES)})"


def form(spec: Spec) -> dict[str, Param]:
    """Build the trigger form. No field is required; an empty field keeps the spec's value.

    (A DAG with a schedule may not have a required param, and the form is sent whole, with empty fields.) The
    spec's values are in the descriptions, not in the fields: they may be templates, and submitted values are
    never rendered.
    """
    return {**_run(spec), **_input(spec), **_model_and_labels(spec)}


def _field(kinds: str, title: str, description: str, **schema: Any) -> Param:
    """A field that may be empty.

    :param kinds: JSON types. The first one decides the widget.
    """
    types = ["null", *kinds.split()]
    return Param(default=None, type=types, title=title, description_md=description, **schema)


def _run(spec: Spec) -> dict[str, Param]:
    names = [job.name for job in spec.jobs]
    jobs = _field(
        "array",
        "Jobs",
        f"Run only these. Default: all {len(names)} jobs",
        items={"type": "string", "enum": names},
        examples=names,
        section=_RUN,
    )
    retry_of = text_field(
        "Send rows of an earlier run again",
        "The id of a run of this DAG that is over. Only its rows without a good answer are submitted, and"
        " nothing else; rows with a good answer are never sent again. Leave the run date empty: this"
        " run takes that of the earlier run.",
        section=_RUN,
        maxLength=250,
    )
    return {
        **({JOBS: jobs} if spec.grouped else {}),
        DRY_RUN: Param(
            default=False,
            type=["boolean", "null"],
            title="Dry run",
            description_md="Check the input, the model and the output, estimate the cost, show the request,"
            " and submit nothing.",
            section=_RUN,
        ),
        "note": text_field(
            "Note",
            "The reason for this run. It is recorded with the bill.",
            section=_RUN,
            format="multiline",
            maxLength=1000,
        ),
        **({RETRY_OF: retry_of} if any(job.retry_rows for job in spec.jobs) else {}),
    }


def _input(spec: Spec) -> dict[str, Param]:
    sample = {
        "sample": _field(
            "integer",
            "Sample",
            "Run only this many random rows, and estimate the cost of all rows. Default: all rows."
            " The answers are written to a folder for samples below the output.",
            minimum=1,
            maximum=MAX_SAMPLE_ROWS,
            section=_INPUT,
        ),
        "sample_seed": _field(
            "integer",
            "Sample seed",
            "The same seed selects the same rows of the same input. Default: 0",
            section=_INPUT,
        ),
    }
    return {
        DAY: text_field(
            "Run date",
            f"Use the input and output of this day (time zone {spec.timezone}). Default: the day of the"
            " run. A run for a day that was answered before sends all rows of it, and pays for them, again.",
            section=_INPUT,
            format="date",
        ),
        "input": _field(
            "array string",  # the API also accepts a single string
            "Input",
            f"Read these instead, one per line. Default: {_default(spec, 'inputs')}",
            items={"type": "string", "pattern": _URI},
            pattern=_URI,
            section=_INPUT,
        ),
        **(sample if any(job.may_be_split for job in spec.jobs) else {}),
    }


def _model_and_labels(spec: Spec) -> dict[str, Param]:
    return {
        "model": text_field(
            "Model",
            f"Use this model instead. Default: {_default(spec, 'model')}{_ends(spec)}",
            section=_JOB,
            pattern=r"^\S*$",
            examples=sorted({*(job.model for job in spec.jobs), *_MODELS}),
        ),
        "labels": _field(
            "object",
            "Labels",
            f"Add or change these labels. Default: {_default(spec, 'job_labels')}",
            maxProperties=MAX_LABELS,
            propertyNames={"pattern": _LABEL_KEY},
            additionalProperties={"type": "string", "pattern": _LABEL},
            section=_JOB,
        ),
    }


def _ends(spec: Spec) -> str:
    """Announced last days of the spec's models. Independent of today, so that the DAG stays the same."""
    found = {job.model: retirement_of(job.model) for job in spec.jobs}
    days = [f"{end.model}: {end.last_day}" for end in found.values() if end and end.is_final]
    return f". Last day of {', of '.join(days)}" if days else ""


def _default(spec: Spec, name: str) -> str:
    """The value that is used if the field is empty, in short; per job if the jobs differ.

    It is not marked as code: a help text in Airflow's form is so narrow that the frames of code overlap.
    """
    values = {job.name: _short(getattr(job, name)) for job in spec.jobs}
    if len(set(values.values())) == 1:
        text = next(iter(values.values()))
    else:
        text = _first([f"{job} {value}" for job, value in values.items()], _SHOWN_JOBS)
    return _MARKDOWN.sub(r"\\\g<0>", text)


def _short(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return _first([plain(each) for each in value], 1)
    return plain(value) if value else "none"


def _first(texts: Sequence[str], count: int) -> str:
    more = f" and {len(texts) - count:,} more" if len(texts) > count else ""
    return f"{', '.join(texts[:count])}{more}"
