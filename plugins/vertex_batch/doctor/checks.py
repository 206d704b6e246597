"""Which checks a setup needs: one for each connection, place, model, bucket and pool that its specs name."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from airflow import __version__ as airflow_version

from vertex_batch.billing.price_books import PriceBooks
from vertex_batch.doctor import probes, rules
from vertex_batch.doctor.runner import CheckedSetup, Diagnosis, SetupCheck, run_checks
from vertex_batch.hooks.connection import ProxySettings
from vertex_batch.specs import JobSpec, Spec, load_specs, prices_folder
from vertex_batch.storage import ObjectStorage

PROXY, COSTS = "litellm_default", "batch_costs"
_Opened = TypeVar("_Opened")
_Jobs = Sequence[tuple[Spec, JobSpec]]


@dataclass(frozen=True, slots=True)
class SetupAccess:
    """How the checks reach the outside. The command line and the pages differ in this.

    :param settings: reads the settings of a proxy's connection.
    :param storage: opens the object store of a connection.
    :param cost_table_url: returns the address of the cost table of a connection, with its password.
    """

    settings: Callable[[str], ProxySettings]
    storage: Callable[[str], ObjectStorage]
    cost_table_url: Callable[[str], str]


@dataclass(slots=True)
class _Setup:
    """Builds the checks and remembers the keys, which must be in no text."""

    access: SetupAccess
    secrets: list[str] = field(default_factory=list)
    _books: dict[str, PriceBooks] = field(default_factory=dict)
    _reading_prices: threading.Lock = field(default_factory=threading.Lock)

    def settings(self, connection: str) -> ProxySettings:
        found = self.access.settings(connection)
        self.secrets.append(found.config.api_key)
        return found

    def defaults(self, connection: str) -> tuple[str, str]:
        """The project and location of specs that name none; empty if the connection cannot be read."""
        try:
            found = self.settings(connection)
        except Exception:  # noqa: BLE001 - the check of the connection reports it
            return "", ""
        return found.project or "", found.location or ""

    def prices(self, jobs: _Jobs, folder: Path, spec: Spec, job: JobSpec, location: str) -> Diagnosis:
        of_specs = {(each.name, one.name if each.grouped else ""): one.prices or None for each, one in jobs}
        with self._reading_prices:
            if job.connection not in self._books:
                settings = self.settings(job.connection)
                self._books[job.connection] = probes.read_prices(settings, folder, of_specs)
        today = datetime.now(UTC).date()
        return probes.probe_prices(self._books[job.connection], spec, job, location or "global", today)


def _on(
    opens: Callable[[str], _Opened], connection: str, probe: Callable[..., Diagnosis], *more: str
) -> Diagnosis:
    """Open a connection when the check runs, and look at what is there."""
    return probe(opens(connection), *more)


def check_setup(access: SetupAccess, folder: Path) -> list[CheckedSetup]:
    """Check everything that the specs of a folder need, and what every setup needs.

    Nothing is submitted. One small object is written, read and deleted in each bucket of outputs.

    :param folder: the specs; it may be missing or empty.
    """
    setup = _Setup(access)
    return run_checks(list(_checks(setup, folder)), setup.secrets)


def _checks(setup: _Setup, folder: Path) -> Iterator[SetupCheck]:
    found = load_specs(folder)
    specs = list(found.specs.values())
    errors = [str(error).partition("\n")[0] for error in found.errors]
    yield SetupCheck("airflow", "", partial(rules.judge_airflow, airflow_version))
    yield SetupCheck("specs", "", partial(rules.judge_specs, str(folder), len(specs), errors))
    yield from _proxy_checks(setup, specs, prices_folder(folder))
    yield from _storage_checks(setup, specs)
    for connection in _named(specs, "cost_connection", COSTS):
        yield SetupCheck(
            "cost table",
            connection,
            partial(_on, setup.access.cost_table_url, connection, probes.probe_cost_table),
        )
    yield SetupCheck("triggerer", "", probes.probe_triggerers)
    yield SetupCheck("deployment", "", probes.probe_deployment)
    if any(job.results for spec in specs for job in spec.jobs):
        yield SetupCheck("packages", "", probes.probe_packages)
    for pool in _named(specs, "pool", None):
        yield SetupCheck("pool", pool, partial(probes.probe_pool, pool))


def _proxy_checks(setup: _Setup, specs: Sequence[Spec], prices: Path) -> Iterator[SetupCheck]:
    jobs = [(spec, job) for spec in specs for job in spec.jobs]
    for connection in _named(specs, "connection", PROXY):
        first = SetupCheck(
            "connection", connection, partial(_on, setup.settings, connection, probes.probe_connection)
        )
        yield first
        for name, probe in (("key", probes.probe_key), ("proxy version", probes.probe_version)):
            yield SetupCheck(name, connection, partial(_on, setup.settings, connection, probe), first)
        its = [(spec, job) for spec, job in jobs if job.connection == connection]
        usual_project, usual_location = setup.defaults(connection)
        places = {(job.project or usual_project, job.location or usual_location) for _, job in its}
        for project, location in sorted(places or {(usual_project, usual_location)}):
            subject = f"{project or '(no project)'}/{location or '(no location)'}"
            look = partial(_on, setup.settings, connection, probes.probe_place, project, location)
            yield SetupCheck("jobs", subject, look, first)
        models = {
            (job.model, job.location or usual_location, str(job.prices)): (spec, job) for spec, job in its
        }
        for (model, location, _), (spec, job) in sorted(models.items(), key=str):
            probe_of_prices = partial(setup.prices, its, prices, spec, job, location)
            yield SetupCheck("prices", model, probe_of_prices, first)


def _storage_checks(setup: _Setup, specs: Sequence[Spec]) -> Iterator[SetupCheck]:
    jobs = [job for spec in specs for job in spec.jobs]
    outputs = [(job.storage_connection, rules.literal_folder(uri)) for job in jobs for uri in _written(job)]
    written = rules.one_per_bucket({each for each in outputs if each[1]})
    for connection, folder in written:
        users = _users(specs, connection, folder)
        look = partial(_on, setup.access.storage, connection, probes.probe_folder, folder, users)
        yield SetupCheck("storage", folder, look)
    inputs = [(job.storage_connection, rules.literal_folder(uri)) for job in jobs for uri in job.inputs]
    buckets = {(connection, folder.split("/")[2]) for connection, folder in written}
    for connection, folder in rules.one_per_bucket({each for each in inputs if each[1]}):
        if (connection, folder.split("/")[2]) not in buckets:
            users = _users(specs, connection, folder)
            look = partial(_on, setup.access.storage, connection, probes.probe_inputs, folder, users)
            yield SetupCheck("inputs", folder, look)


def _written(job: JobSpec) -> Sequence[str]:
    """Where a job or its delivery writes."""
    return job.output, job.staging or "", job.results.to if job.results else ""


def _users(specs: Sequence[Spec], connection: str, folder: str) -> str:
    """The specs that name the bucket of a folder."""
    bucket = "/".join([*folder.split("/")[:3], ""])
    jobs = [(spec.name, job) for spec in specs for job in spec.jobs if job.storage_connection == connection]
    uses = {
        name for name, job in jobs if any(uri.startswith(bucket) for uri in (*_written(job), *job.inputs))
    }
    return ", ".join(sorted(uses))


def _named(specs: Sequence[Spec], setting: str, usual: str | None) -> list[str]:
    """The different values of a setting in all jobs; the usual one without jobs."""
    found = {value for spec in specs for job in spec.jobs if (value := getattr(job, setting))}
    return sorted(found) or ([usual] if usual else [])
