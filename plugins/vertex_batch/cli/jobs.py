"""``vertex-batch jobs``: lists, shows and cancels batch prediction jobs through the proxy."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from itertools import islice

from vertex_batch.cli import access, arguments
from vertex_batch.cli.output import ask, harmless, logs_aside, print_json, print_parts, say
from vertex_batch.errors import ConfigurationError, NotFoundError, count_of
from vertex_batch.lifecycle.cancelling import cancel_all
from vertex_batch.vertex.labels import MANAGED_BY, MANAGED_BY_LABEL, SPEC_LABEL
from vertex_batch.vertex.names import JobId, parse_job_name
from vertex_batch.vertex.resource import STATE_PREFIX, BatchPredictionJob, JobState, label_value

STATES = tuple(state.lower() for state in JobState if state is not JobState.UNSPECIFIED)


def describe(command: argparse.ArgumentParser) -> None:
    parts = command.add_subparsers(title="commands", metavar="COMMAND", required=True)
    listing = parts.add_parser(
        "list", help="list jobs, newest first", description="List the jobs of a project and location."
    )
    listing.add_argument("--all", action="store_true", help="include jobs that other programs submitted")
    listing.add_argument("--state", choices=STATES, help="only jobs in this state")
    listing.add_argument("--spec", metavar="NAME", help="only jobs of this spec")
    listing.add_argument(
        "--limit", type=arguments.at_least_one, default=20, metavar="N", help="at most N (default: 20)"
    )
    listing.set_defaults(run=run_list)
    show = parts.add_parser("show", help="show one job", description="Show a job as Vertex reports it.")
    show.set_defaults(run=run_show)
    cancel = parts.add_parser(
        "cancel",
        help="cancel jobs and wait until they have ended",
        description="Cancel jobs and wait until each has ended. Finished rows are billed.",
    )
    cancel.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    cancel.set_defaults(run=run_cancel)
    for part in (show, cancel):
        part.add_argument(
            "job",
            nargs="+" if part is cancel else None,
            metavar="ID",
            help="a job's id, PROJECT/LOCATION/ID, its resource name, or the address of its page at Google",
        )
    for part in (listing, show, cancel):
        part.add_argument("--json", action="store_true", help="print JSON")
        part.add_argument(
            "--connection",
            default=access.DEFAULT_CONNECTION,
            metavar="CONN_ID",
            help=f"Airflow connection of the proxy (default: {access.DEFAULT_CONNECTION})",
        )
        access.add_options(part)


def run_list(options: Namespace) -> int:
    reach = access.Access(options)
    terms = [] if options.all else [f'labels.{MANAGED_BY_LABEL}="{MANAGED_BY}"']
    if options.state:
        terms.append(f'state="{STATE_PREFIX}{options.state.upper()}"')
    if options.spec:
        terms.append(f'labels.{SPEC_LABEL}="{label_value(options.spec)}"')
    with logs_aside():
        place = reach.place(None, None, options.connection)
        with reach.client(options.connection) as client:
            found = list(islice(client.list(*place, filter=" AND ".join(terms)), options.limit + 1))
    shown, more = found[: options.limit], len(found) > options.limit
    if options.json:
        print_json(
            {
                "project": place.project,
                "location": place.location,
                "more_jobs": more,
                "jobs": [_as_data(job) for job in shown],
            }
        )
    else:
        _print_table(shown)
        if more:
            say(f"There are more than {options.limit} jobs; raise --limit to see them")
    return 0


def run_show(options: Namespace) -> int:
    reach = access.Access(options)
    with logs_aside():
        job_id = _job_id(reach, options, options.job)
    with logs_aside(), reach.client(options.connection) as client:
        job = client.get(*job_id)
    data = {"project": job_id.project, "location": job_id.location, **_as_data(job, whole=True)}
    if options.json:
        print_json(data)
        return 0
    for name, value in data.items():
        if value not in (None, "", [], {}):
            sys.stdout.write(f"{name.replace('_', ' '):<18}  {harmless(_words(value))}\n")
    return 0


def run_cancel(options: Namespace) -> int:
    """Cancel jobs, and report how each of them ended. Status 1 if one was not found."""
    reach = access.Access(options)
    with logs_aside():
        wanted = [_job_id(reach, options, job) for job in options.job]
    if not options.yes and not _confirmed(len(wanted)):
        say("Nothing was cancelled.")
        return 1
    with logs_aside(), reach.client(options.connection) as client:
        ended = cancel_all(client, wanted)
    for job_id, job in ended.items():
        late = " before it could be cancelled; nothing was cancelled, and its finished rows are billed"
        say(f"Job {job_id} ended as {job.state}{'' if job.state is JobState.CANCELLED else late}")
        if job.state is JobState.CANCELLED:
            bill = f"`vertex-batch bill {job.job_id}`"
            say(f"Its finished rows are billed: {bill}, once its run has recorded it.")
    missing = [job_id for job_id in wanted if job_id not in ended]
    for job_id in missing:
        say(f"Job {job_id} was not found, so nothing was cancelled. {NotFoundError.advice}")
    if options.json:
        print_json({"jobs": [_as_data(job) for job in ended.values()]})
    return 1 if missing else 0


def _job_id(reach: access.Access, options: Namespace, job: str) -> JobId:
    """Complete a job's name with the options, then with the connection.

    :raises ConfigurationError: it is not a job's name, or it contradicts the options.
    """
    name = parse_job_name(job)
    name.check_agrees(options.project, options.location, "Nothing was sent")
    return name.at(reach.place(name.project, name.location, options.connection))


def _confirmed(count: int) -> bool:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "Not a terminal, so the confirmation cannot be shown. Nothing was cancelled",
            "pass --yes to proceed",
        )
    return ask(f"Cancel {count_of(count, 'job')}? Finished rows are billed. [y/N] ").startswith("y")


def _as_data(job: BatchPredictionJob, *, whole: bool = False) -> dict[str, object]:
    stats = job.completion_stats
    data: dict[str, object] = {
        "job_id": job.job_id,
        "display_name": job.display_name,
        "state": job.state,
        "model": job.model,
        "spec": job.labels.get(SPEC_LABEL),
        "create_time": job.create_time,
        "end_time": job.ended_at,
        "ok_rows": stats.successful_count if stats else None,
        "failed_rows": stats.failed_count if stats else None,
        "error": job.error.message if job.error else None,
    }
    if whole:
        data |= {
            "start_time": job.start_time,
            "inputs": (job.input_config.get("gcsSource") or job.input_config.get("bigquerySource") or {}),
            "output": job.output_directory,
            "labels": job.labels,
            "error_code": job.error.code if job.error else None,
        }
    return data


def _print_table(jobs: list[BatchPredictionJob]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("created", "state", "rows", "spec", "name", "job")
    for job in jobs:
        stats = job.completion_stats
        rows = f"{stats.successful_count:,} ok, {stats.failed_count:,} failed" if stats else "-"
        created = f"{job.create_time:%Y-%m-%d %H:%M}" if job.create_time else "-"
        spec, name = job.labels.get(SPEC_LABEL, "-"), job.display_name
        table.add_row(created, job.state, rows, escape(spec), escape(name), job.job_id)
    print_parts(table if jobs else "No jobs.")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_words(inner)}" for name, inner in value.items())
    return ", ".join(map(_words, value)) if isinstance(value, list | tuple) else str(value)
