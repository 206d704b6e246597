"""The queries of the cost table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any, Self

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse

from vertex_batch.costs import migrations
from vertex_batch.costs.bill import JobFacts
from vertex_batch.costs.database import Database
from vertex_batch.costs.deliveries import NIGHT, Delivery, one_of_each_input, paid_after
from vertex_batch.costs.delivery_queries import (
    is_of_runs,
    read_current,
    read_deliveries,
    read_retries,
    select_ended_after,
    select_sent_again,
)
from vertex_batch.costs.focus import read_focus
from vertex_batch.costs.queries import conditions, read_total, select_jobs, select_totals, sum_of
from vertex_batch.costs.questions import (
    FocusVersion,
    Grouping,
    GroupTotal,
    JobCost,
    JobFilter,
    JobOrder,
    Owners,
    UnpricedUsage,
)
from vertex_batch.costs.rows import read_job_cost, read_usage_key
from vertex_batch.costs.schema import JOB_KEY, USAGE_KEY, deliveries, jobs, line_items, same_job, usage
from vertex_batch.usage import UsageKey
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import STATES_WITH_RESULTS

_JOBS_WITH_REASONS = 200
_JOBS_ANSWERED = 20


class CostReader:
    """Reads the bills of all jobs. It creates and upgrades the schema automatically on first use."""

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

    def is_ready(self) -> bool:
        """Whether the table exists with this code's schema version. Creates and upgrades nothing."""
        return self._database.exists() and migrations.is_current(self._database)

    @contextmanager
    def snapshot(self) -> Iterator[Self]:
        """The table as it is at one moment, for what reads much of it: the figures agree with each other."""
        self._prepare()
        with self._database.snapshot() as database:
            same = copy(self)
            same._database = database  # noqa: SLF001 - of its own copy
            yield same

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction for reading."""
        self._prepare()
        with self._database.read() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction for writing."""
        self._prepare()
        with self._database.write() as connection:
            yield connection

    def _prepare(self) -> None:
        if not self._ready and not migrations.is_current(self._database):
            self.migrate()
        self._ready = True

    def jobs(
        self,
        where: JobFilter | None = None,
        *,
        limit: int | None = None,
        offset: int = 0,
        sort: JobOrder = "day",
        ascending: bool = False,
    ) -> list[JobCost]:
        """Return jobs and their costs, by default with the latest first."""
        return self._jobs(select_jobs(where or JobFilter(), limit, offset, sort, ascending=ascending))

    def _jobs(self, asked: sa.Select[Any]) -> list[JobCost]:
        with self.reading() as connection:
            return [read_job_cost(row) for row in connection.execute(asked)]

    def jobs_of_runs(self, runs: Collection[tuple[str, str]]) -> list[JobCost]:
        """Return the jobs of some runs, each a DAG and a run."""
        return self._jobs(sa.select(jobs).where(is_of_runs(jobs, runs))) if runs else []

    def answered(
        self, spec: str, input_uris: Sequence[str], *, dag_id: str = "", run_id: str = ""
    ) -> list[JobCost]:
        """Return the latest jobs of a spec's runs that have answered rows of inputs with these URIs.

        :param dag_id: with `run_id` the run whose own jobs are not meant.
        """
        asked = (
            sa.select(jobs)
            .where(
                jobs.c.spec == spec,
                jobs.c.input_uris == list(input_uris),
                jobs.c.state.in_(sorted(STATES_WITH_RESULTS)),
                jobs.c.rows_ok > 0,
                jobs.c.run_id != "",
                sa.or_(jobs.c.dag_id != dag_id, jobs.c.run_id != run_id),
            )
            .order_by(sa.func.coalesce(jobs.c.create_time, jobs.c.recorded_at).desc())
            .limit(_JOBS_ANSWERED)
        )
        return self._jobs(asked)

    def recorded(self, keys: Collection[JobId]) -> frozenset[JobId]:
        """Return those of the jobs that have a bill."""
        if not keys:
            return frozenset()
        key = [jobs.c[name] for name in JOB_KEY]
        with self.reading() as connection:
            found = connection.execute(sa.select(*key).where(sa.tuple_(*key).in_(list(keys))))
            return frozenset(JobId(*row) for row in found)

    def owners(self) -> Owners:
        """Return the DAGs that submitted the jobs, and the specs of those that have no DAG."""
        # One index lookup per DAG instead of one per job.
        first = sa.select(sa.func.min(jobs.c.dag_id).label("dag_id")).cte("found", recursive=True)
        later = sa.select(sa.func.min(jobs.c.dag_id)).where(jobs.c.dag_id > first.c.dag_id).scalar_subquery()
        found = first.union_all(sa.select(later).where(first.c.dag_id.is_not(None)))
        with self.reading() as connection:
            asked = sa.select(found.c.dag_id).where(found.c.dag_id.is_not(None))
            dags = frozenset(connection.execute(asked).scalars())
            if "" not in dags:
                return Owners(dags)
            without_dag = sa.select(jobs.c.spec).where(jobs.c.dag_id == "").distinct()
            return Owners(dags - {""}, frozenset(connection.execute(without_dag).scalars()))

    def count(self, where: JobFilter) -> int:
        asked = sa.select(sa.func.count()).select_from(jobs).where(*conditions(where))
        with self.reading() as connection:
            return int(connection.execute(asked).scalar_one())

    def first_day(self, where: JobFilter) -> date | None:
        """Return the first day with a job, regardless of the filter's days; None without jobs."""
        asked = sa.select(jobs.c.day).where(*conditions(replace(where, since=None, until=None)))
        with self.reading() as connection:
            return connection.execute(asked.order_by(jobs.c.day).limit(1)).scalar()

    def failed_reasons(self, where: JobFilter) -> Counter[str]:
        """Return how many rows failed for which reason, in the latest jobs with failed rows."""
        by_run = self._failed_reasons(*conditions(where))
        return sum(by_run.values(), Counter[str]())

    def failed_reasons_of_runs(
        self, runs: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Counter[str]]:
        """Return the same of each of some runs, each a DAG and a run."""
        return self._failed_reasons(is_of_runs(jobs, runs)) if runs else {}

    def _failed_reasons(self, *which: sa.ColumnElement[bool]) -> Mapping[tuple[str, str], Counter[str]]:
        asked = sa.select(jobs.c.dag_id, jobs.c.run_id, jobs.c.failed_reasons).where(
            *which, jobs.c.rows_failed > 0
        )
        found: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        with self.reading() as connection:
            latest = asked.order_by(jobs.c.day.desc()).limit(_JOBS_WITH_REASONS)
            for dag_id, run_id, reasons in connection.execute(latest):
                found[dag_id, run_id].update(reasons)
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
        key = [usage.c.location, *(usage.c[name] for name in USAGE_KEY)]
        sums = sa.select(*key, sum_of(usage.c.tokens).label("tokens")).group_by(*key).order_by(*key)
        asked = sums.join_from(usage, jobs, same_job(usage, jobs)).where(*conditions(where))
        if models is not None:
            asked = asked.where(usage.c.model.in_(sorted(models)))
        with self.reading() as connection:
            for row in connection.execute(asked).mappings():
                yield row["location"], read_usage_key(row), int(row["tokens"])

    def priced_usage(self, where: JobFilter) -> Iterator[tuple[str, UsageKey, int, str, Decimal | None]]:
        """Yield billed tokens by location, usage key, price list, and price of one in USD; None: unknown."""
        c = line_items.c
        group = c.location, *(c[name] for name in USAGE_KEY), c.source, c.unit_price_picousd
        asked = sa.select(*group, sum_of(c.tokens).label("tokens")).group_by(*group).order_by(*group)
        asked = asked.join_from(line_items, jobs, same_job(line_items, jobs)).where(*conditions(where))
        with self.reading() as connection:
            for row in connection.execute(asked).mappings():
                price = row["unit_price_picousd"]
                yield row["location"], read_usage_key(row), int(row["tokens"]), row["source"], price

    def unpriced(self, where: JobFilter, *, limit: int = 20) -> list[UnpricedUsage]:
        """Return usage without a price, with the reasons, that of most jobs first."""
        group = line_items.c.model, line_items.c.kind, line_items.c.reason
        asked = (
            sa.select(
                *group, sa.func.count().label("jobs"), sa.func.sum(line_items.c.tokens, type_=sa.BigInteger)
            )
            .join_from(jobs, line_items, same_job(line_items, jobs))
            .where(
                # Jobs that are completely priced are skipped.
                sa.literal_column("cost_jobs.unpriced_line_items > 0"),
                line_items.c.amount_picousd.is_(None),
                *conditions(where),
            )
            .group_by(*group)
            .order_by(sa.func.count().desc(), *group)
            .limit(limit)
        )
        with self.reading() as connection:
            return [UnpricedUsage(*row) for row in connection.execute(asked)]

    def focus(
        self, where: JobFilter, version: FocusVersion = FocusVersion.V1_2
    ) -> Iterator[Sequence[str | int | None]]:
        """Yield the charges of some jobs in the columns of FOCUS: first the names, then each row.

        Usage without a price is left out, since FOCUS has no unknown cost; see `unpriced`.
        """
        with self.reading() as connection:
            yield from read_focus(connection, where, version)

    def deliveries(self, where: JobFilter) -> list[Delivery]:
        """Return what was delivered, in the order of the tasks.

        :param where: by DAG, run, spec and team; the other fields have to be empty.
        """
        with self.reading() as connection:
            return read_deliveries(connection, *conditions(where, deliveries))

    def deliveries_of_night(self, where: JobFilter) -> list[Delivery]:
        """Return what was delivered in the `NIGHT` that ends with the latest delivery, each input once.

        The deliveries of all runs that were paid for are among them, also one that is beside a better one, or
        that a later run has replaced; see `one_of_each_input`.

        :param where: see `deliveries`.
        :return: the ones with most exceptions first.
        """
        chosen = conditions(where, deliveries)
        until = sa.select(sa.func.max(deliveries.c.delivered_at)).where(*chosen)
        with self.reading() as connection:
            last = connection.execute(until).scalar_one()
            if last is None:
                return []
            found = read_deliveries(connection, *chosen, deliveries.c.delivered_at > last - NIGHT)
            return one_of_each_input(found, read_retries(connection, found))

    def sent_again(self, dag_id: str, of: Collection[str]) -> list[JobCost]:
        """Return the jobs of other runs that sent rows of some submit tasks of a run again, the oldest first.

        :param of: the keys of these tasks, which their jobs have as a label.
        """
        return self._jobs(select_sent_again(dag_id, of))

    def delivered_again(self, runs: Collection[tuple[str, str]]) -> list[Delivery]:
        """Return what the runs delivered that sent rows of some runs again, the oldest first.

        :param runs: each a DAG and a run.
        """
        # As its index says.
        is_retry: sa.ColumnElement[bool] = sa.literal_column("cost_deliveries.retry_of <> ''")
        of_runs = sa.and_(is_retry, sa.tuple_(deliveries.c.dag_id, deliveries.c.retry_of).in_(sorted(runs)))
        with self.reading() as connection:
            found = read_deliveries(connection, of_runs) if runs else []
        return sorted(found, key=lambda each: each.delivered_at)

    def current_deliveries(
        self, addresses: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], Delivery]:
        """Return the delivery that is at each of some addresses now, each a DAG and an address of answers."""
        with self.reading() as connection:
            return read_current(connection, addresses)

    def paid_after_deliveries(self, where: JobFilter) -> list[list[JobCost]]:
        """Return, for each run that has such, its jobs that ended after its delivery; see `paid_after`."""
        with self.reading() as connection:
            found = connection.execute(select_ended_after(*conditions(where)).limit(_JOBS_ANSWERED)).all()
        runs = [(row.dag_id, row.run_id) for row in found]
        of_runs = self.jobs_of_runs(runs)
        by_run = self.deliveries_of_runs(runs)
        of_run = {run: [one for one in of_runs if (one.job.dag_id, one.job.run_id) == run] for run in runs}
        late = (paid_after(by_run.get(run, ()), mine) for run, mine in of_run.items())
        return [each for each in late if each]

    def deliveries_of(self, job: JobFacts) -> list[Delivery]:
        """Return the deliveries of a job's run that can contain answers of the job."""
        return self.deliveries_of_jobs([job])[job.key]

    def deliveries_of_jobs(self, asked: Sequence[JobFacts]) -> Mapping[JobId, list[Delivery]]:
        """Return the same of each of some jobs."""
        by_run = self.deliveries_of_runs(
            {(job.dag_id, job.run_id) for job in asked if job.dag_id and job.run_id}
        )
        return {
            job.key: [each for each in by_run.get((job.dag_id, job.run_id), ()) if each.is_of(job)]
            for job in asked
        }

    def deliveries_of_runs(
        self, runs: Collection[tuple[str, str]]
    ) -> Mapping[tuple[str, str], list[Delivery]]:
        """Return all deliveries of each of some runs, each a DAG and a run; nothing of a run without any."""
        by_run: dict[tuple[str, str], list[Delivery]] = {}
        with self.reading() as connection:
            found = read_deliveries(connection, is_of_runs(deliveries, runs)) if runs else []
        for each in found:
            by_run.setdefault((each.dag_id, each.run_id), []).append(each)
        return by_run
