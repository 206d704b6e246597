"""The commands and their options. Errors become a message and an exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date
from importlib import import_module
from typing import Any, NoReturn

import argcomplete

from vertex_batch import __version__
from vertex_batch.cli import (
    access,
    choice,
    doctor,
    get,
    jobs,
    new,
    plan,
    prices,
    put,
    results,
    retry_rows,
    run,
    validate,
)
from vertex_batch.errors import VertexBatchError

OK, FAILED, WRONG_USE, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return its exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    parser = build_parser()
    argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    try:
        status: int = _command(options.run)(options)
        sys.stdout.flush()
    except VertexBatchError as error:
        sys.stderr.write(f"vertex-batch: {error}\n")
        return FAILED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "vertex_batch":
            raise  # a bug
        sys.stderr.write(f"vertex-batch: {_missing_module(error.name, submits=options.run is run.run)}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). The interpreter must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


def _command(run: str | Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The function of a command, or that of the module with this name, which is imported only now."""
    if isinstance(run, str):
        found: Callable[[argparse.Namespace], int] = import_module(f"vertex_batch.cli.{run}").run
        return found
    return run


def _missing_module(name: str, *, submits: bool) -> str:
    """Name the extra that installs a module.

    :param submits: whether the command may have submitted jobs before it needed the module.
    """
    extra = "gcs" if name == "gcsfs" else "airflow"
    again = " A job that it has already submitted keeps running, is found, and is not paid for twice."
    return (
        f"This command needs the Python module `{name}`, which is not installed. Install it with"
        f" `pip install 'airflow-vertex-batch[{extra}]'` and run the command again.{again if submits else ''}"
    )


