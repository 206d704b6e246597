"""What earlier runs of a spec's job used and cost, and what is charged to its budgets, for ``plan``."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vertex_batch.budgets import Window, describe_past, past_costs
from vertex_batch.costs import PaysAgain, paid_before
from vertex_batch.errors import VertexBatchError

if TYPE_CHECKING:
    from vertex_batch.budgets import Account, BudgetRules, PastJob, Sums
    from vertex_batch.cli.planning import Plan
    from vertex_batch.costs import CostTable
    from vertex_batch.storage import SourceObject


@dataclass(frozen=True, slots=True)
class History:
    """The jobs from which the budget check of a run would estimate this one.

    :param jobs: the latest first.
    :param problem: why they could not be read; empty if they were, or if no cost table exists yet.
    :param again: which run has answered the same inputs before; empty if none has, or if it is not certain.
    """

    jobs: Sequence[PastJob] = field(default_factory=tuple)
    problem: str = ""
    again: str = ""

    def lines(self) -> list[str]:
        """The history for a person; empty if there is none."""
        if self.problem:
            return [f"not read: {self.problem}"]
        return [text for text in (self.again, describe_past(self.jobs)) if text]

    def to_dict(self) -> dict[str, object]:
        """As plain data; amounts are decimal strings."""
        costs = past_costs(self.jobs)
        return {
            "jobs": len(self.jobs),
            "usd_per_thousand_rows": [cost.text for cost in costs],
            "complete": all(cost.complete for cost in costs),
            "problem": self.problem or None,
            "answered_before": self.again or None,
        }


def read_history(plan: Plan, url: str | None, objects: Sequence[SourceObject] = ()) -> History:
    """Read the earlier jobs of a plan's task and model. A table that cannot be read is not an error.

    :param url: of the cost table; None: the one of the spec's `cost_connection`.
    :param objects: of the plan's inputs.
    """
    try:
        return _read(plan, url, objects)
    except (ImportError, VertexBatchError) as error:
        return History(problem=why_unread(error))


def read_sums(plan: Plan, url: str | None, rules: BudgetRules) -> Mapping[Account, Sums]:
    """Read what is charged to the accounts of a plan's limits on its day. Empty without a cost table.

    A new run has spent nothing of its own.

    :param url: as for `read_history`.
    :raises VertexBatchError: the table cannot be read; or ImportError, likewise.
    """
    accounts = [each for each in rules.accounts if each.period is not Window.RUN]
    if not accounts or (table := _table(plan, url)) is None:
        return {}
    from vertex_batch.budgets import Ledger  # noqa: PLC0415 - it brings SQLAlchemy along

    ledger = Ledger(table)
    return {account: ledger.sums(account, day=plan.day) for account in accounts}


def why_unread(error: ImportError | VertexBatchError) -> str:
    """Why a cost table could not be read."""
    if isinstance(error, ImportError):
        return f"the Python module `{error.name}` is not installed"
    return str(error)


def _table(plan: Plan, url: str | None) -> CostTable | None:
    """The cost table; None if no run has created it yet."""
    from vertex_batch.cli.cost import MissingCostTableError, open_table  # noqa: PLC0415 - brings SQLAlchemy

    try:
        table = open_table(Namespace(url=url, cost_connection=plan.job.cost_connection))
    except MissingCostTableError:
        if url:
            raise
        return None
    return table if table.is_ready() else None


def _read(plan: Plan, url: str | None, objects: Sequence[SourceObject]) -> History:
    from vertex_batch.budgets import NewRows, past_jobs  # noqa: PLC0415 - it brings SQLAlchemy along

    table = _table(plan, url)
    if table is None:
        return History()
    group = f"{plan.job.name}." if plan.spec.grouped else ""
    answered = table.answered(plan.spec.name, plan.rendered.uris)
    written = [each.created for each in objects]
    again = paid_before(answered, written, PaysAgain.WOULD_PAY)
    rows = plan.sample.of_rows if plan.sample else plan.report.rows if plan.report else None
    same = NewRows(plan.rendered.uris, written, rows)
    past = past_jobs(table, plan.spec.name, f"{group}submit", plan.request.model, same)
    return History(past, again=again)
