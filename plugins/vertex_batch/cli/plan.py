"""``vertex-batch plan`` and ``vertex-batch check`` show what would be submitted. Neither submits."""

from __future__ import annotations

import argparse
import json
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter, ValidationError

from vertex_batch.budgets import Decision, Ruling
from vertex_batch.cli import access
from vertex_batch.cli.output import logs_aside, print_json
from vertex_batch.cli.planning import Plan, look, prepare, weigh
from vertex_batch.errors import ConfigurationError
from vertex_batch.inputs import MAX_SAMPLE_ROWS
from vertex_batch.inputs.preparation import SampleRequest
from vertex_batch.specs import Spec, load_spec, prices_folder, spec_file
from vertex_batch.specs.load import root_of
from vertex_batch.specs.model import JobSpec
from vertex_batch.specs.rendering import moment_on
from vertex_batch.specs.results import put_elsewhere
from vertex_batch.specs.team_budgets import budgets_file
from vertex_batch.specs.uris import InputUri
from vertex_batch.specs.values import ModelName

_SHOWN_SHARDS = 10
_LOCAL = "no job reads files of this machine: upload the input first, with `vertex-batch put`"


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Render a spec for a date, check its inputs, and show the exact request, problems in the"
        " rows, and the expected cost. Nothing is submitted. Exit status 1 if a submission would certainly be"
        " refused or fail."
    )
    add_spec_options(command)
    _add_choices(command)
    command.add_argument(
        "--offline", action="store_true", help="only render; do not contact the proxy or the object store"
    )
    command.add_argument(
        "--url",
        help="the cost table with earlier runs, such as sqlite:////path/batch_costs.db (default: that of the"
        " spec's `cost_connection`)",
    )
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run_plan)


def _add_choices(command: argparse.ArgumentParser) -> None:
    """Add what a person can choose in the form of a run."""
    command.add_argument(
        "--input",
        dest="inputs",
        type=_input,
        action="append",
        default=[],
        metavar="URI",
        help="read this instead, as the form's field Input does: gs://, bq:// or a local file; may be"
        " repeated",
    )
    command.add_argument(
        "--model", type=_model, help="use this model instead, as the form's field Model does"
    )
    command.add_argument(
        "--sample",
        type=_sample_rows,
        metavar="ROWS",
        help="only so many rows, chosen at random, as the form's field Sample does; the cost of all rows is"
        f" shown, too (1 to {MAX_SAMPLE_ROWS:,})",
    )
    command.add_argument(
        "--sample-seed", type=int, default=0, metavar="N", help="another seed chooses other rows (default: 0)"
    )


def describe_check(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Run a spec's pre-flight for a date. It reads every row and submits nothing. Exit status 1 if Vertex"
        " would answer no row of a job, no row has the field that `results.key` names, or more rows are"
        " certain to fail than the spec allows."
    )
    add_spec_options(command)
    _add_choices(command)
    command.add_argument("--json", action="store_true", help="print JSON")
    command.set_defaults(run=run_check, offline=False)


def add_spec_options(command: argparse.ArgumentParser, default_date: str = "now") -> None:
    command.add_argument("spec", metavar="SPEC", type=spec_file, help="a spec file, or its name")
    command.add_argument(
        "--date",
        type=moment,
        metavar="DAY",
        help="the run's day, such as 2026-11-01, or its time, such as 2026-11-01T02:30"
        f" (default: {default_date})",
    )
    command.add_argument(
        "--job", action="append", metavar="NAME", help="only this job of the spec; may be repeated"
    )
    access.add_options(command)


def moment(text: str) -> date | datetime:
    """Read an option's day or time."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"`{text}` is not a valid day or time, such as 2026-11-01 or 2026-11-01T02:30"
        ) from None


def _input(text: str) -> str:
    """Read an option's input: a URI, or a file on this machine."""
    if "://" not in text:
        return str(Path(text).expanduser().absolute())
    return _checked(TypeAdapter(InputUri), text)