def build_parser() -> argparse.ArgumentParser:
    """Describe every command and option."""
    parser = argparse.ArgumentParser(
        prog="vertex-batch", description="Job specs and costs of Vertex AI batch prediction jobs."
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the version and which reader is installed"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_validate(commands)
    new.add_parser(commands)
    put.add_parser(commands)
    get.add_parser(commands)
    _add_table(doctor.add_parser(commands), apart=True)
    plan.add_parsers(commands)
    _add_table(run.add_parser(commands), apart=True)
    retry_rows.add_parser(commands)
    jobs.add_parser(commands)
    _add_schema(commands)
    _add_cost(commands)
    _add_export(commands)
    _add_bill(commands)
    prices.add_parser(commands, _day)
    results.add_parser(commands, _day)
    _add_reprice(commands)
    _add_recount(commands)
    _add_reconcile(commands)
    return parser


class _Version(argparse.Action):
    """Also shows whether the compiled reader is installed, which is imported only for this option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        from vertex_batch.usage.plain import IS_COMPILED  # noqa: PLC0415

        reader = "compiled" if IS_COMPILED else "msgspec"
        sys.stdout.write(f"{parser.prog} {__version__} (reads plain rows with: {reader})\n")
        parser.exit()


def _add_validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "validate",
        help="check job specs",
        description=(
            "Check job specs. Every problem is printed as file:line:col: path: message, with exit status 1."
        ),
    )
    command.add_argument(
        "paths", nargs="*", metavar="PATH", help="spec files or folders with them (default: include/jobs)"
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
        type=_day,
        metavar="DAY",
        help="report the models that are retired on this UTC day (default: today)",
    )
    command.set_defaults(run=validate.run)


def _add_schema(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "schema", help="print the JSON schema of job specs, for editors", description="Print the JSON schema."
    )
    command.set_defaults(run=validate.print_schema)


def _add_cost(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "cost",
        help="show what jobs cost",
        description="Show what jobs cost, from the cost table: totals and jobs, or the bill of one job. If a"
        " price is unknown, the sum is a lower bound, printed as 'at least'.",
    )
    command.add_argument(
        "--by",
        choices=("spec", "day", "model", "team"),
        help="only the totals, by this (default: by spec, and the latest jobs)",
    )
    choice.add_days(command, _day)
    command.add_argument(
        "--job", metavar="ID", help="show the bill of one job: its id, or PROJECT/LOCATION/ID"
    )
    command.add_argument(
        "--limit",
        type=_count,
        metavar="N",
        help="also list the latest N jobs (default: 20 without --by, else 0)",
    )
    _add_json(command)
    _add_table(command)
    command.set_defaults(run="cost")


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "export",
        help="write what jobs cost in the columns of FOCUS, as CSV",
        description="Write the line items of recorded jobs in the columns of the FinOps Open Cost and Usage"
        " Specification (FOCUS), as CSV. Without a selection, all jobs are written. Usage without a price is"
        " left out and reported.",
    )
    choice.add_jobs(command, _day)
    command.add_argument(
        "--focus", choices=["1.2", "1.4"], default="1.2", help="version of the specification (default: 1.2)"
    )
    command.add_argument("--output", metavar="FILE", help="the file to write (default: standard output)")
    _add_table(command)
    command.set_defaults(run="export")


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON; amounts are exact decimal strings")


def _add_table(command: argparse.ArgumentParser, *, apart: bool = False) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument("--url", help="the cost table's database, such as sqlite:////path/batch_costs.db")
    source.add_argument(
        "--cost-connection" if apart else "--connection",
        dest="cost_connection",
        default="batch_costs",
        metavar="ID",
        help="the cost table's Airflow connection, as this environment defines it (default: batch_costs)",
    )


def _add_reprice(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "reprice",
        help="reprice recorded jobs",
        description="Reprice recorded jobs from the tokens in the cost table. Outputs are not read. The old"
        " line items are kept in cost_price_history.",
    )
    choice.add_jobs(command, _day)
    choice.add_prices(command)
    command.add_argument(
        "--dry-run", action="store_true", help="only compare the bills with these prices; write nothing"
    )
    _add_json(command)
    _add_table(command)
    command.set_defaults(run="reprice")


def _add_recount(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "recount",
        help="recount recorded jobs from their outputs",
        description="Recount the rows of recorded jobs from their outputs, and price them. If an output is"
        " gone, its bill is kept and the exit status is 1. The old line items are kept in"
        " cost_price_history.",
    )
    choice.add_jobs(command, _day)
    choice.add_prices(command)
    command.add_argument(
        "--storage",
        metavar="ID",
        help="Airflow connection that reads the outputs (default: the credentials of the environment)",
    )
    command.add_argument("--dry-run", action="store_true", help="only compare; write nothing")
    _add_json(command)
    _add_table(command)
    command.set_defaults(run="recount")


def _add_reconcile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "reconcile",
        help="compare the bills with figures of the proxy, of Google, or of another price list",
        description="Compare recorded bills with other figures, job by job and model by model, and explain"
        " the differences where the cause is known. Nothing is written.",
    )
    choice.add_jobs(command, _day)
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--proxy",
        type=access.proxy_option,
        default=access.default_proxy(),
        metavar="URL|ID",
        help="a proxy with a database, whose spend logs are read: its URL, with the key in"
        f" ${access.KEY_VARIABLE}, or the id of an Airflow connection. The key must be the master key, or the"
        f" key of a user with the role `proxy_admin_viewer` (default: ${access.PROXY_VARIABLE}, else"
        f" {access.DEFAULT_CONNECTION})",
    )
    which.add_argument(
        "--billing", metavar="FILE", help="Google's billing export, a CSV file with FOCUS columns"
    )
    which.add_argument(
        "--prices", metavar="FILE", help="a price map in LiteLLM's format, for example of another date"
    )
    _add_json(command)
    _add_table(command)
    command.set_defaults(run="reconcile")


def _add_bill(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser(
        "bill",
        help="show the bill of a recorded job, or bill an output on disk or in a bucket",
        description="With a job: show its bill from the cost table, like cost --job. With paths: read the"
        " output of batch prediction jobs and price it, without Airflow, a proxy or a cost table. All paths"
        " together make one bill. If a price is unknown, the total is a lower bound, printed as 'at least'.",
    )
    command.add_argument(
        "paths",
        nargs="+",
        metavar="JOB|PATH",
        help="a job's id or PROJECT/LOCATION/ID; or a file, directory, gs:// URI or quoted glob with rows in"
        " JSON, plain or gzip",
    )
    command.add_argument(
        "--model", help="of an output, required: the job's model, for rows that do not name one"
    )
    command.add_argument(
        "--location",
        help="of an output, required: where the job ran; some models cost more in a region than in `global`",
    )
    command.add_argument(
        "--prices",
        metavar="FILE",
        help="a price map in LiteLLM's format, JSON or YAML, used alone (default: the packaged prices)",
    )
    command.add_argument(
        "--day",
        type=_day,
        metavar="YYYY-MM-DD",
        help="the UTC day on which the job ran, whose prices are used (default: the day in the name of the"
        " output directory, else today)",
    )
    _add_json(command)
    command.add_argument(
        "--jobs",
        type=_count,
        metavar="N",
        help="number of processes that read a large local output (default: all cores)",
    )
    _add_table(command)
    command.set_defaults(run="bill")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a valid day, such as 2026-11-01") from None


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"not a non-negative integer: `{text}`")
    return int(text)
