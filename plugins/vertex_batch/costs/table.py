"""The cost table: one bill per job, in SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, select  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs import schema
from vertex_batch.costs.bill import Bill, JobFacts, Total, total
from vertex_batch.costs.database import upsert
from vertex_batch.costs.deliveries import Delivery
from vertex_batch.costs.errors import JobIdTakenError
from vertex_batch.costs.reading import CostReader
from vertex_batch.costs.rows import (
    item_row,
    job_row,
    part_rows,
    read_facts,
    read_line_item,
    read_rows,
    read_usage_key,
    stored_sums,
)
from vertex_batch.pricing import LineItem, line_order
from vertex_batch.usage import RowProblem
from vertex_batch.vertex.names import JobId

OnBill = Callable[[Bill, Total | None], None]
"""Receives a bill that was written, and the sum of the job's earlier bill; None if this is its first."""


class CostTable(CostReader):
    """Stores the bills of all jobs. It creates and upgrades its schema automatically on first use.

    Every bill is written here, whether it is recorded, recounted or repriced, so what others learn of bills
    is passed on here.

    :param url: a SQLAlchemy URL: ``sqlite:////var/lib/airflow/costs.db``, ``postgresql://user:pw@host/db``.
    :param keeps_connections: for a process with many queries that does not fork; see `Database`.
    :param on_bill: called once for each bill, after its transaction. It must not raise: the bill is written.
    :raises CostTableUnavailableError: the database does not answer; a retry may succeed.
    :raises CostTableNewerError: its schema is newer than this code; a retry may run where it is not.
    :raises CostTableSetupError: URL, driver, permissions or schema are wrong; a person has to act.
    """

    def __init__(self, url: str, *, keeps_connections: bool = False, on_bill: OnBill | None = None) -> None:
        super().__init__(url, keeps_connections=keeps_connections)
        self._on_bill: OnBill = on_bill or (lambda _bill, _before: None)

    def record(self, bill: Bill) -> None:
        """Write a bill in one transaction, replacing an earlier one of the same job.

        Recording the same bill twice changes nothing. If the line items of an earlier bill differ, they are
        kept as history. If two writers record a job at the same time, the later one's complete bill stays.

        :raises JobIdTakenError: the earlier bill is of another job with this id: `JobFacts.contradiction`.
        """
        key = _key(bill.job.key)
        with self.writing() as connection:
            has_bill = self._refuse_other_job(connection, bill.job)
            # This locks the job's row: other writers of it wait here.
            upsert(connection, schema.jobs, job_row(bill))
            old = self._line_items(connection, key)
            self._keep(connection, key, old, bill.line_items)
            usage = [{**key, **asdict(usage_key), "tokens": n} for usage_key, n in bill.usage.items()]
            items = [{**key, **item_row(item)} for item in bill.line_items]
            sums = part_rows(bill.job, bill.day, bill.line_items)
            for table, rows in ((schema.usage, usage), (schema.line_items, items), (schema.job_sums, sums)):
                _replace(connection, table, key, rows)
        # Another writer may have written the first bill after this one looked, and before it had the lock.
        self._on_bill(bill, total(old) if has_bill or old else None)

    def _refuse_other_job(self, connection: Connection, job: JobFacts) -> bool:
        """Return whether the job has a bill already.

        :raises JobIdTakenError: the bill is of another job.
        """
        stored = select(schema.jobs).where(*_is(schema.jobs, _key(job.key))).with_for_update()
        row = connection.execute(stored).one_or_none()
        if row and (contradiction := job.contradiction(read_facts(row))):
            reason = f"job {job.key} has a bill of another job with this id: {contradiction}"
            raise JobIdTakenError(self._database.name, reason)
        return row is not None

    def bill(self, job_id: JobId) -> Bill | None:
        """Return the bill of one job; None if none was recorded."""
        with self.reading() as connection:
            return self._read(connection, _key(job_id))

    def reprice(self, job_id: JobId, priced: Callable[[Bill], Bill]) -> None:
        """Replace line items and flags of a bill in one transaction; old line items are kept as history.

        :param priced: returns the bill with new line items and flags; if they equal the old ones, nothing is
            written.
        """
        key = _key(job_id)
        with self.writing() as connection:
            # Taking the row as `record` does makes other writers of the job wait.
            connection.execute(schema.jobs.update().where(*_is(schema.jobs, key)).values(job_id=job_id.id))
            bill = self._read(connection, key)
            fresh = priced(bill) if bill else None
            if bill is None or fresh is None or fresh == bill:
                return
            self._keep(connection, key, bill.line_items, fresh.line_items)
            items = [{**key, **item_row(item)} for item in fresh.line_items]
            _replace(connection, schema.line_items, key, items)
            _replace(connection, schema.job_sums, key, part_rows(bill.job, bill.day, fresh.line_items))
            changed = {**stored_sums(fresh.line_items), "flags": list(fresh.flags)}
            connection.execute(schema.jobs.update().where(*_is(schema.jobs, key)).values(**changed))
        self._on_bill(fresh, bill.total)

    def _line_items(self, connection: Connection, key: Mapping[str, str]) -> list[LineItem]:
        items = connection.execute(select(schema.line_items).where(*_is(schema.line_items, key))).all()
        return sorted((read_line_item(row._mapping) for row in items), key=line_order)  # noqa: SLF001

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
            rows = [{**key, "replaced_at": now, **item_row(item)} for item in old]
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

    def record_delivery(self, delivery: Delivery, *, files_changed: bool, unless_at: str = "") -> None:
        """Store the numbers of a delivery, replacing earlier ones of the same task.

        Without changed files or numbers, nothing is written.

        :param files_changed: whether its files were written; False if the same ones were in their place.
        :param unless_at: where a better delivery of the same task is, if this one is beside it. The numbers
            of that one stay.
        """
        row = asdict(delivery)
        del row["replaced_by"], row["replaces"]
        with self.writing() as connection:
            key = {column.name: row[column.name] for column in schema.deliveries.primary_key}
            better = _is(schema.deliveries, {**key, "answers_uri": unless_at})
            if unless_at and connection.execute(select(schema.deliveries.c.run_id).where(*better)).first():
                return
            unless_equal_but = "" if files_changed else "delivered_at"
            upsert(connection, schema.deliveries, row, unless_equal_but=unless_equal_but)

    def move_delivery(self, dag_id: str, run_id: str, answers_uri: str, to: Mapping[str, str]) -> None:
        """Store where the files of a delivery are now; nothing changes if it is not known at its old address.

        :param to: the new values of `answers_uri`, `exceptions_uri` and `manifest_uri`.
        """
        which = _is(schema.deliveries, {"dag_id": dag_id, "run_id": run_id, "answers_uri": answers_uri})
        with self.writing() as connection:
            connection.execute(schema.deliveries.update().where(*which).values(**to))
            beside = _is(schema.deliveries, {"dag_id": dag_id, "kept_at": answers_uri})
            connection.execute(schema.deliveries.update().where(*beside).values(kept_at=to["answers_uri"]))


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
