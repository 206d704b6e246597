"""``make demo``: all of it on one machine, from the example specs to the bill.

Starts the stack, puts a made-up input for each example's last schedule point into the object store,
triggers its run, shows what happens, and prints what it cost. Other specs are left to their user.
"""

from __future__ import annotations

import argparse
import fcntl
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import httpx
from jinja2 import TemplateError
from rich.console import Console

from local.examples import EXAMPLES, put_example_input
from local.history import run_nights_before
from local.progress import Run, RunStatus, Watch, follow
from local.signpost import (
    print_addresses,
    print_after_crash,
    print_bills,
    print_cost_table,
    print_next,
    recorded_bills,
    write_environment,
)
from local.stack import Stack, StackError, StackOptions
from local.stack.airflow_api import AirflowApiError
from local.stack.emulator import LOCATION, PROJECT
from local.stack.gcs import adopt_files
from local.stack.paths import STATE
from local.stack.proxy_database import PartsError
from local.waiting import check_processes, wait_until
from vertex_batch.costs import CostTable
from vertex_batch.specs import Spec, load_specs
from vertex_batch.vertex.client import BatchClient, ProxyConfig

USUAL_PORTS = {"api-server": 8080, "proxy": 4000, "object store": 4443, "emulator": 9100, "tunnel": 9101}
LOOK_BACK = timedelta(days=366)
# A job that takes three and a half minutes in the emulator's default life takes 14 seconds.
EMULATOR_SPEED = 15.0
WORKERS = 3  # of a cluster
# Some rows as they happen in production, so that the bill has something to show.
ROW_MIX = {"failed": 0.03, "thoughts": 0.4, "cached": 0.2}
RUNS_TIMEOUT_SECONDS = 600.0
SCHEDULER_SECONDS = 120.0
LOG_WIDTH = 110
CHECK_SECONDS = 1.0


