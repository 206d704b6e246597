"""``vertex-batch retry-rows``: triggers a run that sends the rows of an earlier run again."""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from argparse import Namespace

from vertex_batch.cli.output import say
from vertex_batch.errors import ConfigurationError
from vertex_batch.specs import Spec, load_spec, spec_file


def describe(command: argparse.ArgumentParser) -> None:
    """Describe the command."""
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
    """Trigger the run. Return the exit status of Airflow's command."""
    spec = load_spec(options.spec)
    command = airflow_command(spec, options)
    if options.dry_run:
        say(shlex.join(command))
        return 0
    return subprocess.run([sys.executable, "-m", *command], check=False).returncode  # noqa: S603 - ours


def airflow_command(spec: Spec, options: Namespace) -> list[str]:
    """Build the arguments of Airflow's command line.

    :raises ConfigurationError: the spec sends no rows again or has no such job.
    """
    if not any(job.retry_rows for job in spec.jobs):
        raise ConfigurationError(
            f"{options.spec} has no `retry_rows`, so its DAG has no tasks that send rows again. Nothing was"
            " triggered",
            "add for example `retry_rows: {rounds: 1}` to the spec",
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
