"""What a person sees of a spec in Airflow: the trigger form, and the DAG's page."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from airflow.sdk import Param
from pydantic import BaseModel

from vertex_batch.inputs import MAX_SAMPLE_ROWS
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.model import Spec
from vertex_batch.tasks.choices import DAY, DRY_RUN, JOBS
from vertex_batch.tasks.forms import text_field

OVERRIDES = {"inputs": "input", "model": "model", "labels": "labels"}
"""Field of the submit task -> param of the form that replaces it for one run."""

_MODELS = ["gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-2.5-pro", "gemini-embedding-001"]
_RUN, _INPUT, _JOB = "This run", "What it reads", "What it asks"
_URI = "^(gs|bq)://"
_LABEL = r"^[a-z0-9_-]{0,63}$"


def form(spec: Spec) -> dict[str, Param]:
    """Build the trigger form. Nothing in it is required: what is left empty is as the spec says.

    (A DAG with a schedule may not have a required param, and the form is sent whole, empty fields included.)
    What the spec says stands in the descriptions rather than in the fields: it may be a template, and what is
    sent is never rendered.
    """
    return {
        **(_jobs(spec) if spec.grouped else {}),
        DRY_RUN: Param(
            default=False,
            type=["boolean", "null"],
            title="Dry run",
            description_md="Look at input, model and output place, show the request, submit nothing.",
            section=_RUN,
        ),
        "note": text_field(
            "Note",
            "Why this run? It is kept beside its bill.",
            section=_RUN,
            format="multiline",
            maxLength=1000,
        ),
        **_input(spec),
        **_asked(spec),
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
            description_md=f"Run these alone. Default: all {len(names)} of them",
            section=_RUN,
        )
    }


def _input(spec: Spec) -> dict[str, Param]:
    may_be_split = any(job.may_be_split for job in spec.jobs)
    return {
        DAY: text_field(
            "Run date",
            f"Stand for this day (in {spec.timezone}) in templates. Default: the day of the run",
            section=_INPUT,
            format="date",
        ),
        "input": Param(
            default=None,
            # The first kind that is not null decides the widget; the API takes a single text as well.
            type=["null", "array", "string"],
            items={"type": "string", "pattern": _URI},
            pattern=_URI,
            title="Input",
            description_md=f"Read these instead, one per line. Default: {_said(spec, 'inputs')}",
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
                "Run only so many rows, chosen at random, and say what all of them would cost. Default: all."
                " Its answers are written to `_samples/` below the output."
            ),
            section=_INPUT,
        ),
        "sample_seed": Param(
            default=None,
            type=["null", "integer"],
            title="Seed of the sample",
            description_md="The same seed draws the same rows of the same input. Default: `0`",
            section=_INPUT,
        ),
    }


def _asked(spec: Spec) -> dict[str, Param]:
    return {
        "model": text_field(
            "Model",
            f"Ask this model instead. Default: {_said(spec, 'model')}",
            section=_JOB,
            pattern=r"^\S*$",
            examples=sorted({*(job.model for job in spec.jobs), *_MODELS}),
        ),
        "labels": Param(
            default=None,
            type=["null", "object"],
            additionalProperties={"type": "string", "pattern": _LABEL},
            title="Labels",
            description_md=f"Set these as well, or to other values. Default: {_said(spec, 'job_labels')}",
            section=_JOB,
        ),
    }


def page(spec: Spec) -> str:
    """Write the DAG's page: what it is for, and a table of what its spec says."""
    title = spec.description.strip() or f"Batch prediction jobs of the spec `{spec.name}`."
    origin = f"\n\nFrom `{spec.file.name}`." if spec.file else ""
    title += _late_runs(spec)
    rows = _rows(spec, {"name", "description"})
    if not spec.grouped:
        return f"{title}\n\n{_table('spec', rows + _rows(spec.job, {'name'}))}{origin}"
    tables = [_table("spec", rows), *(_table(f"job `{job.name}`", _rows(job, {"name"})) for job in spec.jobs)]
    return "\n\n".join([title, *tables]) + origin


def _late_runs(spec: Spec) -> str:
    """What happens to a scheduled run that cannot start in time."""
    if not spec.cron or spec.catchup:
        return ""
    return (
        f"\n\nA scheduled run that would start later than {show_duration(spec.start_within)} after it was due"
        " is skipped: Airflow was not running, or the DAG was paused. Nothing is submitted or paid for"
        " it, and Airflow's log has a warning. To run a skipped day, trigger the DAG with that run date, or"
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


def _said(spec: Spec, name: str) -> str:
    """What holds if the form does not say otherwise; that of each job, where there are several."""
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