class DemoError(Exception):
    """The demo cannot continue; the message is for the person who started it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    # A script starts processes with `&` so that they ignore SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parser = argparse.ArgumentParser(prog="python -m local.demo", description=__doc__)
    parser.add_argument(
        "--once", action="store_true", help="end after the bill, with status 0 if all went well"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where all of it is written (.local/demo); with one of its own, a demo takes free ports",
    )
    parser.add_argument(
        "--nights", type=int, default=1, help="so many nights, up to the latest of the schedule (1)"
    )
    parser.add_argument(
        "--cluster", action="store_true", help="Celery workers, two schedulers, two triggerers"
    )
    parser.add_argument(
        "--proxy-database",
        action="store_true",
        help="with virtual keys, budgets and spend logs; needs Node.js",
    )
    given = parser.parse_args(arguments)
    console = Console() if sys.stdout.isatty() else Console(width=LOG_WIDTH)
    home: Path | None = None
    try:
        with _own_folder(given.folder) as home:
            ports = {} if given.folder else USUAL_PORTS
            options = StackOptions(
                home=home,
                usual_ports=ports,
                emulator_speed=EMULATOR_SPEED,
                airflow_settings={"AIRFLOW__VERTEX_BATCH__DEPLOYMENT": "demo"},
                proxy_database=given.proxy_database,
                workers=WORKERS if given.cluster else 0,
            )
            console.print(
                "Starting Airflow, the LiteLLM proxy, an object store and an emulated Vertex AI."
                " In about half a minute:"
            )
            stack = Stack(options, lambda text: console.print(f"  {text}", highlight=False))
            print_addresses(stack, console)
            with stack:
                write_environment(stack)
                succeeded = run_examples(stack, console, given.nights)
                print_cost_table(stack, console)
                if not given.once:
                    # What a user runs now is answered, unless its rows are wrong.
                    stack.emulator.set_settings(mix={**ROW_MIX, "failed": 0.0})
                    print_addresses(stack, console)
                    print_next(stack, console)
                    wait_for_interrupt(console, home / "objects")
    except KeyboardInterrupt:
        console.print("Interrupted; everything has been stopped.")
        return 130
    except (DemoError, StackError, PartsError, AirflowApiError, TimeoutError, httpx.HTTPError) as error:
        console.print(f"\nThe demo failed: {error}", markup=False, highlight=False, soft_wrap=True)
        print_after_crash(home, console)
        return 1
    except Exception:  # noqa: BLE001 - a bug: its user needs the traceback, and to know what is left
        console.print_exception()
        print_after_crash(home, console)
        return 1
    console.print("Everything has been stopped.")
    return 0 if succeeded else 1


def run_examples(stack: Stack, console: Console, nights: int = 1) -> bool:
    """Run the specs and print the bill; return whether all of it went well.

    :param nights: of which the last one is the latest of the schedule.
    """
    stack.emulator.set_settings(mix=ROW_MIX)
    found = load_specs(stack.options.specs)
    for error in found.errors:
        console.print(
            f"This spec is invalid, so it has no DAG and no run:\n{error}", markup=False, highlight=False
        )
    due = {name: (spec, last) for name, spec in found.specs.items() if (last := _due(stack, spec, console))}
    if not due:
        console.print(f"No example in {stack.options.specs} could be run here.", highlight=False)
        return False
    runs = [_start(stack, spec, last, console) for spec, last in due.values()]
    with BatchClient(ProxyConfig(stack.proxy_url, stack.master_key)) as proxy:
        statuses = follow(Watch(stack.airflow, proxy, runs), console, RUNS_TIMEOUT_SECONDS)
    table = CostTable(stack.cost_table_url)
    bills = recorded_bills(table, [(run.spec, run.run_id) for run in runs])
    print_bills(console, table, bills)
    _print_failures(stack, console, statuses)
    billed = {(bill.job.dag_id, bill.job.run_id) for bill in bills}
    succeeded = all(status.state == "success" for status in statuses) and len(billed) == len(runs)
    return succeeded and (nights < 2 or run_nights_before(stack, due, nights - 1, console))  # noqa: PLR2004


def _due(stack: Stack, spec: Spec, console: Console) -> datetime | None:
    """The last schedule point of a spec that can be run here."""
    if reason := why_not_run(spec):
        console.print(f"  {spec.name}: not run, {reason}", highlight=False)
        return None
    stack.airflow.wait_for_dag(spec.name)
    if not spec.cron:
        console.print(f"  {spec.name}: not run, it has no schedule; start it in the UI", highlight=False)
        return None
    # What a backfill would run: nothing is started by asking.
    now = datetime.now(UTC)
    window = {"from_date": (now - LOOK_BACK).isoformat(), "to_date": now.isoformat()}
    body = {"dag_id": spec.name, **window}
    planned = stack.airflow.call("POST", "/backfills/dry_run", json=body)["backfills"]
    if not planned:
        console.print(f"  {spec.name}: not run, no run of it was due in the last year", highlight=False)
        return None
    return datetime.fromisoformat(planned[-1]["logical_date"])


def _start(stack: Stack, spec: Spec, logical_date: datetime, console: Console) -> Run:
    """Put an input where the example looks for it, and trigger the run of this time."""
    adopt_files(stack.options.home / "objects")
    try:
        rows = put_example_input(stack.gcs, spec, logical_date)
    except TemplateError as error:
        raise DemoError(f"{spec.name}: its places cannot be rendered here: {error}") from error
    # Unpausing starts nothing that was due hours ago.
    stack.airflow.trigger(spec.name, logical_date=logical_date)
    stack.airflow.unpause(spec.name)
    what = f"the run of {spec.name} for {logical_date}"
    run_id = wait_until(lambda: _run_of(stack, spec.name, logical_date), what, SCHEDULER_SECONDS)
    console.print(f"  {spec.name}: {rows:,} rows for {logical_date:%Y-%m-%d}, run {run_id}", highlight=False)
    return Run(spec.name, run_id, rows)


def _run_of(stack: Stack, dag_id: str, logical_date: datetime) -> str | None:
    for run in stack.airflow.runs(dag_id):
        if run["logical_date"] and datetime.fromisoformat(run["logical_date"]) == logical_date:
            return str(run["dag_run_id"])
    return None


def why_not_run(spec: Spec) -> str:
    """Explain why the demo starts no run of a spec; empty if it starts one. Pure."""
    if spec.name not in EXAMPLES:
        return "it is not an example; its input is yours to put. Start it in the UI"
    if any(job.project not in (None, PROJECT) or job.location not in (None, LOCATION) for job in spec.jobs):
        return f"the proxy here has a credential for {PROJECT} in {LOCATION} only"
    places = [uri for job in spec.jobs for uri in (*job.inputs, job.output)]
    if not all(uri.startswith("gs://") and "*" not in uri for uri in places):
        return "its input is not a file that could be made up"
    return ""


def _print_failures(stack: Stack, console: Console, statuses: Sequence[RunStatus]) -> None:
    for status in statuses:
        for task, state in status.tasks.items():
            if status.state != "success" and state in ("failed", "upstream_failed"):
                console.print(f"\n{status.run.spec}.{task} {state}; the end of its log:", highlight=False)
                lines = stack.airflow.logs(status.run.spec, status.run.run_id, task).splitlines()[-15:]
                console.print("\n".join(f"    {line}" for line in lines), markup=False, highlight=False)


def wait_for_interrupt(console: Console, objects: Path) -> None:
    """Return when the user ends the demo. Until then, files that they copy into the object store are adopted.

    :param objects: the folder of the object store.
    :raises StackError: a process of the stack has ended before that.
    """
    try:
        console.print(
            "All of it stays up until Ctrl-C. The next demo begins with an empty object store, and"
            " without the runs and bills of this one: fetch what you want to keep with `vertex-batch get`."
            " Your specs stay.",
            highlight=False,
        )
        while not threading.Event().wait(CHECK_SECONDS):
            check_processes()
            for file in adopt_files(objects):
                console.print(f"New object gs://{file.relative_to(objects)}", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        console.print("\nStopping ...")


@contextmanager
def _own_folder(wanted: Path | None) -> Iterator[Path]:
    """Take an empty folder: the wanted one, else ``.local/demo``, else the next that no demo is using."""
    STATE.mkdir(exist_ok=True)
    usual = [STATE / ("demo" if number == 1 else f"demo-{number}") for number in range(1, 20)]
    for home in [wanted.resolve()] if wanted else usual:
        with home.with_name(f"{home.name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            yield home
            return
    raise DemoError(f"demos are running in {wanted or STATE} already; stop one of them first")


def _exit(number: int, _: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
