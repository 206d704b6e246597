"""Options that several commands share, and how their values are read."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import date

from vertex_batch.storage import DEFAULT_CONN_ID


def day(text: str) -> date:
    """Read an option's day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"`{text}` is not a valid day, such as 2026-11-01") from None


def count(text: str) -> int:
    """Read an option's number, which may be 0."""
    if not text.isascii() or not text.isdigit():
        raise ArgumentTypeError(f"not a non-negative integer: `{text}`")
    return int(text)


def at_least_one(text: str) -> int:
    """Read an option's number of things to show."""
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ArgumentTypeError(f"`{text}` is not a whole number of 1 or more")
    return int(text)


def add_rates(command: ArgumentParser, *, required: bool) -> None:
    """Add the options that decide at which rates the rows of an output are billed.

    :param required: the command cannot do without the model and the location.
    """
    before = "of an output, required: " if required else ""
    command.add_argument(
        "--model", default="", help=f"{before}the job's model, for rows that do not name one"
    )
    command.add_argument(
        "--location",
        default="" if required else "global",
        help=f"{before}where the job ran; some models cost more in a region than in `global`"
        f"{'' if required else ' (default: global)'}",
    )
    command.add_argument(
        "--prices",
        metavar="FILE",
        help="a price map in LiteLLM's format, JSON or YAML, used alone (default: the packaged prices)",
    )
    command.add_argument(
        "--day",
        type=day,
        metavar="YYYY-MM-DD",
        help="the UTC day on which the job ran, whose prices are used (default: the day in the name of the"
        " output directory, else today)",
    )


def add_json(command: ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON; amounts are exact decimal strings")


def add_table(command: ArgumentParser, *, apart: bool = False) -> None:
    """Add the options that name the cost table.

    :param apart: the command also has a connection of the proxy.
    """
    source = command.add_mutually_exclusive_group()
    source.add_argument("--url", help="the cost table's database, such as sqlite:////path/batch_costs.db")
    source.add_argument(
        "--cost-connection" if apart else "--connection",
        dest="cost_connection",
        default="batch_costs",
        metavar="ID",
        help="the cost table's Airflow connection, as this environment defines it (default: batch_costs)",
    )


def add_storage(command: ArgumentParser, does: str) -> None:
    """Add the option for the connection of an object.

    :param does: what the connection does with it, such as "reads".
    """
    command.add_argument(
        "--storage",
        metavar="ID",
        default=DEFAULT_CONN_ID,
        help=f"Airflow connection that {does} it, as this environment defines it (default: {DEFAULT_CONN_ID},"
        " else the credentials that Google's own tools find)",
    )
