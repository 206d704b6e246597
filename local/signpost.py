"""What the demo prints for its user: where everything is, how to use it, what it cost, what to do next."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from local.stack import Stack
from local.stack.airflow import LOGIN, PASSWORD
from local.stack.paths import MAIN_BIN, REPOSITORY
from vertex_batch.cli.tables import render_bill, total_text
from vertex_batch.costs import Bill, CostTable, Delivery, JobFilter, Total

ENVIRONMENT = "env"
EMULATOR_VARIABLE = "VERTEX_EMULATOR_URL"
_LOOPBACK = "127.0.0.1,localhost"


def write_environment(stack: Stack) -> Path:
    """Write a file to source, so that ``airflow`` and ``vertex-batch`` in that shell work on the stack.

    It holds the keys of the stack, and so its user alone may read it.
    """
    variables = {name: shlex.quote(value) for name, value in stack.site.environment().items()}
    # `local` is not installed; with this, `python -m local.docker.put` works in any folder.
    variables["PYTHONPATH"] = shlex.quote(os.pathsep.join((str(REPOSITORY / "plugins"), str(REPOSITORY))))
    variables["PATH"] = f'{shlex.quote(str(MAIN_BIN))}:"$PATH"'
    variables["VERTEX_BATCH_UNREACHABLE_HINT"] = shlex.quote("Is `make demo` running?")
    variables[EMULATOR_VARIABLE] = shlex.quote(stack.emulator_url)
    for name in ("NO_PROXY", "no_proxy"):
        variables[name] = f'"{_LOOPBACK}${{{name}:+,${name}}}"'
    file = environment_file(stack)
    file.touch(0o600)
    file.write_text("".join(f"export {name}={value}\n" for name, value in variables.items()))
    return file


def environment_file(stack: Stack) -> Path:
    return stack.options.home / ENVIRONMENT


def print_addresses(stack: Stack, console: Console) -> None:
    """Print where to look and what to source. The addresses are known before anything has started."""
    file = environment_file(stack)
    later = "" if file.exists() else "; the file is there once all parts are ready"
    lines = [
        f"Airflow      {stack.site.url} with login {LOGIN}, password {PASSWORD}",
        f"Cost pages   {stack.site.url}/plugin/batch-costs, or Browse, Batch costs",
        f"Vertex AI    emulated at {stack.emulator_url}, which is ${EMULATOR_VARIABLE} in the shell below",
        f"Shell        source {shown(file)}   # for airflow and vertex-batch in a shell{later}",
    ]
    _print(console, lines)


def print_cost_table(stack: Stack, console: Console) -> None:
    """Print where the bills stay after the demo."""
    file = _cost_table(stack)
    line = f"Cost table   {file} stays until the next demo starts: .venv/bin/vertex-batch cost --url sqlite:///{file}"
    if stack.site.cluster:
        line = "Cost table   in PostgreSQL, as long as the demo is up: vertex-batch cost, in the shell above"
    _print(console, ["", line])


def print_next(stack: Stack, console: Console) -> None:
    """Print what to try while the demo is up."""
    source = f"source {shown(environment_file(stack))}"
    deliveries = CostTable(stack.cost_table_url).deliveries(JobFilter())
    lines = [
        f"Proxy        {stack.proxy_url} with the key in AIRFLOW_CONN_LITELLM_DEFAULT of the shell",
        "Connections  are set in the environment, so Airflow's list under Admin, Connections is empty",
        "",
        "Next:",
        "  1. Look at the bills on the cost pages.",
        f"  2. Use the command line in another shell, after `{source}`:",
        "       vertex-batch doctor            # checks the whole setup",
        "       vertex-batch cost --by spec",
        *(_reading(max(deliveries, key=lambda each: each.exceptions)) if deliveries else ()),
        f"  {4 if deliveries else 3}. Run your own input, one JSON request a line, from the same shell:",
        "       vertex-batch put my.jsonl gs://demo-bucket/input/my_first.jsonl",
        "       vertex-batch new my_first --inputs gs://demo-bucket/input/my_first.jsonl",
        "       vertex-batch plan my_first     # what it would send and cost",
        f"     Within seconds it is a DAG: {stack.site.url}/dags/my_first",
    ]
    _print(console, lines)


def _reading(delivery: Delivery) -> list[str]:
    """How to read the answers of a delivery, and why its other rows have none."""
    file = delivery.exceptions_uri.rpartition("/")[2]
    columns = '["key", "reason", "message"]'
    script = f'import pandas as pd; print(pd.read_parquet("{file}")[{columns}].head().to_string())'
    return [
        f"  3. Read the answers of {delivery.spec}, and why {delivery.exceptions:,} rows have none:",
        f"       vertex-batch get {delivery.answers_uri} .",
        f"       vertex-batch get {delivery.exceptions_uri} .",
        f"       python -c '{script}'",
    ]


def print_after_crash(home: Path | None, console: Console) -> None:
    """Print what to do after the demo has ended by an error.

    :param home: its folder; None if it had none yet.
    """
    lines = ["", "Everything that the demo started has been stopped."]
    if home is not None:
        lines.append(f"Next: read the logs of its parts in {shown(home / 'logs')}, one file each.")
    lines.append("`make demo` starts again, with an empty folder. docs/local-stack.md describes the parts.")
    _print(console, lines)


def _cost_table(stack: Stack) -> str:
    return shown(Path(stack.cost_table_url.removeprefix("sqlite:///")))


def shown(file: Path) -> str:
    """A path for a shell in this folder: relative where the file is below it."""
    return str(file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file)


def _print(console: Console, lines: list[str]) -> None:
    console.print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


def recorded_bills(table: CostTable, runs: Sequence[tuple[str, str]]) -> list[Bill]:
    """Return the bills of the runs, given as DAG id and run id."""
    bills = []
    for dag_id, run_id in runs:
        for cost in table.jobs(JobFilter(dag_id=dag_id, run_id=run_id)):
            bill = table.bill(cost.job.key)
            if bill is not None:
                bills.append(bill)
    return bills


def print_bills(console: Console, table: CostTable, bills: Sequence[Bill]) -> None:
    """Print the bill of each job as ``vertex-batch bill`` does, and the sum of all."""
    for bill in bills:
        console.print(f"\n[bold]The bill of {bill.job.spec}[/]", highlight=False)
        console.print(render_bill(bill, deliveries=table.deliveries_of(bill.job)), highlight=False)
    whole = Total(
        amount=sum((bill.total.amount for bill in bills), Decimal(0)),
        complete=all(bill.total.complete for bill in bills),
    )
    console.print(
        f"\n[bold]{len(bills)} {'job' if len(bills) == 1 else 'jobs'}: {total_text(whole)} USD in all[/]\n"
        "These are real prices, but nothing was spent: Vertex AI is emulated here.",
        highlight=False,
    )
