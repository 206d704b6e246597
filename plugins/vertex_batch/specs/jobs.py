"""``jobs:`` of a spec -> the keys and values of each job, before they are checked one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.origins import Values
from vertex_batch.specs.problems import Problem, did_you_mean

MAX_JOBS = 100
"""More belong into several files: Airflow shows, and a person starts, one DAG at a time."""
JOBS = "jobs"
_JOB_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)
SPEC_KEYS = dict(Spec.model_fields)
JOB_KEYS = {key: model for key, model in JobSpec.model_fields.items() if key not in {"name", "after"}}
ENTRY_KEYS = {"after": JobSpec.model_fields["after"], **JOB_KEYS}


@dataclass(slots=True)
class Entries:
    """The jobs of a spec as they were written, and what is wrong with how they hang together."""

    jobs: dict[str, Values] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def job_entries(top: Values, name: str) -> Entries:
    """Take the jobs out of a spec: those below ``jobs``, else the one that stands at the top.

    :param top: all that the file says.
    :param name: of a job that stands at the top.
    """
    shared = top.only(JOB_KEYS)
    if JOBS not in top.data:
        return Entries({name: shared})
    entries = Entries()
    origin, written = top.origin((JOBS,)), top.data[JOBS]
    if not isinstance(written, Mapping) or not written:
        message = "must be a mapping of names to jobs, such as `summaries: {model: ..., inputs: ...}`"
        entries.problems.append(origin.problem(message))
        return entries
    if len(written) > MAX_JOBS:
        entries.problems.append(
            origin.problem(f"holds {len(written)} jobs, more than {MAX_JOBS}: use several files")
        )
        return entries
    for job, said in written.items():
        here = origin.below(job)
        if not _JOB_NAME.fullmatch(job):
            message = (
                f"`{job[:80]}` is no name for a job: it must begin with a letter and hold only lowercase"
                " letters, digits, `_` and `-`, at most 63 characters"
            )
            entries.problems.append(here.problem(message, key=True))
        elif isinstance(said, Mapping):
            _entry(Values.of(said, here), shared, job, entries)
        else:
            entries.problems.append(here.problem("must be a mapping of keys to values"))
    _check_order(entries)
    return entries


def _entry(own: Values, shared: Values, job: str, entries: Entries) -> None:
    for key in own.data:
        if key in SPEC_KEYS:
            message = f"holds for the whole spec, not for one job of it: write `{key}` at the top of the file"
            if key == "name":
                message = f"is not needed: the job's name is its key, `{job[:80]}`"
            entries.problems.append(own.origin((key,)).problem(message, key=True))
    entries.jobs[job] = own.only(SPEC_KEYS, without=True).over(shared)


def _check_order(entries: Entries) -> None:
    """See that ``after`` names jobs there are, and none that waits for itself in the end."""
    order: dict[str, Iterable[str]] = {}
    for job, values in entries.jobs.items():
        after = values.data.get("after", [])
        named = [each for each in after if isinstance(each, str)] if isinstance(after, list) else []
        for number, other in enumerate(named):
            if other not in entries.jobs:
                better = did_you_mean(other, entries.jobs) or f"; the jobs are {', '.join(entries.jobs)}"
                problem = values.origin(("after", number)).problem(
                    f"`{other[:80]}` is no job of this spec{better}"
                )
                entries.problems.append(problem)
        order[job] = [each for each in named if each in entries.jobs]
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        message = f"waits for itself: {' after '.join(circle)}; take one of these away"
        entries.problems.append(entries.jobs[circle[0]].origin(("after",)).problem(message))
