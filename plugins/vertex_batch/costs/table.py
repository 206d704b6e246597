"""The cost table: one bill per job, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, Table, select  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs import migrations, schema
from vertex_batch.costs.bill import Bill, JobFacts, saved, total
from vertex_batch.costs.database import Database, upsert
from vertex_batch.costs.deliveries import NIGHT, Delivery, DeliverySums
from vertex_batch.costs.errors import JobIdTakenError
from vertex_batch.costs.focus import read_focus
from vertex_batch.costs.queries import (
    SEARCHED,
    SEARCHED_CHARS,
    read_facts,
    read_job_cost,
    read_rows,
    read_total,
    select_count,
    select_dag_ids,
    select_deliveries,
    select_delivery_sums,
    select_failed_reasons,
    select_first_day,
    select_jobs,
    select_last_delivery,
    select_recorded,
    select_specs_without_dag,
    select_totals,
    select_usage,
)
from vertex_batch.costs.questions import (
    FocusVersion,
    Grouping,
    GroupTotal,
    JobCost,
    JobFilter,
    JobOrder,
    Owners,
)
from vertex_batch.costs.reports import UnpricedUsage, select_unpriced
from vertex_batch.pricing import Basis, LineItem, line_order
from vertex_batch.usage import CacheTtl, Kind, Modality, RowProblem, Tier, Unit, UsageKey
from vertex_batch.vertex.names import JobId

_MONEY = ("unit_price", "amount", "standard_unit_price", "standard_amount")


class CostTable:
    """Stores the bills of all jobs. It creates and upgrades its schema automatically on first use.

    :param url: a SQLAlchemy URL: ``sqlite:////var/lib/airflow/costs.db``, ``postgresql://user:pw@host/db``.
    :param keeps_connections: for a process with many queries that does not fork; see `Database`.
    :raises CostTableUnavailableError: the database does not answer; a retry may succeed.
    :raises CostTableSetupError: URL, driver, permissions or schema are wrong; a person has to act.
    """

    def __init__(self, url: str, *, keeps_connections: bool = False) -> None:
        self._database = Database(url, keeps_connections=keeps_connections)
        self._ready = False

    def close(self) -> None:
        """Close the kept connections."""
        self._database.close()

    def migrate(self) -> None:
        """Upgrade the schema. Harmless if it is up to date, and if others do it at the same time."""
        migrations.migrate(self._database)
        self._ready = True

    def record(self, bill: Bill) -> None:
        """Write a bill in one transaction, replacing an earlier one of the same job.

        Recording the same bill twice changes nothing. If the line items of an earlier bill differ, they are
        kept as history. If two writers record a job at the same time, the later one's complete bill stays.

        :raises JobIdTakenError: the earlier bill is of another job with this id: `JobFacts.contradiction`.
        """
        self._prepare()
        key = _key(bill.job.key)
        with self._database.write() as connection:
            self._refuse_other_job(connection, bill.job)
            # This locks the job's row: other writers of it wait here.
            upsert(connection, schema.jobs, _job_row(bill))
            self._keep(connection, key, self._line_items(connection, key), bill.line_items)
            usage = [{**key, **asdict(usage_key), "tokens": n} for usage_key, n in bill.usage.items()]
            items = [{**key, **_item_row(item)} for item in bill.line_items]
            sums = _part_rows(bill.job, bill.day, bill.line_items)
            for table, rows in ((schema.usage, usage), (schema.line_items, items), (schema.job_sums, sums)):
                _replace(connection, table, key, rows)

    def _refuse_other_job(self, connection: Connection, job: JobFacts) -> None:
        stored = select(schema.jobs).where(*_is(schema.jobs, _key(job.key))).with_for_update()
        row = connection.execute(stored).one_or_none()
        if row and (contradiction := job.contradiction(read_facts(row))):
            reason = f"job {job.key} has a bill of another job with this id: {contradiction}"
            raise JobIdTakenError(self._database.name, reason)

    def bill(self, job_id: JobId) -> Bill | None:
        """Return the bill of one job; None if none was recorded."""
        self._prepare()
        with self._database.read() as connection:
            return self._read(connection, _key(job_id))

    def replace_line_items(self, job_id: JobId, priced: Callable[[Bill], Sequence[LineItem]]) -> None:
        """Replace the line items of a bill in one transaction; the old ones are kept as history.

        :param priced: returns the new line items of a bill; if they equal the old ones, nothing is written.
        """
        self._prepare()
        key = _key(job_id)
        with self._database.write() as connection:
            # Taking the row as `record` does makes other writers of the job wait.
            connection.execute(schema.jobs.update().where(*_is(schema.jobs, key)).values(job_id=job_id.id))
            bill = self._read(connection, key)
            fresh = list(priced(bill)) if bill else []
            if bill is None or fresh == list(bill.line_items):
                return
            self._keep(connection, key, bill.line_items, fresh)
            items = [{**key, **_item_row(item)} for item in fresh]
            _replace(connection, schema.line_items, key, items)
            _replace(connection, schema.job_sums, key, _part_rows(bill.job, bill.day, fresh))
            totals = schema.jobs.update().where(*_is(schema.jobs, key)).values(**_totals(fresh))
            connection.execute(totals)

    def _line_items(self, connection: Connection, key: Mapping[str, str]) -> list[LineItem]:
        items = connection.execute(select(schema.line_items).where(*_is(schema.line_items, key))).all()
        return sorted((_line_item(row._mapping) for row in items), key=line_order)  # noqa: SLF001

    def _keep(
        self,
        connection: Connection,
        key: Mapping[str, str],
        old: Sequence[LineItem],
        fresh: Sequence[LineItem],
    ) -> None:
        """Copy the old line items into the history, unless the new ones are equal."""
        if old and list(old) != sorted(fresh, key=line_order):
            now = datetime.now(UTC)
            rows = [{**key, "replaced_at": now, **_item_row(item)} for item in old]
            connection.execute(schema.price_history.insert(), rows)

    def _read(self, connection: Connection, key: Mapping[str, str]) -> Bill | None:
        job = connection.execute(select(schema.jobs).where(*_is(schema.jobs, key))).one_or_none()
        if job is None:
            return None
        usage = connection.execute(select(schema.usage).where(*_is(schema.usage, key))).all()
        return Bill(
            job=read_facts(job),
            rows=read_rows(job),
            line_items=tuple(self._line_items(connection, key)),
            flags=tuple(job.flags),
            recorded_at=job.recorded_at,
            usage={read_usage_key(row._mapping): row.tokens for row in usage},  # noqa: SLF001
            failed_reasons=job.failed_reasons,
            problems=tuple(RowProblem(*problem) for problem in job.problems),
            failed_samples=tuple(RowProblem(*sample) for sample in job.failed_samples),
            unrecognized_samples=tuple(RowProblem(*sample) for sample in job.unrecognized_samples),
        )

    def is_ready(self) -> bool:
        """Whether the table exists with this code's schema version. Creates and upgrades nothing."""
        return self._database.exists() and migrations.is_current(self._database)

    def jobs(
        self,
        where: JobFilter | None = None,
        *,
        limit: int = 1000,
        offset: int = 0,
        sort: JobOrder = "day",
        ascending: bool = False,
    ) -> list[JobCost]:
        """Return jobs and their costs, by default with the latest first."""
        self._prepare()
        asked = select_jobs(where or JobFilter(), limit, offset, sort, ascending=ascending)
        with self._database.read() as connection:
            return [read_job_cost(row) for row in connection.execute(asked)]

    def recorded(self, keys: Collection[JobId]) -> frozenset[JobId]:
        """Return those of the jobs that have a bill."""
        self._prepare()
        if not keys:
            return frozenset()
        with self._database.read() as connection:
            return frozenset(JobId(*row) for row in connection.execute(select_recorded(keys)))

    def owners(self) -> Owners:
        """Return the DAGs that submitted the jobs, and the specs of those that have no DAG."""
        self._prepare()
        with self._database.read() as connection:
            dags = frozenset(connection.execute(select_dag_ids()).scalars())
            if "" not in dags:
                return Owners(dags)
            specs = connection.execute(select_specs_without_dag()).scalars()
            return Owners(dags - {""}, frozenset(specs))

    def count(self, where: JobFilter) -> int:
        """Return the number of jobs."""
        self._prepare()
        with self._database.read() as connection:
            return int(connection.execute(select_count(where)).scalar_one())

    def first_day(self, where: JobFilter) -> date | None:
        """Return the first day with a job, regardless of the filter's days; None without jobs."""
        with self.reading() as connection:
            return connection.execute(select_first_day(where)).scalar()

    def failed_reasons(self, where: JobFilter, *, jobs: int = 200) -> Counter[str]:
        """Return how many rows failed for which reason.

        :param jobs: count those of this number of jobs with failed rows, the latest ones.
        """
        found: Counter[str] = Counter()
        with self.reading() as connection:
            for reasons in connection.execute(select_failed_reasons(where, jobs)).scalars():
                found.update(reasons)
        return found

    def totals(
        self,
        by: Grouping,
        since: date | None = None,
        until: date | None = None,
        where: JobFilter | None = None,
    ) -> list[GroupTotal]:
        """Return exact sums by group, in the order of the groups.

        :param since: first day, inclusive.
        :param until: last day, inclusive.
        """
        return list(self.each_total(by, since, until, where))

    def each_total(
        self,
        by: Grouping,
        since: date | None = None,
        until: date | None = None,
        where: JobFilter | None = None,
    ) -> Iterator[GroupTotal]:
        """Yield the same as `totals`, for a reader that keeps little of it."""
        asked = where or JobFilter()
        asked = replace(asked, since=since or asked.since, until=until or asked.until)
        with self.reading() as connection:
            for row in connection.execute(select_totals(by, asked)):
                yield read_total(row, by)

    def usage(
        self, where: JobFilter, models: Collection[str] | None = None
    ) -> Iterator[tuple[str, UsageKey, int]]:
        """Yield tokens by location and usage key.

        :param models: only those of these models.
        """
        self._prepare()
        with self._database.read() as connection:
            for row in connection.execute(select_usage(where, models)).mappings():
                yield row["location"], read_usage_key(row), int(row["tokens"])

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction for reading the tables other than those of the bills."""
        self._prepare()
        with self._database.read() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction for writing the tables other than those of the bills."""
        self._prepare()
        with self._database.write() as connection:
            yield connection

    def unpriced(self, where: JobFilter, *, limit: int = 20) -> list[UnpricedUsage]:
        """Return usage without a price, with the reasons."""
        self._prepare()
        with self._database.read() as connection:
            found = connection.execute(select_unpriced(where, limit)).all()
        return [UnpricedUsage(*row) for row in found]

    def focus(
        self, where: JobFilter, version: FocusVersion = FocusVersion.V1_2
    ) -> Iterator[Sequence[str | int | None]]:
        """Yield the charges of some jobs in the columns of FOCUS: first the names, then each row.

        Usage without a price is left out, since FOCUS has no unknown cost; see `unpriced`.
        """
        self._prepare()
        with self._database.read() as connection:
            yield from read_focus(connection, where, version)

    def record_delivery(self, delivery: Delivery, *, files_changed: bool) -> None:
        """Store the numbers of a delivery, replacing earlier ones of the same task.

        Without changed files or numbers, nothing is written.

        :param files_changed: whether its files were written; False if the same ones were in their place.
        """
        row = asdict(delivery)
        del row["replaced_by"]
        with self.writing() as connection:
            unless_equal_but = "" if files_changed else "delivered_at"
            upsert(connection, schema.deliveries, row, unless_equal_but=unless_equal_but)

    def deliveries(self, where: JobFilter) -> list[Delivery]:
        """Return what was delivered, in the order of the tasks.

        :param where: by DAG, run, spec and team; the other fields have to be empty.
        """
        with self.reading() as connection:
            return [Delivery(**row) for row in connection.execute(select_deliveries(where)).mappings()]

    def deliveries_of(self, job: JobFacts) -> list[Delivery]:
        """Return the deliveries of a job's run that can contain answers of the job."""
        if not (job.dag_id and job.run_id):
            return []
        of_run = self.deliveries(JobFilter(dag_id=job.dag_id, run_id=job.run_id))
        return [delivery for delivery in of_run if delivery.is_of(job)]

    def last_night(self, where: JobFilter) -> DeliverySums | None:
        """Return what was delivered in the night that ends with the latest delivery; None if there is none.

        :param where: see `deliveries`.
        """
        with self.reading() as connection:
            until = connection.execute(select_last_delivery(where)).scalar_one()
            if until is None:
                return None
            row = connection.execute(select_delivery_sums(where, until - NIGHT)).one()
            count, input_rows, delivered, exceptions = (int(number or 0) for number in row)
        return DeliverySums(count, input_rows, delivered, exceptions, until)

    def _prepare(self) -> None:
        if not self._ready and not migrations.is_current(self._database):
            self.migrate()
        self._ready = True


