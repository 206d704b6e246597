"""Budgets: what a job will probably cost, and whether its spec and team may spend that.

All of it is pure but `Ledger`. Only the words are imported at once, for specs; the rest, which brings prices
and SQLAlchemy along, when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vertex_batch.budgets.limits import Account, Budget, BudgetRequest, Limit, Payer, Ruling, RunKey, Window

if TYPE_CHECKING:
    from vertex_batch.budgets.decision import Decision, Guess, Sums, decide, within_approval
    from vertex_batch.budgets.estimating import Estimate, estimate, unknown_estimate
    from vertex_batch.budgets.history import NewRows, past_jobs
    from vertex_batch.budgets.ledger import Ledger, StoredEstimate
    from vertex_batch.budgets.past import PastJob, describe_past, past_costs
    from vertex_batch.budgets.sampling import survey_input
    from vertex_batch.budgets.survey import Survey, Totals, summarize

__all__ = [
    "Account",
    "Budget",
    "BudgetRequest",
    "Decision",
    "Estimate",
    "Guess",
    "Ledger",
    "Limit",
    "NewRows",
    "PastJob",
    "Payer",
    "Ruling",
    "RunKey",
    "StoredEstimate",
    "Sums",
    "Survey",
    "Totals",
    "Window",
    "decide",
    "describe_past",
    "estimate",
    "past_costs",
    "past_jobs",
    "summarize",
    "survey_input",
    "unknown_estimate",
    "within_approval",
]

_ROOMS = {
    **dict.fromkeys(("Decision", "Guess", "Sums", "decide", "within_approval"), "decision"),
    **dict.fromkeys(("Estimate", "estimate", "unknown_estimate"), "estimating"),
    **dict.fromkeys(("Ledger", "StoredEstimate"), "ledger"),
    **dict.fromkeys(("PastJob", "describe_past", "past_costs"), "past"),
    **dict.fromkeys(("NewRows", "past_jobs"), "history"),
    "survey_input": "sampling",
    **dict.fromkeys(("Survey", "Totals", "summarize"), "survey"),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(name)
