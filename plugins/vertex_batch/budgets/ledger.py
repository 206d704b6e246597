"""What was estimated and reserved, beside the bills in the cost table: claims on budgets.

A claim is weighed and written in one transaction that only one process at a time can be in, so two jobs that
begin at the same moment never both take what is left of a budget.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import sqlalchemy as sa  # noqa: TID253 - never imported by a DAG parse
from sqlalchemy.types import NullType  # noqa: TID253

from vertex_batch.budgets.decision import Decision, Sums, UnbilledJob
from vertex_batch.budgets.estimating import Estimate
from vertex_batch.budgets.limits import Account, BudgetRequest, Payer, Ruling, RunKey, Window
from vertex_batch.costs.bill import Bill, Total
from vertex_batch.costs.database import upsert
from vertex_batch.costs.questions import JobCost
from vertex_batch.costs.rows import total_of
from vertex_batch.costs.schema import estimates, jobs, line_items, same_job
from vertex_batch.costs.table import CostTable
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import JobState

LONGEST_JOB = timedelta(days=5)
"""Vertex ends a job within 96 hours. A job without a bill by then gets none, and its reservation expires."""
_LOCK = 7_302_117_564_091_847  # PostgreSQL advisory locks are numbers; this one is ours

_COLUMNS = {
    "low_picousd": "low",
    "high_picousd": "high",
    "rows_input": "rows",
    "input_bytes": "size",
    **{name: name for name in ("input_tokens", "output_tokens", "answer_limit", "method")},
}
"""The column of each field of an estimate that is stored as it is."""


@dataclass(frozen=True, slots=True)
class StoredEstimate:
    """What was expected of a job, as kept."""

    estimate: Estimate
    verdict: Ruling
    reason: str
    approved_by: str
    estimated_at: datetime

    def compare(self, bill: Bill | JobCost) -> str:
        return self.estimate.compare(bill.total, has_ended_well=bill.job.state == JobState.SUCCEEDED)

    def outcome(self, bill: Bill) -> str:
        """How the bill compares with the estimate; see `Estimate.outcome`."""
        has_ended_well = bill.job.state == JobState.SUCCEEDED
        return self.estimate.outcome(bill.total, has_ended_well=has_ended_well, failed=bill.rows.failed)

    def beside(self, bill: Bill) -> str:
        """The estimate, and how the bill compares with it."""
        outcome = self.outcome(bill)
        return f"{self.estimate}; the bill is {outcome}" if outcome else str(self.estimate)


class Ledger:
    """Claims on budgets, kept in one cost table."""

    def __init__(self, table: CostTable, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._table, self._now = table, now

    def claim(
        self,
        budget_request: BudgetRequest,
        estimate: Estimate,
        accounts: Iterable[Account],
        weigh: Callable[[Mapping[Account, Sums]], Decision],
        *,
        approved_by: str = "",
        approved: Callable[[Decision], bool] = lambda _: False,
    ) -> Decision:
        """Weigh a job against what its accounts have been charged with, and reserve what it will cost.

        Claiming again under the same key replaces the claim. Released is what the task reserved before it was
        cleared, for a job that was never created. A claim that is held or refused is kept with its reason and
        reserves nothing.

        :param weigh: the decision over the sums.
        :param approved: whether a person approved a held job.
        """
        now, run = self._now(), RunKey(budget_request.dag_id, budget_request.run_id)
        with self._table.writing() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            c, mine = estimates.c, ("dag_id", "run_id", "task_id", "map_index")
            earlier = [c[name] == getattr(budget_request, name) for name in mine]
            _release(connection, now, *earlier, c.job_key != budget_request.job_key)
            sums = {
                account: _sums(connection, account, run, now, budget_request.job_key) for account in accounts
            }
            decision = weigh(sums)
            goes = decision.verdict in {Ruling.GO, Ruling.WARN} or approved(decision)
            row = {
                **asdict(budget_request),
                **_estimate_row(estimate),
                "job_id": None,
                "verdict": str(decision.verdict),
                "reason": decision.message,
                "approved_by": approved_by,
                "estimated_at": now,
                "released_at": None if goes else now,
            }
            upsert(connection, estimates, row)
        return decision

    def submitted(self, job_key: str, job_id: str) -> None:
        """Store the id of the job that a claim led to. No-op if the job was never claimed."""
        with self._table.writing() as connection:
            mine = estimates.c.job_key == job_key
            connection.execute(estimates.update().where(mine).values(job_id=job_id, released_at=None))

    def release(self, dag_id: str, run_id: str, task_id: str, map_index: int | None = None) -> None:
        """Release what a task reserved for jobs that were never created.

        :param map_index: of one mapped task instance; None: of all.
        """
        c = estimates.c
        mine = [c.dag_id == dag_id, c.run_id == run_id, c.task_id == task_id]
        mine += [] if map_index is None else [c.map_index == map_index]
        with self._table.writing() as connection:
            _release(connection, self._now(), *mine)

    def of_job(self, job_id: JobId) -> StoredEstimate | None:
        """A job's estimate; None if there is none."""
        return self.of_jobs([job_id]).get(job_id)

    def of_jobs(self, job_ids: Collection[JobId]) -> dict[JobId, StoredEstimate]:
        if not job_ids:
            return {}
        wanted, c = set(job_ids), estimates.c
        # One index serves these, which it does not for a list of whole keys in SQLite.
        parts = zip((c.project, c.location, c.job_id), zip(*wanted, strict=True), strict=True)
        asked = sa.select(estimates).where(*(column.in_(sorted(set(values))) for column, values in parts))
        with self._table.reading() as connection:
            found = {JobId(row.project, row.location, row.job_id): row for row in connection.execute(asked)}
        return {key: _stored(row) for key, row in found.items() if key in wanted}

    def unbilled(self) -> list[UnbilledJob]:
        """Jobs that were created, or are being created, and have no bill yet; the oldest first."""
        return self._waiting(*self._open())

    def unbilled_like(self, new: BudgetRequest, estimate: Estimate) -> list[UnbilledJob]:
        """Those of them that another run has for the same task, model, rows and size of the input."""
        c, names = estimates.c, ("project", "location", "model", "dag_id", "task_id", "map_index")
        same = [c[name] == getattr(new, name) for name in names]
        same += [c.rows_input == estimate.rows, c.input_bytes == estimate.size, c.run_id != new.run_id]
        return self._waiting(*self._open(), *same) if estimate.size else []

    def _open(self) -> tuple[sa.ColumnElement[bool], ...]:
        c = estimates.c
        return c.released_at.is_(None), c.estimated_at >= self._now() - LONGEST_JOB, ~_billed()

    def kept_back(self, day: date) -> list[UnbilledJob]:
        """Jobs that budgets held or refused on a day (UTC) and that were not submitted since."""
        begins = datetime.combine(day, time(), UTC)
        c = estimates.c
        stopped = (c.verdict.in_(("hold", "refuse")), c.released_at.is_not(None), c.job_id.is_(None))
        return self._waiting(*stopped, c.estimated_at >= begins, c.estimated_at < begins + timedelta(days=1))

    def _waiting(self, *where: sa.ColumnElement[bool]) -> list[UnbilledJob]:
        asked = sa.select(estimates).where(*where).order_by(estimates.c.estimated_at)
        with self._table.reading() as connection:
            return [
                UnbilledJob(
                    row.dag_id,
                    row.run_id,
                    row.job_id or "",
                    Total(row.expected_picousd, complete=not row.unpriced),
                    row.verdict,
                    row.estimated_at,
                )
                for row in connection.execute(asked)
            ]

    def sums(self, account: Account, run: RunKey | None = None, *, day: date | None = None) -> Sums:
        """The amounts charged to an account until now.

        :param run: for `Window.RUN`.
        :param day: a day (UTC) of the period; None: today.
        """
        with self._table.reading() as connection:
            return _sums(connection, account, run, self._now(), day=day)


