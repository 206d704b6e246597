"""What the cost table is asked, and what it answers: plain data, without SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from vertex_batch.costs.bill import JobFacts, RowCounts, Total, add_totals
from vertex_batch.vertex.names import JobName

Grouping = Literal[
    "job",
    "spec",
    "day",
    "spec_day",
    "model_day",
    "team_day",
    "kind_day",
    "model",
    "kind",
    "team",
    "dag",
    "project",
    "location",
    "state",
]
JobOrder = Literal["day", "cost", "failed", "spec", "state"]
UNKNOWN_SAVED = Total(Decimal(0), complete=False)


class FocusVersion(StrEnum):
    """A version of the FinOps Open Cost and Usage Specification that the cost table can be exported in."""

    V1_2 = "1.2"
    V1_4 = "1.4"

    @property
    def view(self) -> str:
        """The view of the cost table with the columns of this version."""
        return f"focus_{self.replace('.', '_')}"


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Selects jobs; an empty field does not restrict.

    :param model: jobs created with this model, as the job names it.
    :param since: first day, inclusive.
    :param until: last day, inclusive.
    :param ended: the UTC day on which the job ended, which may be later than its day.
    :param dag_ids: only jobs of these DAGs; None: of all, empty: of none.
    :param specs_without_dag: besides those of `dag_ids`, jobs of these specs that have no DAG.
    :param text: case-insensitive substring of any name field.
    :param only: only jobs of these specs, or of these teams.
    :param but: only jobs of other specs, or of other teams.
    :param job_ids: only jobs with these ids; None: all, empty: none.
    :param named: only jobs with these names, as people write them; None: all, empty: none.
    :param incomplete: only jobs that ended without results, or whose output lacks rows of the input, and
        after which no other job of the same task of the same run has ended with results.
    """

    spec: str = ""
    team: str = ""
    dag_id: str = ""
    run_id: str = ""
    model: str = ""
    state: str = ""
    project: str = ""
    since: date | None = None
    until: date | None = None
    ended: date | None = None
    dag_ids: frozenset[str] | None = None
    specs_without_dag: frozenset[str] = frozenset()
    text: str = ""
    only: tuple[Literal["spec", "team"], frozenset[str]] | None = None
    but: tuple[Literal["spec", "team"], frozenset[str]] | None = None
    job_ids: frozenset[str] | None = None
    named: frozenset[JobName] | None = None
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose jobs were recorded.

    :param dags: the DAGs that submitted jobs.
    :param specs: the specs of jobs without a DAG; empty text: of jobs that have no spec either.
    """

    dags: frozenset[str]
    specs: frozenset[str] = frozenset()

    @property
    def names(self) -> frozenset[str]:
        return self.dags | self.specs


@dataclass(frozen=True, slots=True)
class GroupTotal:
    """The cost of a group of jobs.

    :param group: the values that the group has in common, such as ``("nightly", date(2026, 11, 22))``.
    :param saved: the amount saved by batch; see `Bill.saved`.
    :param rows: of all its jobs; None by model and by kind, since a row may belong to several.
    """

    group: tuple[Any, ...]
    total: Total
    jobs: int
    tokens: int
    first_day: date
    last_day: date
    saved: Total = UNKNOWN_SAVED
    rows: RowCounts | None = None

    @property
    def per_thousand_rows(self) -> Total | None:
        """What a thousand answered rows cost; None if `rows` is None, or none was answered."""
        return self.total.per_thousand(self.rows.paid) if self.rows else None


@dataclass(frozen=True, slots=True)
class JobCost:
    """A job and what it cost, without its line items."""

    job: JobFacts
    rows: RowCounts
    total: Total
    tokens: int
    flags: tuple[str, ...]
    saved: Total = UNKNOWN_SAVED

    @property
    def per_thousand_rows(self) -> Total | None:
        """What a thousand answered rows cost; None if none was answered."""
        return self.total.per_thousand(self.rows.paid)


@dataclass(frozen=True, slots=True)
class UnpricedUsage:
    """Usage of one model and kind whose cost is unknown, for one reason.

    :param tokens: tokens, or queries; 0 if even that is unknown.
    """

    model: str
    kind: str
    reason: str
    jobs: int
    tokens: int


class PaysAgain(StrEnum):
    """What a run pays for answered inputs: before it, during it, after it, and after one without jobs."""

    WOULD_PAY = "a run would pay for them again"
    PAYS = "this run pays for them again"
    PAID = "this run has paid for them again"
    PAID_NOTHING = "this run would have paid for them again"


def paid_before(jobs: Sequence[JobCost], written: Sequence[datetime | None], pays: PaysAgain) -> str:
    """Say that an earlier run has answered the same inputs; empty if that is not certain.

    :param jobs: that have read inputs with the same URIs, the latest first; see `CostReader.answered`.
    :param written: when the objects of the inputs were written; None: unknown.
    :param pays: when it is said.
    """
    if not jobs:
        return ""
    last = jobs[0].job
    mine = [each for each in jobs if (each.job.dag_id, each.job.run_id) == (last.dag_id, last.run_id)]
    since = min(each.job.created_at for each in mine)
    if not written or any(moment is None or moment > since for moment in written):
        return ""
    answered = sum(each.rows.ok for each in mine)
    rows = sum(each.rows.input_rows or each.rows.total for each in mine)
    cost = add_totals(each.total for each in mine)
    return (
        f"These inputs were answered before by run {last.run_id} on {last.created_at:%Y-%m-%d}"
        f" ({answered:,} of {rows:,} rows, {cost}); {pays}."
    )
