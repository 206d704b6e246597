"""``jobs:`` of a spec -> the keys and values of each job, before they are checked one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from vertex_batch.inputs import is_group_name
from vertex_batch.specs.matrix import JOB_NAME, MATRIX, Matrix
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.origins import Values
from vertex_batch.specs.problems import Problem, did_you_mean

MAX_JOBS = 100
"""More jobs belong in several files: Airflow shows, and a person starts, one DAG at a time."""
JOBS = "jobs"
SPEC_KEYS = dict(Spec.model_fields)
JOB_KEYS = {key: model for key, model in JobSpec.model_fields.items() if key not in {"name", "after"}}
ENTRY_KEYS = {"after": JobSpec.model_fields["after"], **JOB_KEYS}


@dataclass(slots=True)
class Entries:
    """The jobs of a spec as they were written, and the problems of how they depend on each other.

    :param made: entry -> the names of its jobs; several if the entry has a matrix.
    """

    jobs: dict[str, Values] = field(default_factory=dict)
    made: dict[str, list[str]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def job_entries(top: Values, name: str) -> Entries:
    """Return the jobs of a spec: those below ``jobs``, else the one at the top of the file.

    :param top: the whole file.
    :param name: the name of a job at the top of the file.
    """
    entries, shared = Entries(), top.only(JOB_KEYS)
    if JOBS in top.data:
        if MATRIX in top.data:
            message = "cannot be combined with `jobs`: move it below one of the jobs"
            entries.problems.append(top.origin((MATRIX,)).problem(message, key=True))
        _below_jobs(top, shared, entries)
        _check_order(entries)
    elif MATRIX in top.data:
        _multiply("", top.only({*JOB_KEYS, MATRIX}), entries)
    else:
        entries.jobs[name] = shared
    return entries


def _below_jobs(top: Values, shared: Values, entries: Entries) -> None:
    origin, written = top.origin((JOBS,)), top.data[JOBS]
    if not isinstance(written, Mapping) or not written:
        message = "must be a mapping of names to jobs, such as `summaries: {model: ..., inputs: ...}`"
        entries.problems.append(origin.problem(message))
        return
    if len(written) > MAX_JOBS:
        message = f"has {len(written)} jobs, more than {MAX_JOBS}: use several files"
        entries.problems.append(origin.problem(message))
        return
    for job, said in written.items():
        here = origin.below(job)
        if not JOB_NAME.fullmatch(job):
            message = (
                f"`{job[:80]}` is not a valid job name: it must begin with a letter and contain only"
                " lowercase letters, digits, `_` and `-`, at most 63 characters"
            )
            entries.problems.append(here.problem(message, key=True))
        elif isinstance(said, Mapping):
            _entry(Values.of(said, here), shared, job, entries)
        else:
            entries.problems.append(here.problem("must be a mapping of keys to values"))


def _entry(own: Values, shared: Values, job: str, entries: Entries) -> None:
    for key in own.data:
        if key in SPEC_KEYS:
            message = (
                f"applies to the whole spec, not to one of its jobs: move `{key}` to the top of the file"
            )
            if key == "name":
                message = f"is not needed: the job's name is its key, `{job[:80]}`"
            entries.problems.append(own.origin((key,)).problem(message, key=True))
    values = own.only(SPEC_KEYS, without=True).over(shared)
    if MATRIX in own.data:
        _multiply(job, values, entries)
    else:
        _add(job, {job: values}, entries)


def _multiply(base: str, values: Values, entries: Entries) -> None:
    matrix = Matrix(values, JOB_KEYS)
    made = matrix.jobs(base, MAX_JOBS)
    entries.problems += matrix.problems
    _add(base, made, entries)


def _add(entry: str, made: Mapping[str, Values], entries: Entries) -> None:
    entries.made[entry] = list(made)
    for name, values in made.items():
        if is_group_name(name):
            message = f"`{name}` is the name of a task group inside a job: choose another name"
            entries.problems.append(values.origin(()).problem(message, key=True))
        if name in entries.jobs:
            message = f"creates a second job with the name `{name}`: rename one of the two"
            entries.problems.append(values.origin(()).problem(message, key=True))
        entries.jobs[name] = values


def _check_order(entries: Entries) -> None:
    """Check that ``after`` names existing jobs, and that no job waits for itself in the end."""
    order: dict[str, Iterable[str]] = {}
    known = {**{job: [job] for job in entries.jobs}, **entries.made}
    for job, values in entries.jobs.items():
        after = values.data.get("after", [])
        named = [each for each in after if isinstance(each, str)] if isinstance(after, list) else []
        for number, other in enumerate(named):
            if other not in known:
                better = did_you_mean(other, known) or f"; the jobs are {', '.join(known)}"
                message = f"unknown job `{other[:80]}`{better}"
                entries.problems.append(values.origin(("after", number)).problem(message))
        order[job] = list(dict.fromkeys(made for each in named for made in known.get(each, [])))
        if named and len(named) == len(after):
            # Other jobs wait for the jobs of a matrix under the name of its entry.
            entries.jobs[job] = Values({**values.data, "after": order[job]}, values.origins)
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        message = f"waits for itself: {' after '.join(circle)}; remove one of these"
        entries.problems.append(entries.jobs[circle[0]].origin(("after",)).problem(message))