def _release(connection: sa.Connection, now: datetime, *which: sa.ColumnElement[bool]) -> None:
    """Release what is reserved for jobs that were never created."""
    unborn = (*which, estimates.c.job_id.is_(None), estimates.c.released_at.is_(None))
    connection.execute(estimates.update().where(*unborn).values(released_at=now))


def _sums(
    connection: sa.Connection,
    account: Account,
    run: RunKey | None,
    now: datetime,
    own_key: str = "",
    *,
    day: date | None = None,
) -> Sums:
    span = account.period.span(datetime.combine(day, time(), UTC) if day else now)
    estimated = estimates.c.estimated_at
    pico = sa.func.sum(line_items.c.amount_picousd, type_=NullType())
    unpriced = sa.func.count(line_items.c.kind) - sa.func.count(line_items.c.amount_picousd)
    created = [_is_created_in(span)] if span else []
    spent = connection.execute(
        sa.select(pico, unpriced)
        .select_from(jobs.join(line_items, same_job(line_items, jobs)))
        .where(*_whose(jobs.c, account, run), *created)
    ).one()
    c = estimates.c
    reserved = connection.execute(
        sa.select(sa.func.sum(c.expected_picousd, type_=NullType()), sa.func.sum(c.unpriced)).where(
            *_whose(c, account, run),
            c.released_at.is_(None),
            c.job_key != own_key,
            estimated >= now - LONGEST_JOB,
            *([_is_in(span, estimated)] if span else []),
            ~_billed(),
        )
    ).one()
    return Sums(total_of(*spent), total_of(*reserved))


def _billed() -> sa.ColumnElement[bool]:
    return sa.exists().where(same_job(jobs, estimates))


def _is_in(span: tuple[datetime, datetime], column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.and_(column >= span[0], column < span[1])


def _is_created_in(span: tuple[datetime, datetime]) -> sa.ColumnElement[bool]:
    """A job that was gone before its creation could be read counts from its recording."""
    unknown = sa.and_(jobs.c.create_time.is_(None), _is_in(span, jobs.c.recorded_at))
    return sa.or_(_is_in(span, jobs.c.create_time), unknown)


def _whose(columns: Any, account: Account, run: RunKey | None) -> list[sa.ColumnElement[bool]]:
    found = []
    if account.payer is Payer.SPEC:
        found.append(columns.spec == account.name)
    elif account.payer is Payer.TEAM:
        found.append(columns.team == account.name)
    if account.period is Window.RUN:
        dag_id, run_id = run or ("", "")
        found += [columns.dag_id == dag_id, columns.run_id == run_id]
    return found


def _estimate_row(estimate: Estimate) -> dict[str, object]:
    return {
        "expected_picousd": estimate.expected.amount,
        "unpriced": int(not estimate.expected.complete),
        "unknown": list(estimate.unknown),
        **{column: getattr(estimate, name) for column, name in _COLUMNS.items()},
    }


def _stored(row: sa.Row[Any]) -> StoredEstimate:
    kept = Estimate(
        expected=Total(row.expected_picousd, complete=not row.unpriced),
        unknown=tuple(row.unknown),
        **{name: getattr(row, column) for column, name in _COLUMNS.items()},
    )
    return StoredEstimate(kept, Ruling(row.verdict), row.reason, row.approved_by, row.estimated_at)
