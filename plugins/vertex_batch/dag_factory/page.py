"""The documentation of a spec's DAG, which Airflow shows on its page."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel

from vertex_batch.observability.links import airflow_path
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.model import Spec


def page(spec: Spec) -> str:
    """Write the DAG's documentation: what its tasks do, how to run them again, and a table of its spec."""
    title = spec.description.strip() or f"Batch prediction jobs of the spec `{spec.name}`."
    origin = f"Settings of the spec `{spec.file.name}`" if spec.file else "Settings of the spec"
    rows = _rows(spec, {"name", "description"})
    tables = [_table("setting", rows + ([] if spec.grouped else _rows(spec.job, {"name"})))]
    if spec.grouped:
        tables += [_table(f"setting of job `{job.name}`", _rows(job, {"name"})) for job in spec.jobs]
    address = f"{airflow_path()}/dags/{spec.name}/plugin/dag-batch-costs"
    costs = f"[Costs, bills and running jobs of this DAG]({address})"
    parts = [title, costs, "### Tasks", _tasks(spec), "### Run again", _again(spec), _late_runs(spec)]
    return "\n\n".join([*filter(None, parts), f"### {origin}", *tables, _DEFAULTS])


_DEFAULTS = "All other settings have their defaults, which `docs/specs.md` lists under *Fields*."


_MAPPED = " Mapped: an index for each job. There is one job, unless the input is too large for it."


def _tasks(spec: Spec) -> str:
    is_planned = any(job.may_be_split for job in spec.jobs)
    rounds = max((job.retry_rows.rounds for job in spec.jobs if job.retry_rows), default=0)
    again = (
        f"Sends rows without a good answer again, in up to {rounds} rounds. Skipped (pink) if there are none:"
        " Airflow shows them also if they are not needed, and starting them for nothing would cost more."
    )
    has = {
        "plan_inputs": is_planned,
        "retry_N": rounds,
        "deliver": any(job.results for job in spec.jobs),
        "check_tasks": any(map(spec.is_followed, spec.jobs)),
        "results": any(job.asset for job in spec.jobs),
    }
    rows = {
        "plan_inputs": "Tries the proxy, counts and checks the rows, and decides which job reads which.",
        "submit": "Submits the Vertex job, once, however often it is retried."
        f"{_MAPPED if is_planned else ''}",
        "wait": "Waits until the job has ended, without holding a worker.",
        "ended": "Does nothing. Airflow needs it to fail the run if either `wait` or `record_cost` fails.",
        "record_cost": "Cancels what still runs after a failure, and records the bill, however the job"
        " ended.",
        "retry_N": again,
        "deliver": "Writes the answers, each joined to its input row, and the rows without one.",
        "check_tasks": "Fails a run that a person marked, if a task of its job has failed. Airflow skips all"
        " others then.",
        "results": "Announces the results as an asset event.",
    }
    lines = [f"| `{name}` | {text} |" for name, text in rows.items() if has.get(name, True)]
    return "\n".join(["| task | what it does |", "|---|---|", *lines])


def _again(spec: Spec) -> str:
    """Explain what a clear does and costs, and what to clear."""
    first = "`plan_inputs`" if any(job.may_be_split for job in spec.jobs) else "`submit`"
    pays = "**This pays for a new job.** If one with the same request still runs, that one is adopted."
    lines = [
        f"- To run a night again, clear {first} with its downstream tasks. {pays}",
        "- Clearing `wait`, `record_cost` or a task after it costs nothing: it reads the same job again.",
        "- To stop a run, mark it as failed. Its job is cancelled; rows that are finished are billed.",
    ]
    if any(job.retry_rows for job in spec.jobs):
        lines.append(
            "- To send only the rows again that have no good answer, trigger the DAG with the id of that run."
        )
    return "\n".join(lines)


def _late_runs(spec: Spec) -> str:
    """Explain what happens to a scheduled run that cannot start in time."""
    if not spec.cron or spec.catchup:
        return ""
    return (
        f"A scheduled run that would start more than {show_duration(spec.start_within)} after it was due,"
        " because Airflow was down or the DAG was paused, is skipped. Nothing is submitted or paid for it,"
        " and Airflow logs a warning. To run a skipped day, trigger the DAG with that run date, or"
        f" use `airflow backfill create --dag-id {spec.name} --from-date DAY --to-date NEXT_DAY`."
    )


def _rows(settings: BaseModel, without: set[str]) -> list[str]:
    """The settings that the spec has, in the order of the documentation; without defaults."""
    names = [name for name in type(settings).model_fields if name in settings.model_fields_set - without]
    values = {name: getattr(settings, name) for name in names}
    return [f"| {name} | {_cell(value)} |" for name, value in values.items() if value not in (None, [], {})]


def _table(title: str, rows: list[str]) -> str:
    return "\n".join([f"| {title} | value |", "|---|---|", *rows])


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)) and value:
        return "<br>".join(_code(item) for item in value)
    return _code(value)


def _code(value: object) -> str:
    # A bar would end the table's cell, a backtick the code.
    return f"`{plain(value)}`".replace("|", "\\|")


def plain(value: object) -> str:
    """Write a value as one line of text without backticks."""
    if isinstance(value, timedelta):
        return show_duration(value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="minutes")
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_defaults=True)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    text = json.dumps(value, default=_decimal) if isinstance(value, dict) else str(value)
    return text.replace("`", "'")


def _decimal(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)
