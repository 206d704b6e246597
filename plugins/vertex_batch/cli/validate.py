"""``vertex-batch validate`` and ``vertex-batch schema``."""

from __future__ import annotations

import argparse
import re
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

from vertex_batch.cli import arguments
from vertex_batch.cli.output import print_json
from vertex_batch.errors import count_of, scrub
from vertex_batch.pricing import Retirement, Stage, retirement_of
from vertex_batch.specs import Problem, SpecError, SpecSet, json_schema, load_files, spec_file, spec_files
from vertex_batch.specs.events import often
from vertex_batch.specs.load import working_folder
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets
from vertex_batch.specs.templates import is_template

DEFAULT_FOLDER = working_folder()
_JOB_NAME = re.compile(r"\{\{-?\s*job_name\s*-?\}\}")
_VALUE = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}")

_OWN_FILE = "Give each its own file, such as with `{{ job_name }}` in `results.to`."
_SAME_ADDRESS = (
    "Only one delivery can be there. It is usually the later one. The answers of the other are then moved to"
    " a file beside it, with the run in its name. If they are of an earlier day or of the same input, they"
    " are replaced, and the page of their run does not say so. A later delivery with fewer answers to the"
    f" same input is itself put beside the other. {_OWN_FILE}"
)
_SAME_RUN = (
    "Only one delivery can be there. Both are of the same run and may be written at the same time, so that"
    f" files of one may be beside those of the other. {_OWN_FILE}"
)


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Check job specs. Every problem is printed as file:line:col: path: message, with exit status 1."
    )
    command.add_argument(
        "paths",
        nargs="*",
        metavar="SPEC",
        type=spec_file,
        help="spec files or their names, or folders with spec files (default: include/jobs)",
    )
    command.add_argument(
        "--format",
        choices=["text", "json", "github"],
        default="text",
        help="default: text; github annotates the lines of a pull request",
    )
    command.add_argument("--json", action="store_true", help="same as --format json")
    command.add_argument(
        "--on",
        type=arguments.day,
        metavar="DAY",
        help="report the models that are retired on this UTC day (default: today)",
    )
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Check the named specs, and the budgets next to a folder of specs.

    A model that was retired is a problem; one that stops later is a note.

    :returns: 1 if there is any problem or no spec at all, else 0.
    """
    paths = [Path(path) for path in options.paths] or [DEFAULT_FOLDER]
    found = check(paths)
    day = options.on or datetime.now(UTC).date()
    found = SpecSet(found.specs, [*found.errors, *_budget_errors(paths), *_retired(found, day)])
    if options.json or options.format == "json":
        print_json(_as_data(found, day))
    elif options.format == "github":
        sys.stdout.write("".join(f"{line}\n" for line in _github(found)))
        sys.stderr.write(f"{_summary(found)}\n")
    else:
        for error in found.errors:
            sys.stdout.write(f"{error}\n")
        sys.stderr.write("".join(f"{note}\n" for note in _notes(found, day)))
        sys.stderr.write(f"{_summary(found)}\n")
    return 1 if found.errors else 0


def describe_schema(command: argparse.ArgumentParser) -> None:
    command.description = "Print the JSON schema."
    command.set_defaults(run=print_schema)


def print_schema(_: Namespace) -> int:
    print_json(json_schema())
    return 0


def check(paths: Sequence[Path]) -> SpecSet:
    """Read all specs at these paths as one set, in which names must be unique."""
    files: dict[Path, None] = {}
    errors: list[SpecError] = []
    for path in paths:
        # A missing file is reported when it is read.
        here = sorted(spec_files(path)) if path.is_dir() else [path]
        files.update(dict.fromkeys(here))
        if not here:
            errors.append(SpecError(path, [Problem(1, 1, "", "contains no spec (no *.yaml or *.yml file)")]))
    found = load_files(files)
    return SpecSet(found.specs, errors + found.errors)


def _budget_errors(paths: Sequence[Path]) -> Iterator[SpecError]:
    for file in dict.fromkeys(budgets_file(path.absolute()) for path in paths if path.is_dir()):
        try:
            if file:
                load_team_budgets(file)
        except SpecError as error:
            yield error


def _retired(found: SpecSet, day: date) -> Iterator[SpecError]:
    """An error for each model of a spec that no longer answers."""
    for spec, job, end in _ends(found):
        if end.stage(day) is Stage.RETIRED:
            path = f"jobs.{job.name}.model" if spec.grouped else "model"
            yield SpecError(spec.file or Path(spec.name), [Problem(1, 1, path, end.describe(day))])


def _ends(found: SpecSet) -> Iterator[tuple[Spec, JobSpec, Retirement]]:
    """The jobs with a model whose end is known."""
    for spec in found.specs.values():
        for job in spec.jobs:
            if end := retirement_of(job.model):
                yield spec, job, end


def _notes(found: SpecSet, day: date) -> Iterator[str]:
    """Notes on what is valid but may surprise."""
    for spec, job, end in _ends(found):
        if end.stage(day) in (Stage.ENDING, Stage.DOUBTFUL):
            yield f"{spec.file}: note: job {job.name}: {end.describe(day)}"
    for spec in found.specs.values():
        if spec.cron and spec.start_date is None:
            yield (
                f"{spec.file}: note: `schedule` without `start_date`: the first run is the next one that is"
                " due. If Airflow is down at that time, the run is skipped without a warning. To have it"
                " reported, set `start_date` to the first day of the schedule."
            )
        if spec.cron and (runs := often(spec.cron)):
            yield f"{spec.file}: note: `schedule: {spec.cron}`: {runs}"
    yield from _delivery_notes(found)


def _delivery_notes(found: SpecSet) -> Iterator[str]:
    """Notes on deliveries that replace each other, and on reasons that no row can have."""
    users: dict[str, list[tuple[Spec, str]]] = {}
    for spec in found.specs.values():
        for job in spec.jobs:
            if job.results is None:
                continue
            name = job.name if spec.grouped else spec.name
            to = _JOB_NAME.sub(name, job.results.to)
            users.setdefault(_VALUE.sub(r"{{ \1 }}", to), []).append((spec, name))
            if spec.schedule not in (None, "@once") and not is_template(to):
                yield (
                    f"{spec.file}: note: job {name}: `results.to` is the same file in each run, so each"
                    " delivery replaces the one before. To keep them, add a date such as `{{ run_date }}`."
                )
            if job.retry_rows and "invalid" in job.retry_rows.reasons and job.results.answer != "json":
                yield (
                    f"{spec.file}: note: job {name}: `retry_rows.reasons` has `invalid`, but no row is ever"
                    f" invalid with `answer: {job.results.answer}`. Set `results.answer: json`, or remove"
                    " `invalid`."
                )
    for to, ((first, of), *others) in users.items():
        for spec, name in others:
            meets = _SAME_RUN if spec is first else _SAME_ADDRESS
            yield f"{spec.file}: note: job {name}: delivers to {to}, as {first.file}, job {of} does. {meets}"


def _summary(found: SpecSet) -> str:
    valid = f"{count_of(len(found.specs), 'spec')} valid"
    problems = sum(len(error.problems) for error in found.errors)
    if not problems:
        return valid
    return f"{count_of(problems, 'problem')} in {count_of(len(found.errors), 'file')}; {valid}"


def _github(found: SpecSet) -> Iterator[str]:
    """Workflow commands with which GitHub annotates the lines of a change."""
    for error in found.errors:
        for problem in error.problems:
            file = _escaped(problem.file or error.file, ",:")
            what = f"{problem.path}: {problem.message}" if problem.path else problem.message
            place = f"file={file},line={problem.line},col={problem.column}"
            yield f"::error {place},title=Job spec::{_escaped(scrub(what))}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _as_data(found: SpecSet, day: date) -> dict[str, object]:
    return {
        "specs": [{"name": spec.name, "file": str(spec.file)} for spec in found.specs.values()],
        "notes": list(_notes(found, day)),
        "problems": [
            {**asdict(problem), "file": problem.file or error.file}
            for error in found.errors
            for problem in error.problems
        ],
    }
