"""``vertex-batch reconcile``: compares bills with figures of the proxy, of Google or of a price list."""

from __future__ import annotations

import argparse
import csv
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from vertex_batch.billing import reconciling, spend_logs
from vertex_batch.billing.price_books import OneBook
from vertex_batch.billing.reconciling import JobComparison, Reconciliation
from vertex_batch.billing.repricing import recorded, reprice
from vertex_batch.cli import access, arguments
from vertex_batch.cli.access import KEY_VARIABLE
from vertex_batch.cli.choice import add_jobs, chosen_jobs, open_client
from vertex_batch.cli.cost import open_table
from vertex_batch.cli.output import print_json, say, total_data
from vertex_batch.costs import Bill, CostTable, JobFilter, in_full, usd
from vertex_batch.errors import ApiError, ConfigurationError, PermanentError
from vertex_batch.pricing import price_file
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL
from vertex_batch.vertex.proxy_versions import release

_OURS = "USD"
# The proxy costs a batch when it polls, and gives up on one after seven days.
_LATE = timedelta(days=8)
# How LiteLLM reports a missing database, with any status.
_NO_DATABASE = ("Prisma Client", "No connected db", "Database not connected")
# The roles whose keys see the rows of all users (proxy/spend_tracking/spend_management_endpoints.py).
_SEES_ALL = frozenset({"proxy_admin", "proxy_admin_viewer"})
_REMEDY = (
    "use the master key or the key of a user with the role `proxy_admin_viewer`, in a separate connection"
    f" that --proxy names, or in ${KEY_VARIABLE} with the proxy's URL in --proxy"
)


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Compare recorded bills with other figures, job by job and model by model, and explain"
        " the differences where the cause is known. Nothing is written."
    )
    add_jobs(command)
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
    arguments.add_json(command)
    arguments.add_table(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Compare and print. The exit status is 0 with and without differences."""
    where = chosen_jobs(options)
    table = open_table(options)
    found = _compare(options, table, where)
    if options.json:
        print_json(_as_data(found, options))
    else:
        sys.stdout.write(f"{_as_text(found)}\n")
    return 0


def _compare(options: Namespace, table: CostTable, where: JobFilter) -> Reconciliation:
    if options.prices:
        book = OneBook(price_file(Path(options.prices)))
        repriced = reprice(table, book.book_of, where, dry_run=True)
        return reconciling.against_prices((job.bill, job.priced.line_items) for job in repriced)
    bills = list(recorded(table, where))
    if options.billing:
        return reconciling.against_billing(bills, _rows(Path(options.billing)), IDEMPOTENCY_KEY_LABEL)
    with open_client(options.proxy) as client:
        try:
            version, warning = _look_at(client, options.proxy)
            rows = _cost_rows(client, bills)
            found = spend_logs.against_proxy(bills, rows, now=datetime.now(UTC), version=release(version))
        except ApiError as error:
            if any(words in error.message for words in _NO_DATABASE):
                raise _no_database(options.proxy) from error
            raise
    if warning:
        say(f"vertex-batch: {warning}")
    return found


def _name(proxy: str) -> str:
    """Name the proxy of a URL that was accepted, or of a connection."""
    return proxy if "://" in proxy else f"of connection {proxy!r}"


def _no_database(proxy: str) -> ConfigurationError:
    return ConfigurationError(
        f"The proxy {_name(proxy)} has no database, so it has no figures. Use --billing or --prices instead."
    )


def _look_at(client: BatchClient, proxy: str) -> tuple[str, str]:
    """Check that the proxy has figures, and that this key can see those of all jobs.

    The key of a user without an admin role gets only that user's rows, without a hint that there are more.

    :returns: LiteLLM's version, and a warning about the comparison; empty if there is none.
    :raises ConfigurationError: the proxy has no figures, or the key sees only some of them.
    """
    readiness = _readiness(client)
    if readiness.get("db") == "Not connected":
        raise _no_database(proxy)
    version = str(readiness.get("litellm_version") or "")
    if _is_master_key(client):
        return version, ""
    role = _role(client)
    if role and role not in _SEES_ALL:
        raise ConfigurationError(
            f"The key of the proxy {_name(proxy)} belongs to a user with the role `{role}`. The proxy shows"
            " it only that user's rows, so other jobs would appear without a figure. Nothing was compared",
            _REMEDY,
        )
    doubt = (
        f"The proxy {_name(proxy)} does not report whether its key sees the rows of all users."
        f" If it does not, jobs that the proxy has priced appear without a figure. To be sure, {_REMEDY}."
    )
    return version, "" if role else doubt


def _readiness(client: BatchClient) -> dict[str, object]:
    """Read whether the proxy has a database, and its version, which it shows to admins."""
    for details in (True, False):
        try:
            return client.readiness(details=details)
        except PermanentError:
            continue
    return {}


def _is_master_key(client: BatchClient) -> bool:
    """Whether this is the only key that a proxy with a database does not have in it.

    The role of its user says nothing: LiteLLM makes that user, as an ordinary one, with the first team.
    """
    try:
        client.key_info()
    except PermanentError as error:
        return isinstance(error, ApiError) and error.status == "not_found_error"
    return False


def _role(client: BatchClient) -> str:
    """The role of the key's user. Empty if the key has no user, or may not read it."""
    try:
        return str(client.user_info().get("user_role") or "")
    except PermanentError:
        return ""


def _cost_rows(client: BatchClient, bills: list[Bill]) -> Iterator[dict[str, object]]:
    """Read the proxy's cost rows from the first job's creation until the last job's row must exist."""
    if bills:
        begin = min(bill.job.create_time or bill.recorded_at for bill in bills)
        end = max(bill.recorded_at for bill in bills) + _LATE
        first = datetime.combine(begin.astimezone(UTC).date(), time(), UTC)
        yield from client.spend_logs(first, min(end, datetime.now(UTC)))


def _rows(path: Path) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            if not {"ListCost", "BilledCost"} & set(reader.fieldnames or ()):
                raise ConfigurationError(
                    f"{path} is not an export in FOCUS columns: it has neither ListCost nor BilledCost."
                )
            for row in reader:
                if (currency := row.get("BillingCurrency") or _OURS) != _OURS:
                    raise ConfigurationError(
                        f"{path} is in {currency}, and bills are in {_OURS}, so they cannot be compared."
                    )
                yield row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigurationError(f"{path} cannot be read as CSV: {error}") from error


def _as_data(found: Reconciliation, options: Namespace) -> dict[str, object]:
    return {
        "against": "prices" if options.prices else "billing" if options.billing else "proxy",
        "jobs": [_job(job) for job in found.jobs],
        "models": [
            {
                "model": each.model,
                "jobs": each.jobs,
                "ours_usd": each.ours.text,
                "ours_complete": each.ours.complete,
                "theirs_usd": each.theirs.text,
                "theirs_complete": each.theirs.complete,
                "difference_usd": in_full(each.difference),
            }
            for each in found.models()
        ],
        "unmatched": {name: in_full(amount) for name, amount in found.unmatched.items()},
    }


def _job(job: JobComparison) -> dict[str, object]:
    return {
        "job": str(job.bill.job),
        "model": job.model,
        "ours": total_data(job.bill.total),
        "theirs": total_data(job.theirs) if job.theirs else None,
        "difference_usd": None if job.difference is None else in_full(job.difference),
        "differs": job.differs,
        "why": list(job.why),
    }


def _as_text(found: Reconciliation) -> str:
    lines = []
    for job in found.jobs:
        if job.differs:
            by = "" if job.difference is None else f", a difference of {usd(job.difference)}"
            lines.append(f"{job.bill.job} ({job.model}): {job.bill.total} here, {job.theirs} there{by}")
            lines += [f"    {reason}" for reason in job.why]
    for each in found.models():
        lines.append(
            f"{each.model}: {each.jobs} jobs, {each.ours} here, {each.theirs} there,"
            f" a difference of {usd(each.difference)}"
        )
    lines += [f"only in their figures: {name}: {usd(amount)}" for name, amount in found.unmatched.items()]
    compared = len(found.compared)
    without = len(found.jobs) - compared
    if without:
        reasons = "; ".join(f"{count}: {why}" for why, count in found.reasons_without_figure().items())
        lines.append(f"{without} of {len(found.jobs)} jobs have no figure to compare with ({reasons})")
    differ = sum(job.differs for job in found.jobs)
    return "\n".join([*lines, f"{differ} of {compared} compared jobs differ"])
