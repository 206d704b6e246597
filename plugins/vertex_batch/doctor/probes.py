"""Look at the proxy, the object store, the cost table and Airflow. Nothing here creates a job."""

from __future__ import annotations

import os
import secrets
from datetime import UTC, date, datetime
from pathlib import Path

from airflow.jobs.job import Job
from airflow.models.pool import Pool
from airflow.models.trigger import Trigger
from airflow.sdk import conf
from airflow.utils.session import create_session
from sqlalchemy import func, make_url, select, text  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID253

from vertex_batch.billing.price_books import PriceBooks, SpecJobPrices
from vertex_batch.costs import CostTable, JobFacts
from vertex_batch.doctor import rules
from vertex_batch.doctor.runner import Diagnosis, failed, not_checked, ok, warning
from vertex_batch.errors import (
    AccessRefusedError,
    ApiError,
    BadKeyError,
    KeyBudgetExceededError,
    OwnerBlockedError,
    ProxyUnreachableError,
    VertexBatchError,
)
from vertex_batch.hooks.connection import ProxySettings
from vertex_batch.hooks.cost_table import executors_of_this_airflow
from vertex_batch.hooks.diagnosis import count_jobs, explain
from vertex_batch.pricing import Rate, retirement_of
from vertex_batch.results import check_packages
from vertex_batch.specs import JobSpec, Spec
from vertex_batch.storage import ObjectStorage
from vertex_batch.tasks.context import deployment
from vertex_batch.usage import canonical_model
from vertex_batch.vertex.client import BatchClient, find_version
from vertex_batch.vertex.proxy_versions import flaws_of, malicious_notice

ANSWER_SECONDS, CONNECT_SECONDS = 20.0, 3.0
_KEY_REFUSED = (
    AccessRefusedError,
    BadKeyError,
    KeyBudgetExceededError,
    OwnerBlockedError,
    ProxyUnreachableError,
)
_CONTENT = b"Written by vertex-batch doctor, which deletes it at once.\n"


def probe_connection(settings: ProxySettings) -> Diagnosis:
    """Whether something answers at the connection's address."""
    with _client(settings) as client:
        try:
            client.readiness(details=False)
        except ProxyUnreachableError as error:
            return _explained(error, settings)
        except ApiError:
            pass  # it answers; another check says what the key may do
    if settings.unknown_extras:
        return warning(
            f"{settings.config.base_url} answers.",
            f"correct the unknown extras, which are ignored: {', '.join(settings.unknown_extras)}",
        )
    return ok(f"{settings.config.base_url} answers.")


def probe_key(settings: ProxySettings) -> Diagnosis:
    """What the proxy says about the key."""
    with _client(settings) as client:
        models: int | None = None
        try:
            models = len(client.model_info())
        except _KEY_REFUSED as error:
            return _explained(error, settings)
        except ApiError:  # the key may still be good for jobs
            pass
        try:
            info = client.key_info().get("info")
        except ApiError:  # a proxy without a database, or the master key
            info = {}
    return rules.judge_key(models, info if isinstance(info, dict) else {}, datetime.now(UTC))


def probe_place(settings: ProxySettings, project: str, location: str) -> Diagnosis:
    """Whether the jobs of a project and location can be listed."""
    if not (project and location):
        return warning(
            "Some specs name no project or location, and the connection has no default.",
            "set the extras `project` and `location` of the connection, or name them in every spec",
        )
    with _client(settings) as client:
        try:
            count = count_jobs(client, project, location)
        except ApiError as error:
            return _explained(error, ProxySettings(settings.config, project, location))
    return ok(f"Listed {count} in {project}/{location}. Creating one was not tried, since it costs money.")


def probe_version(settings: ProxySettings) -> Diagnosis:
    """Which release the proxy runs."""
    with _client(settings) as client:
        version = find_version(client)
    notice = malicious_notice(settings.config.base_url, version)
    return rules.judge_version(version, notice, flaws_of(version))


def probe_prices(books: PriceBooks, spec: Spec, job: JobSpec, location: str, today: date) -> Diagnosis:
    """Whether the price lists have the batch rates of a job's model."""
    book = books.book_of(JobFacts("", location, "", spec=spec.name, task_id=job.name if spec.grouped else ""))
    rates = [
        rate
        for _, rate in book.on(today).listed(canonical_model(job.model), location)
        if isinstance(rate, Rate)
    ]
    if not rates:
        return warning(
            f"No price list has a batch rate of {job.model} in {location}, so its bills would be incomplete.",
            "add a price file to include/pricing, or `prices` to the spec",
        )
    retirement = retirement_of(job.model, book.life_of(job.model))
    if ends := retirement.describe(today) if retirement else "":
        return warning(ends, "choose another model in the specs")
    lists = sorted({f"{rate.source} of {rate.as_of}" for rate in rates})
    return ok(f"Rates in {location} from {', '.join(lists)}.")