def _key(job: JobId) -> dict[str, str]:
    return {"project": job.project, "location": job.location, "job_id": job.id}


def _is(table: Table, key: Mapping[str, str]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def _replace(
    connection: Connection, table: Table, key: Mapping[str, str], rows: list[dict[str, Any]]
) -> None:
    connection.execute(table.delete().where(*_is(table, key)))
    if rows:
        connection.execute(table.insert(), rows)


def _job_row(bill: Bill) -> dict[str, Any]:
    facts = {f.name: getattr(bill.job, f.name) for f in fields(JobFacts)}
    return {
        **facts,
        "labels": dict(bill.job.labels),
        "input_uris": list(bill.job.input_uris),
        "day": bill.day,
        "rows_ok": bill.rows.ok,
        "rows_failed": bill.rows.failed,
        "rows_unreadable": bill.rows.unreadable,
        "rows_unrecognized": bill.rows.unrecognized,
        "rows_copied": bill.rows.copied,
        "rows_input": bill.rows.input_rows,
        "failed_reasons": dict(bill.failed_reasons),
        "problems": [_problem_row(problem) for problem in bill.problems],
        "failed_samples": [_problem_row(sample) for sample in bill.failed_samples],
        "unrecognized_samples": [_problem_row(sample) for sample in bill.unrecognized_samples],
        "flags": list(bill.flags),
        "recorded_at": bill.recorded_at,
        "searched": "|".join(str(facts[name]) for name in SEARCHED).lower()[:SEARCHED_CHARS],
        **_totals(bill.line_items),
    }


def _part_rows(job: JobFacts, day: date, items: Sequence[LineItem]) -> list[dict[str, Any]]:
    """The stored sums of a job, by model and by kind."""
    parts: dict[tuple[str, str], list[LineItem]] = defaultdict(list)
    for item in items:
        parts["model", item.model].append(item)
        parts["kind", str(item.kind)].append(item)
    of_job = {name: getattr(job, name) for name in (*schema.JOB_KEY, "dag_id", "spec", "team")}
    return [
        {**of_job, "day": day, "part": part, "name": name, **_totals(of_part)}
        for (part, name), of_part in parts.items()
    ]


def _problem_row(problem: RowProblem) -> list[str | int]:
    return [problem.file, problem.line, problem.reason]


def _totals(items: Sequence[LineItem]) -> dict[str, Any]:
    """The sums that are stored with a job, so that queries need not add up its line items."""
    return {
        "amount_picousd": total(items).amount,
        "unpriced_line_items": sum(item.amount_usd is None for item in items),
        "tokens": sum(item.tokens for item in items if item.unit is Unit.TOKEN),
        "saved_picousd": saved(items).amount,
        "saved_unknown_line_items": sum(item.saved_usd is None for item in items),
    }


def _item_row(item: LineItem) -> dict[str, Any]:
    row = {f.name: getattr(item, f.name) for f in fields(LineItem)}
    money = {f"{name}_picousd": row.pop(f"{name}_usd") for name in _MONEY}
    return {**row, **money, "unit": item.unit}


def _line_item(row: Mapping[Any, Any]) -> LineItem:
    key = read_usage_key(row)
    return LineItem(
        model=key.model,
        kind=key.kind,
        modality=key.modality,
        tier=key.tier,
        tokens=row["tokens"],
        **{f"{name}_usd": row[f"{name}_picousd"] for name in _MONEY},
        basis=Basis(row["basis"]) if row["basis"] else None,
        source=row["source"],
        price_date=row["price_date"],
        reason=row["reason"],
        cache_ttl=key.cache_ttl,
        standard_source=row["standard_source"],
        list_digest=row["list_digest"],
        priced_on=key.priced_on,
    )


def read_usage_key(row: Mapping[Any, Any]) -> UsageKey:
    """Read the usage key of a row of the table."""
    return UsageKey(
        row["model"],
        Kind(row["kind"]),
        Modality(row["modality"]),
        Tier(row["tier"]),
        CacheTtl(row["cache_ttl"]),
        row["priced_on"],
    )
