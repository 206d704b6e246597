"""The commands; only the module of the one that runs is imported. Errors become a message and a status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import argcomplete

from vertex_batch import __version__
from vertex_batch.cli.output import text_of
from vertex_batch.errors import VertexBatchError

COMMANDS = {
    "validate": ("validate", "check job specs"),
    "new": ("new", "write a new spec, with comments"),
    "put": ("put", "upload an input of your own"),
    "get": ("get", "copy an object, such as delivered answers, to a file"),
    "doctor": ("doctor", "check the proxy, storage, cost table and Airflow that the specs need"),
    "plan": ("plan", "show what a spec would submit on a date"),
    "check": ("plan:describe_check", "check a spec's inputs, model and locations before they cost money"),
    "run": ("run", "submit a spec's jobs, wait for them and bill them, without Airflow's scheduler"),
    "retry-rows": ("retry_rows", "send the rows of an earlier run again that have no good answer"),
    "jobs": ("jobs", "list, show or cancel batch prediction jobs"),
    "schema": ("validate:describe_schema", "print the JSON schema of job specs, for editors"),
    "cost": ("cost", "show what jobs cost"),
    "export": ("export", "write what jobs cost in the columns of FOCUS, as CSV"),
    "bill": ("bill", "show the bill of a recorded job, or bill an output on disk or in a bucket"),
    "prices": ("prices", "show the rates of a model on a day"),
    "results": ("results", "deliver the answers of an output, joined to their inputs"),
    "reprice": ("recalculate:describe_reprice", "reprice recorded jobs"),
    "recount": ("recalculate:describe_recount", "recount recorded jobs from their outputs"),
    "reconcile": (
        "reconcile",
        "compare the bills with figures of the proxy, of Google, or of another price list",
    ),
}
"""Each command: the module with its options, or the function in it, and what it does."""
FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Return its exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    chosen = _chosen(sys.argv[1:] if arguments is None else arguments)
    try:
        parser = build_parser(chosen)
        argcomplete.autocomplete(parser)
        options = parser.parse_args(arguments)
        status: int = options.run(options)
        sys.stdout.flush()
    except VertexBatchError as error:
        sys.stderr.write(f"vertex-batch: {text_of(error)}\n")
        return FAILED
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "vertex_batch":
            raise  # a bug
        sys.stderr.write(f"vertex-batch: {_missing_module(error.name, submits=chosen == 'run')}\n")
        return FAILED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe (`| head`). The interpreter must not fail again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    return status


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


def build_parser(chosen: str = "") -> argparse.ArgumentParser:
    """Describe the commands.

    :param chosen: only the options of this command are described, and only its module is imported; empty: of
        all commands, only the names are.
    """
    parser = argparse.ArgumentParser(
        prog="vertex-batch", description="Job specs and costs of Vertex AI batch prediction jobs."
    )
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="show the version and which reader is installed"
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name in [chosen] if chosen else COMMANDS:
        where, what = COMMANDS[name]
        command = commands.add_parser(name, help=what)
        if chosen:
            module, _, function = where.partition(":")
            getattr(import_module(f"vertex_batch.cli.{module}"), function or "describe")(command)
    return parser


def _chosen(words: Sequence[str]) -> str:
    """The command of a command line, which a shell that completes it has in a variable."""
    if "_ARGCOMPLETE" in os.environ:
        words = os.environ.get("COMP_LINE", "").split()[1:]
    first = next((word for word in words if not word.startswith("-")), "")
    return first if first in COMMANDS else ""


class _Version(argparse.Action):
    """Also shows whether the compiled reader is installed, which is imported only for this option."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        from vertex_batch.usage.plain import IS_COMPILED  # noqa: PLC0415

        reader = "compiled" if IS_COMPILED else "msgspec"
        sys.stdout.write(f"{parser.prog} {__version__} (reads plain rows with: {reader})\n")
        parser.exit()