def read_prices(settings: ProxySettings, prices: Path, of_specs: SpecJobPrices) -> PriceBooks:
    """Read the proxy's price lists once for all models."""
    with _client(settings) as client:
        books = PriceBooks(client, prices, of_specs)
        books.book_of(JobFacts("", "", ""))
    return books


def probe_packages() -> Diagnosis:
    """Whether this environment has what a delivery needs."""
    check_packages()
    return ok("This environment has the packages that deliveries need.")


def probe_folder(storage: ObjectStorage, folder: str, specs: str) -> Diagnosis:
    """Write, read and delete a small object in a folder of outputs.

    :param specs: which specs name its bucket.
    """
    uri = f"{folder}vertex-batch-doctor-{secrets.token_hex(6)}.txt"
    storage.check_output(folder, f"It is in {specs}")
    storage.write(uri, [_CONTENT])
    try:
        is_same = storage.read_small(uri) == _CONTENT
    finally:
        left = _remove(storage, uri)
    if left:
        return warning(
            f"{uri} was written and read, but not deleted: {left}",
            "delete it; if it may not be deleted, `results` cannot replace a delivery of its own",
        )
    if not is_same:
        return failed(f"{uri} was written, but its content was not read back.", "check the object store")
    return ok(f"Wrote, read and deleted {uri}.")


def probe_inputs(storage: ObjectStorage, folder: str, specs: str) -> Diagnosis:
    """Whether the bucket of inputs can be listed."""
    storage.check_output(folder, f"It is in {specs}")
    return ok(f"The bucket of {folder} can be listed.")


def probe_cost_table(url: str) -> Diagnosis:
    """Whether the cost table can be written, without changing it. A missing or older one is not touched."""
    table = CostTable(url)
    parsed = make_url(url)
    is_file = parsed.get_backend_name() == "sqlite"
    is_ready = table.is_ready()
    if is_ready:
        with table.writing() as connection:
            connection.execute(text("UPDATE cost_jobs SET job_id = job_id WHERE 1 = 0"))
    elif is_file and not _may_create(Path(parsed.database or "")):
        return failed(
            f"{parsed.database} cannot be created or written.",
            "give the user of Airflow's workers the right to write to this folder",
        )
    name = parsed.render_as_string(hide_password=True)
    executors = executors_of_this_airflow()
    return rules.judge_cost_table(name, is_file=is_file, is_ready=is_ready, executors=executors)


def probe_triggerers() -> Diagnosis:
    """Whether a triggerer is alive, and how many jobs it can watch."""
    if problem := _without_database():
        return problem
    running = select(Job).where(Job.job_type == "TriggererJob", Job.state == "running")
    with create_session() as session:
        alive = sum(job.is_alive() for job in session.scalars(running))
        triggers = session.scalar(select(func.count()).select_from(Trigger)) or 0
    return rules.judge_triggerers(alive, triggers, conf.getint("triggerer", "capacity", fallback=1000))


def probe_pool(name: str) -> Diagnosis:
    """Whether a pool exists and counts deferred tasks."""
    if problem := _without_database():
        return problem
    with create_session() as session:
        pool = session.scalar(select(Pool).where(Pool.pool == name))
        slots, deferred = (pool.slots, pool.include_deferred) if pool else (0, False)
    return rules.judge_pool(name, pool is not None, deferred, slots)


def probe_deployment() -> Diagnosis:
    """Which name this Airflow gives its jobs."""
    return rules.judge_deployment(conf.get("vertex_batch", "deployment", fallback="") or "", deployment())


def _explained(error: VertexBatchError, settings: ProxySettings) -> Diagnosis:
    found, _, fix = explain(error, settings).partition(" To do: ")
    return failed(found, fix.rstrip("."))


def _client(settings: ProxySettings) -> BatchClient:
    return BatchClient(settings.config.with_short_timeouts(ANSWER_SECONDS, CONNECT_SECONDS))


def _remove(storage: ObjectStorage, uri: str) -> str:
    try:
        storage.remove(uri)
    except VertexBatchError as error:
        return str(error)
    return ""


def _may_create(file: Path) -> bool:
    """Whether a file can be written, or its nearest folder that exists."""
    while not file.exists() and file != file.parent:
        file = file.parent
    return os.access(file, os.W_OK)


def _without_database() -> Diagnosis | None:
    """Why Airflow's database cannot be read here; None if it can."""
    fix = "run this where Airflow's scheduler runs, or open the page Setup in Airflow's UI"
    address = make_url(str(conf.get("database", "sql_alchemy_conn", fallback="sqlite://")))
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        return not_checked("This environment has no Airflow database.", fix)
    try:
        with create_session() as session:
            session.scalar(select(Job.id).limit(1))
    except SQLAlchemyError as error:
        return not_checked(f"Airflow's database cannot be read ({type(error).__name__}).", fix)
    return None
