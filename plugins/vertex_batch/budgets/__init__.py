"""Budgets: what a job will probably cost, and whether its spec and team may spend that.

All of it is pure but `Ledger`, which brings SQLAlchemy along; it is imported when it is first used, so that a
DAG file that imports an operator does not pay for it.
"""

from typing import TYPE_CHECKING, Any

from vertex_batch.budgets.decision import Decision, Sums, decide, within_approval
from vertex_batch.budgets.estimate import (
    DEFAULT_OUTPUT_TOKENS,
    HISTORY_RUNS,
    Estimate,
    PastJob,
    estimate,
    unknown_estimate,
)
from vertex_batch.budgets.limits import Account, Budget, Claimant, Limit, Payer, Period, Verdict
from vertex_batch.budgets.survey import Survey, survey_input

if TYPE_CHECKING:
    from vertex_batch.budgets.ledger import Ledger, StoredEstimate

__all__ = [
    "DEFAULT_OUTPUT_TOKENS",
    "HISTORY_RUNS",
    "Account",
    "Budget",
    "Claimant",
    "Decision",
    "Estimate",
    "Ledger",
    "Limit",
    "PastJob",
    "Payer",
    "Period",
    "StoredEstimate",
    "Sums",
    "Survey",
    "Verdict",
    "decide",
    "estimate",
    "survey_input",
    "unknown_estimate",
    "within_approval",
]


def __getattr__(name: str) -> Any:
    if name in ("Ledger", "StoredEstimate"):
        from vertex_batch.budgets import ledger  # noqa: PLC0415 - see above

        return getattr(ledger, name)
    raise AttributeError(name)
