"""Which recorded jobs a command is about, and at which prices: options that several commands share."""

from __future__ import annotations

import argparse
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vertex_batch.billing.price_books import Books, OneBook, PriceBooks
from vertex_batch.billing.spec_settings import spec_prices
from vertex_batch.cli import arguments
from vertex_batch.cli.access import (
    DEFAULT_CONNECTION,
    KEY_VARIABLE,
    PROXY_VARIABLE,
    default_proxy,
    proxy_option,
    settings_of,
)
from vertex_batch.costs import JobFilter
from vertex_batch.errors import ConfigurationError
from vertex_batch.pricing import packaged_prices, price_file
from vertex_batch.specs import prices_folder, specs_folder
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import parse_job_name

_NAMED = ("spec", "team", "model", "dag_id", "run_id", "job")


def add_days(command: argparse.ArgumentParser) -> None:
    command.add_argument("--since", type=arguments.day, metavar="DAY", help="first day, such as 2026-11-01")
    command.add_argument("--until", type=arguments.day, metavar="DAY", help="last day, inclusive")


def add_jobs(command: argparse.ArgumentParser) -> None:
    add_days(command)
    command.add_argument("--spec", help="jobs of this spec")
    command.add_argument("--team", help="jobs with this label `team`")
    command.add_argument("--model", help="jobs created with this model, as the job names it")
    command.add_argument("--dag", dest="dag_id", metavar="ID", help="jobs of this DAG")
    command.add_argument("--run", dest="run_id", metavar="ID", help="jobs of this run")
    command.add_argument("--job", action="append", metavar="ID", help="this job; may be given several times")


def add_prices(command: argparse.ArgumentParser) -> None:
    which = command.add_mutually_exclusive_group()
    which.add_argument(
        "--prices",
        metavar="FILE",
        help="a price map in LiteLLM's format; it alone holds, but for what a spec has priced",
    )
    which.add_argument(
        "--packaged", action="store_true", help="the packaged prices alone, but for what a spec has priced"
    )
    command.add_argument(
        "--proxy",
        type=proxy_option,
        default=default_proxy(),
        metavar="URL|ID",
        help="without the two: prices as a recording of today takes them, from this proxy: its URL, with the"
        f" key in ${KEY_VARIABLE}, or the id of an Airflow connection (default: ${PROXY_VARIABLE}, else"
        f" {DEFAULT_CONNECTION})",
    )
    command.add_argument(
        "--specs", metavar="FOLDER", help="the specs, whose prices come first (default: include/jobs)"
    )


def check_days(options: Namespace) -> None:
    """Check the range of days.

    :raises ConfigurationError: the last day is before the first.
    """
    if options.since and options.until and options.since > options.until:
        raise ConfigurationError(f"--since {options.since} is after --until {options.until}")


def chosen_jobs(options: Namespace, *, all_if_none: bool = False) -> JobFilter:
    """The jobs that the options select.

    :param all_if_none: whether no selection means every job.
    :raises ConfigurationError: they select nothing, and that does not mean every job.
    """
    check_days(options)
    since, until = options.since, options.until
    if not (all_if_none or since or until or any(getattr(options, name) for name in _NAMED)):
        raise ConfigurationError(
            "No jobs were selected. Use --since and --until, or --spec, --team, --model, --dag, --run or"
            " --job."
        )
    return JobFilter(
        spec=options.spec or "",
        team=options.team or "",
        model=options.model or "",
        dag_id=options.dag_id or "",
        run_id=options.run_id or "",
        since=since,
        until=until,
        named=frozenset(map(parse_job_name, options.job)) if options.job else None,
    )


@contextmanager
def chosen_prices(options: Namespace) -> Iterator[tuple[Books, BatchClient | None]]:
    """The prices that the options select, and the proxy if they come from it.

    :raises PricesUnreadableError: the proxy's prices cannot be read.
    """
    if options.prices or options.packaged:
        yield OneBook(price_file(Path(options.prices)) if options.prices else packaged_prices()), None
        return
    folder = Path(options.specs) if options.specs else specs_folder()
    with open_client(options.proxy) as client:
        books = PriceBooks(client, prices_folder(folder), spec_prices(folder))
        books.check()
        yield books, client


@contextmanager
def open_client(proxy: str) -> Iterator[BatchClient]:
    """Open a proxy; see `settings_of`."""
    with BatchClient(settings_of(proxy).config) as client:
        yield client
