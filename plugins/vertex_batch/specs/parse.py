"""Turns the text of a spec file into a spec, or into a list of its problems."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from vertex_batch.specs.defaults import Defaults
from vertex_batch.specs.document import Document, read_document
from vertex_batch.specs.events import Events
from vertex_batch.specs.jobs_key import ENTRY_KEYS, JOB_KEYS, JOBS, SPEC_KEYS, job_entries
from vertex_batch.specs.matrix import MATRIX
from vertex_batch.specs.messages import meant_key, problems_of
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.origins import Origin, Values
from vertex_batch.specs.problems import Problem, SpecError
from vertex_batch.specs.results import answer_schema_file, schema_problem

MAX_PROBLEMS = 100
"""More than a person reads: a garbage file must not fill the log."""
Model = TypeVar("Model", bound=BaseModel)
_TOP_KEYS: dict[str, FieldInfo] = {**SPEC_KEYS, **JOB_KEYS, JOBS: FieldInfo(), MATRIX: FieldInfo()}
_JOB_KEYS: dict[str, FieldInfo] = {**ENTRY_KEYS, MATRIX: FieldInfo()}


def parse_spec(text: str, path: Path, defaults: Defaults) -> tuple[Spec, Document]:
    """Read one spec.

    :param path: the file of the text, for the spec's name and the locations of problems.
    :param defaults: of its folder.
    :raises SpecError: with every problem of the text.
    """
    document = read_document(text)
    problems = list(document.problems)
    if document.readable:
        if isinstance(document.data, dict):
            top = Values.of(document.data, Origin(path, document))
            shared, found = defaults.of(path)
            problems += found
            spec, found = check_spec(top.over(shared) if shared else top, path.stem)
            problems += found
        else:
            problems.append(
                Problem(1, 1, "", "must contain keys and values, such as `model: gemini-3.8-flash`")
            )
    if problems:
        # One line that applies to several jobs is one problem.
        raise SpecError(
            path, sorted(set(problems), key=lambda each: (each.file != str(path), each))[:MAX_PROBLEMS]
        )
    spec._file = path  # noqa: SLF001 - only the loader knows it
    return spec, document


def spec_of(data: Mapping[str, object], name: str = "spec") -> Spec:
    """Make a spec from plain data, for code that has no file.

    :raises SpecError: with every problem of the data.
    """
    spec, problems = check_spec(Values.of(data, Origin(Path(name), Document(data))), name)
    if problems:
        raise SpecError(name, set(problems))
    return spec


def check_spec(top: Values, name: str) -> tuple[Spec, list[Problem]]:
    """Check a spec's contents. The returned spec is usable only if there are no problems.

    :param name: its default name.
    """
    named = {"name": name, **top.data}
    whole = top.only({*JOB_KEYS, JOBS, MATRIX}, without=True)
    spec, problems = _check(Spec, {"name": name, **whole.data}, whole, _TOP_KEYS)
    at_top = _misspelled(top.data, _TOP_KEYS)
    grouped = JOBS in top.data or MATRIX in top.data
    entries = job_entries(top, "job" if not isinstance(named["name"], str) else named["name"])
    problems += entries.problems
    jobs = []
    for job, values in entries.jobs.items():
        known = _JOB_KEYS if grouped else _TOP_KEYS
        misspelled = at_top | _misspelled(values.data, known)
        checked, found = _check(JobSpec, {**values.data, "name": job}, values, known, misspelled)
        problems += [each for each in found if each.path != "name" or grouped]
        if not found and (wrong := _schema_problem(checked, top, values)):
            problems.append(wrong)
        jobs.append(checked)
    if not problems:
        spec._jobs, spec._grouped = tuple(jobs), grouped  # noqa: SLF001 - they are checked apart from it
        if isinstance(spec.schedule, Events):
            spec._schedule_at = top.origin(("schedule",)).problem("", key=True)  # noqa: SLF001
    return spec, problems


def _schema_problem(job: JobSpec, top: Values, values: Values) -> Problem | None:
    """The problem of the JSON Schema that a job names, if there is one."""
    path = answer_schema_file(top.origin(()).file.parent, job.results)
    wrong = schema_problem(path) if path else None
    return values.origin(("results", "schema")).problem(wrong) if wrong else None


def _misspelled(data: Mapping[str, object], known: Mapping[str, FieldInfo]) -> frozenset[str]:
    """Return the valid keys that unknown keys probably mean."""
    return frozenset(meant for key in data if key not in known and (meant := meant_key(key, known)))


def _check(
    model: type[Model],
    data: Mapping[str, object],
    values: Values,
    known: Mapping[str, FieldInfo],
    misspelled: Collection[str] = (),
) -> tuple[Model, list[Problem]]:
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return model.model_construct(), list(
            islice(problems_of(error, values, known, misspelled), MAX_PROBLEMS)
        )