def _sample_rows(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_SAMPLE_ROWS:
        raise argparse.ArgumentTypeError(f"`{text[:80]}` is not a number from 1 to {MAX_SAMPLE_ROWS:,}")
    return int(text)


def _model(text: str) -> str:
    return _checked(TypeAdapter(ModelName), text)


def _checked(kind: TypeAdapter[str], text: str) -> str:
    """Check an option's value as that of a spec's field."""
    try:
        return str(kind.validate_python(text))
    except ValidationError as error:
        message = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise argparse.ArgumentTypeError(f"`{text[:80]}`: {message}") from None


def run_plan(options: Namespace) -> int:
    with logs_aside():
        plans = list(_plans(options, estimate=True))
    if options.json:
        print_json({"spec": plans[0].spec.name, "jobs": [as_data(plan) for plan in plans]})
    else:
        sys.stdout.write("\n".join(line for plan in plans for line in _lines(plan)) + "\n")
    return int(any(plan.is_hopeless for plan in plans))


def run_check(options: Namespace) -> int:
    with logs_aside():
        plans = list(_plans(options, estimate=False))
    if options.json:
        print_json({"spec": plans[0].spec.name, "jobs": [_job_report(plan) for plan in plans]})
    else:
        sys.stdout.write("\n".join(line for plan in plans for line in _check_lines(plan)) + "\n")
    return int(any(plan.is_hopeless for plan in plans))


def chosen_moment(spec: Spec, given: date | datetime | None) -> datetime:
    """The run's logical time: the option's, in the spec's time zone, or now."""
    if given is None:
        return datetime.now(UTC)
    if isinstance(given, datetime):
        return given if given.tzinfo else given.replace(tzinfo=ZoneInfo(spec.timezone))
    return moment_on(spec, given)


def chosen_jobs(spec: Spec, names: Sequence[str] | None) -> list[JobSpec]:
    """The requested jobs of a spec, in the order of the file.

    :raises ConfigurationError: the spec has no job of that name.
    """
    known = {job.name: job for job in spec.jobs}
    for name in names or ():
        if name not in known:
            raise ConfigurationError(f"{spec.file} has no job {name}; its jobs are {', '.join(known)}")
    return [job for job in spec.jobs if not names or job.name in names]


def _plans(options: Namespace, *, estimate: bool) -> Iterator[Plan]:
    sample = SampleRequest(options.sample, options.sample_seed) if options.sample else None
    inputs, offline = options.inputs, options.offline
    if sample and offline:
        raise ConfigurationError("A sample is drawn from the input: leave out `--offline` or `--sample`")
    spec = load_spec(options.spec)
    if len({"://" in uri for uri in inputs}) > 1:
        raise ConfigurationError("Inputs must be in one place, all local or all in Cloud Storage")
    when = chosen_moment(spec, options.date)
    reach = access.Access(options)
    folder, seen = root_of(Path(options.spec).resolve()), list[Plan]()
    changes = {"model": options.model} if options.model else {}
    for job in (each.model_copy(update=changes) for each in chosen_jobs(spec, options.job)):
        plan = prepare(reach, spec, job, when, offline=offline, inputs=inputs)
        if not offline:
            cost_table = options.url if estimate else None
            prices = prices_folder(folder)
            plan = look(reach, plan, prices, estimate=estimate, cost_table=cost_table, sample=sample)
            plan = weigh(plan, budgets_file(folder), cost_table, seen)
            seen.append(plan)
        yield plan


def as_data(plan: Plan) -> dict[str, object]:
    return {
        **_job_report(plan),
        "project": plan.place.project,
        "location": plan.place.location,
        "inputs": list(plan.rendered.uris),
        "output": plan.rendered.output,
        "delivery": plan.rendered.delivery or None,
        "retry_rows": plan.job.retry_rows.model_dump() if plan.job.retry_rows else None,
        "jobs": plan.jobs,
        "request": plan.request.to_wire(),
        "estimate": plan.estimate.to_dict() if plan.estimate else None,
        "budget": _budget(plan),
        "sample": plan.sample.to_dict() if plan.sample else None,
        "estimate_of_all_rows": plan.whole.to_dict() if plan.whole else None,
        "history": plan.history.to_dict(),
        "priced_on": plan.day,
        "retirement": plan.retirement or None,
        "new_prices_from": plan.new_prices,
        "shards": list(plan.shards),
    }


def _budget(plan: Plan) -> dict[str, object] | None:
    """The decision of the budgets as plain data; the verdict is None if it is not known."""
    if isinstance(plan.budget, Decision):
        bounds = list(plan.budget.lower_bounds)
        return {"verdict": plan.ruling, "reasons": list(plan.budget.reasons), "lower_bounds": bounds}
    return {"verdict": None, "reasons": [plan.budget], "lower_bounds": []} if plan.budget else None


def _job_report(plan: Plan) -> dict[str, object]:
    report = plan.report
    return {
        "job": plan.job.name,
        "refused": plan.is_refused,
        "would_fail": plan.is_hopeless and not plan.is_refused,
        "problem": plan.problem or None,
        "not_asked": plan.not_asked or None,
        "objects": report.objects if report else None,
        "rows": report.rows if report else None,
        "bytes": report.size_bytes if report else None,
        "findings": [
            {"severity": f.severity, "place": f.place, "path": f.path, "message": f.message, "times": f.times}
            for f in (report.shown if report else ())
        ],
        "counts": dict(report.counts) if report else None,
    }


def _lines(plan: Plan) -> Iterator[str]:
    place = f"{plan.place.project}/{plan.place.location}"
    yield f"{plan.title}: {_outlook(plan, place)}; nothing was submitted"
    yield from _field("inputs", [*plan.rendered.uris, *([_LOCAL] if plan.is_local else [])])
    yield from _field("output", [plan.rendered.output])
    yield from _field("answers", _delivery(plan))
    yield from _field("found", _summary(plan))
    if plan.shards:
        sizes = ", ".join(f"{rows:,}" for rows in plan.shards[:_SHOWN_SHARDS])
        rest = ", ..." if len(plan.shards) > _SHOWN_SHARDS else ""
        yield from _field("shards", [f"{len(plan.shards):,} jobs, with {sizes}{rest} rows"])
    yield from _field("cost", _cost(plan))
    yield from _field("budget", _budget_lines(plan))
    if plan.job.retry_rows:
        expected = plan.estimate.expected if plan.estimate else None
        yield from _field("again", plan.job.retry_rows.lines(expected))
    yield from _field("earlier", plan.history.lines())
    yield from _field("model", [plan.retirement] if plan.retirement else [])
    yield from _field("request", json.dumps(plan.request.to_wire(), indent=2).splitlines())
    if plan.sample:
        yield from _field("", ["the run writes the sample into an object; RUN/SAMPLE stands for its name"])
    yield from _field("", ["on submission, labels are added by which the job can be found again"])


def _outlook(plan: Plan, place: str) -> str:
    """What a submission would come to."""
    if plan.problem:
        return f"cannot be submitted now to {place}"
    part = f"; of its {plan.jobs} jobs, some may be submitted" if plan.jobs > 1 else ""
    if plan.ruling is Ruling.REFUSE:
        return f"would be REFUSED by its budget, not submitted to {place}{part}"
    if plan.is_refused:
        return f"would be REFUSED, not submitted to {place}"
    if plan.ruling is Ruling.HOLD:
        return f"would be HELD for approval, not submitted to {place}{part}"
    if plan.is_hopeless:
        return f"would FAIL, though it would be submitted to {place}"
    cost = ""
    if plan.estimate and not plan.estimate.expected.complete:
        cost = " at a cost KNOWN ONLY IN PART" if plan.estimate.expected.is_known else " at an UNKNOWN COST"
    unchecked = ", if its budget allows it" if isinstance(plan.budget, str) else ""
    once = " once its input is uploaded" if plan.is_local else ""
    return f"would be submitted to {place}{once}{cost}{unchecked}"


def _check_lines(plan: Plan) -> Iterator[str]:
    first, *rest = _summary(plan)
    yield f"{plan.title}: {first}"
    yield from (f"  {line}" for line in rest)


def _summary(plan: Plan) -> list[str]:
    lines = [text for text in (plan.problem, plan.not_asked) if text]
    if plan.report is None:
        return lines or ["nothing was checked (--offline)"]
    lines += [str(plan.sample)] if plan.sample else []
    lines += [plan.report.summary(), *plan.report.lines()]
    if plan.report.packed and plan.job.may_be_split:
        lines.append(f"Gzip objects: {plan.report.packed:,}; Airflow submits them unpacked")
    if plan.jobs > 1:
        lines.append(f"it is split into about {plan.jobs} jobs")
    if plan.report.is_hopeless:
        consequence = "refused before it costs anything" if plan.is_refused else "submitted anyway"
        mode = plan.job.preflight
        why = plan.report.why_hopeless
        lines.append(f"{why[0].upper()}{why[1:]}; with `preflight: {mode}` the job is {consequence}.")
    return lines


def _cost(plan: Plan) -> list[str]:
    if not plan.estimate:
        is_refused = plan.is_refused and not plan.problem
        return ["none: the job is refused" if is_refused else "unknown, because the input was not read"]
    of_all = (
        [f"all {plan.whole.rows:,} rows: {line}" for line in plan.whole.lines()[:1]] if plan.whole else []
    )
    lines = [*plan.estimate.lines(plan.day), *of_all]
    if day := plan.new_prices:
        lines.append(f"new prices from {day}: see `vertex-batch prices {plan.job.model} --on {day}`")
    return lines


def _budget_lines(plan: Plan) -> list[str]:
    if isinstance(plan.budget, Decision):
        return plan.budget.lines()
    return [plan.budget] if plan.budget else []


def _delivery(plan: Plan) -> list[str]:
    results = plan.job.results
    elsewhere = put_elsewhere(is_sample=plan.sample is not None, input_is_chosen=plan.input_is_chosen)
    return [results.describe(plan.rendered.delivery), *elsewhere] if results else []


def _field(name: str, lines: Iterable[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        yield f"  {name if number == 0 else '':<8}  {line}"
