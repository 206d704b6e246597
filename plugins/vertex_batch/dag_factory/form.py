"""How Airflow shows a spec: the trigger form and the DAG's documentation."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

from vertex_batch.inputs import MAX_SAMPLE_ROWS
from vertex_batch.pricing import retirement_of
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.model import Spec
from vertex_batch.tasks.choices import DAY, DRY_RUN, JOBS, RETRY_OF
from vertex_batch.tasks.forms import text_field

OVERRIDES = {"inputs": "input", "model": "model", "labels": "labels"}
"""Field of the submit task -> param of the form that replaces it for one run."""

_MODELS = ["gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-4-argon", "gemini-embedding-001"]
_RUN, _INPUT, _JOB = "This run", "Input", "Model and labels"
_URI = "^(gs|bq)://"
_LABEL = r"^[a-z0-9_-]{0,63}$"


def form(spec: Spec) -> dict[str, Param]:
    """Build the trigger form. No field is required; an empty field keeps the spec's value.

    (A DAG with a schedule may not have a required param, and the form is sent whole, with empty fields.) The
    spec's values are in the descriptions, not in the fields: they may be templates, and submitted values are
    never rendered.
    """
    return {
        **(_jobs(spec) if spec.grouped else {}),
        DRY_RUN: Param(
            default=False,
            type=["boolean", "null"],
            title="Dry run",
            description_md="Check the input, the model and the output, show the request, and submit nothing.",
            section=_RUN,
        ),
        "note": text_field(
            "Note",
            "The reason for this run. It is shown with the bill.",
            section=_RUN,
            format="multiline",
            maxLength=1000,
        ),
        **(_retry_of() if any(job.retry_rows for job in spec.jobs) else {}),
        **_input(spec),
        **_model_and_labels(spec),
    }


def _retry_of() -> dict[str, Param]:
    return {
        RETRY_OF: text_field(
            "Send rows of an earlier run again",
            "The id of a run of this DAG that is over. Only its rows without a good answer are submitted, and"
            " nothing else; answered rows are not paid for again. Also enter that run's date below.",
            section=_RUN,
            maxLength=250,
        )
    }


def _jobs(spec: Spec) -> dict[str, Param]:
    names = [job.name for job in spec.jobs]
    return {
        JOBS: Param(
            default=None,
            type=["null", "array"],
            items={"type": "string", "enum": names},
            examples=names,
            title="Jobs",
            description_md=f"Run only these. Default: all {len(names)} jobs",
            section=_RUN,
        )
    }


def _input(spec: Spec) -> dict[str, Param]:
    may_be_split = any(job.may_be_split for job in spec.jobs)
    return {
        DAY: text_field(
            "Run date",
            f"Use this day (in {spec.timezone}) in templates. Default: the day of the run",
            section=_INPUT,
            format="date",
        ),
        "input": Param(
            default=None,
            # The first type that is not null decides the widget; the API also accepts a single string.
            type=["null", "array", "string"],
            items={"type": "string", "pattern": _URI},
            pattern=_URI,
            title="Input",
            description_md=f"Read these instead, one per line. Default: {_default(spec, 'inputs')}",
            section=_INPUT,
        ),
        **(_sample() if may_be_split else {}),
    }


def _sample() -> dict[str, Param]:
    return {
        "sample": Param(
            default=None,
            type=["null", "integer"],
            minimum=1,
            maximum=MAX_SAMPLE_ROWS,
            title="Sample",
            description_md=(
                "Run only this many random rows, and estimate the cost of all rows. Default: all rows."
                " The answers are written to `_samples/` below the output."
            ),
            section=_INPUT,
        ),
        "sample_seed": Param(
            default=None,
            type=["null", "integer"],
            title="Sample seed",
            description_md="The same seed selects the same rows of the same input. Default: `0`",
            section=_INPUT,
        ),
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
        "labels": Param(
            default=None,
            type=["null", "object"],
            additionalProperties={"type": "string", "pattern": _LABEL},
            title="Labels",
            description_md=f"Add or change these labels. Default: {_default(spec, 'job_labels')}",
            section=_JOB,
        ),
    }


def _ends(spec: Spec) -> str:
    """Announced last days of the spec's models. Independent of today, so that the DAG stays the same."""
    found = {job.model: retirement_of(job.model) for job in spec.jobs}
    days = [f"`{end.model}`: {end.last_day}" for end in found.values() if end and end.is_final]
    return f". Last day of {', of '.join(days)}" if days else ""


def page(spec: Spec) -> str:
    """Write the DAG's documentation: its description, and a table of its spec."""
    title = spec.description.strip() or f"Batch prediction jobs of the spec `{spec.name}`."
    origin = f"\n\nFrom `{spec.file.name}`." if spec.file else ""
    title += _late_runs(spec)
    rows = _rows(spec, {"name", "description"})
    if not spec.grouped:
        return f"{title}\n\n{_table('spec', rows + _rows(spec.job, {'name'}))}{origin}"
    tables = [_table("spec", rows), *(_table(f"job `{job.name}`", _rows(job, {"name"})) for job in spec.jobs)]
    return "\n\n".join([title, *tables]) + origin


def _late_runs(spec: Spec) -> str:
    """Explain what happens to a scheduled run that cannot start in time."""
    if not spec.cron or spec.catchup:
        return ""
    return (
        f"\n\nA scheduled run that would start more than {show_duration(spec.start_within)} after it was due,"
        " because Airflow was down or the DAG was paused, is skipped. Nothing is submitted or paid for it,"
        " and Airflow logs a warning. To run a skipped day, trigger the DAG with that run date, or"
        f" use `airflow backfill create --dag-id {spec.name} --from-date DAY --to-date NEXT_DAY`."
    )


def _rows(said: BaseModel, without: set[str]) -> list[str]:
    rows = []
    defaults = _default_rows(type(said))
    for name in type(said).model_fields:
        if name not in without:
            row = _row(name, getattr(said, name)) if name in said.model_fields_set else defaults[name]
            rows += [row] if row else []
    return rows


@cache
def _default_rows(model: type[BaseModel]) -> dict[str, str]:
    return {
        name: _row(name, field.get_default(call_default_factory=True))
        for name, field in model.model_fields.items()
        if not field.is_required()
    }


def _row(name: str, value: Any) -> str:
    return "" if value in (None, [], {}) else f"| {name} | {_cell(value)} |"


def _table(title: str, rows: list[str]) -> str:
    return "\n".join([f"| {title} | |", "|---|---|", *rows])


def _default(spec: Spec, name: str) -> str:
    """The value that is used if the field is empty; per job if the jobs differ."""
    values = {job.name: _code(getattr(job, name)) for job in spec.jobs}
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    return ", ".join(f"{job} {value}" for job, value in values.items())


def _cell(value: Any) -> str:
    if isinstance(value, (list, tuple)) and value:
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
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    text = json.dumps(value, default=_decimal) if isinstance(value, dict) else str(value)
    return text.replace("`", "'")


def _decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
