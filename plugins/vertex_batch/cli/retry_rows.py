"""``vertex-batch retry-rows``: triggers a run that sends the rows of an earlier run again."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterable

from vertex_batch.cli.output import say
from vertex_batch.errors import ConfigurationError
from vertex_batch.specs import Spec, load_spec, spec_file

_NAMED = 3


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Trigger an Airflow run that submits only those rows of an earlier run that have no good"
        " answer for one of the spec's `retry_rows.reasons`. Rows with a good answer are never sent"
        " again. Budgets are checked. It uses Airflow's own command line in this environment."
    )
    command.add_argument("spec", metavar="SPEC", type=spec_file, help="the spec file, or its name")
    command.add_argument(
        "run_id", metavar="RUN_ID", help="the earlier run, which must be over, by the id that Airflow shows"
    )
    command.add_argument(
        "--date",
        metavar="YYYY-MM-DD",
        help="the run date of that run; the new run submits nothing if it is another day (default: the"
        " run takes the dates of that run)",
    )
    command.add_argument(
        "--job", action="append", metavar="NAME", help="only this job of the spec; repeatable"
    )
    command.add_argument("--note", help="the reason; it is shown with the bill")
    command.add_argument("--dry-run", action="store_true", help="only print Airflow's command")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Trigger the run, and say where to watch it. Return the exit status of Airflow's command."""
    spec = load_spec(options.spec)
    command = airflow_command(spec, options)
    if options.dry_run:
        say(shlex.join(command))
        return 0
    _check_version(spec)
    airflow = [sys.executable, "-m", *command, "--output", "json"]
    done = subprocess.run(airflow, check=False, capture_output=True, text=True)  # noqa: S603 - ours
    run_id = triggered_run(done.stdout)
    if done.returncode or not run_id:
        say(f"{done.stdout}{done.stderr}".strip())
        return done.returncode or 1
    say(_next_step(spec.name, run_id, options.run_id))
    return 0


def triggered_run(printed: str) -> str:
    """The id of the run in what Airflow's command has printed; empty if it is not there. Pure.

    >>> triggered_run('a warning: [{"dag_id": "nightly", "dag_run_id": "manual__1"}]')
    'manual__1'
    """
    start = printed.rfind("[{")
    try:
        (run,) = json.loads(printed[start:]) if start >= 0 else ({},)
    except ValueError:
        return ""
    return str(run.get("dag_run_id") or "")


def missing_tasks(wanted: Iterable[str], known: Iterable[str] | None, spec: str) -> str:
    """Say that Airflow's scheduler has not read a change of the spec; empty if it has. Pure.

    :param wanted: the tasks of the spec's DAG.
    :param known: those that the scheduler has; None: it does not have the DAG.
    """
    if known is None:
        return f"Airflow does not have the DAG {spec} yet"
    missing = sorted(set(wanted) - set(known))
    if not missing:
        return ""
    more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
    lacks = f"{', '.join(missing[:_NAMED])}{more}"
    return f"Airflow's scheduler has not read the latest change of {spec} yet: it lacks {lacks}"


def _check_version(spec: Spec) -> None:
    """See that the scheduler has the tasks that send rows again, in their order.

    A run that begins before could deliver before they have run.

    :raises ConfigurationError: it has not.
    """
    from airflow.models.serialized_dag import SerializedDagModel  # noqa: PLC0415 - slow

    from vertex_batch.dag_factory import build_dag  # noqa: PLC0415
    from vertex_batch.tasks.delivery_order import reading_seconds  # noqa: PLC0415

    stored = SerializedDagModel.get_dag(spec.name)
    if why := missing_tasks(build_dag(spec).task_ids, stored.task_dict if stored else None, spec.name):
        raise ConfigurationError(
            f"{why}. Nothing was triggered or submitted",
            f"wait about {reading_seconds()} s and run this again; if that does not help, Airflow reads"
            " another file",
        )


def _next_step(dag_id: str, run_id: str, earlier: str) -> str:
    from airflow.models.dag import DagModel  # noqa: PLC0415 - slow

    from vertex_batch.observability.links import run_url  # noqa: PLC0415

    lines = [f"Triggered {run_id}, watch it at {run_url(dag_id, run_id)}"]
    if (dag := DagModel.get_dagmodel(dag_id)) and dag.is_paused:
        lines.append(f"The DAG {dag_id} is paused, so the run does not start: turn the DAG on in Airflow.")
    lines.append(
        f"When it has ended, that page shows the delivery, with the answers of {earlier} and the new ones."
    )
    return "\n".join(lines)


def airflow_command(spec: Spec, options: Namespace) -> list[str]:
    """Build the arguments of Airflow's command line.

    :raises ConfigurationError: the spec sends no rows again or has no such job.
    """
    if not any(job.retry_rows for job in spec.jobs):
        raise ConfigurationError(
            f"{options.spec} has no `retry_rows`, so its DAG has no tasks that send rows again. Nothing was"
            " triggered",
            next((job for job in spec.jobs if job.name in (options.job or ())), spec.job).how_to_retry_rows,
        )
    names = {job.name for job in spec.jobs}
    if unknown := [name for name in options.job or () if name not in names]:
        raise ConfigurationError(
            f"{options.spec} has no job {unknown[0]!r}. Nothing was triggered",
            f"the jobs are {', '.join(sorted(names))}",
        )
    from vertex_batch.tasks.choices import DAY, JOBS, RETRY_OF  # noqa: PLC0415 - it brings Airflow with it

    conf = {RETRY_OF: options.run_id, DAY: options.date, JOBS: options.job, "note": options.note}
    text = json.dumps({name: value for name, value in conf.items() if value})
    return ["airflow", "dags", "trigger", spec.name, "--conf", text]
