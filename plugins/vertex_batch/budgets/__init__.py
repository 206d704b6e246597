"""Budgets: what a job will probably cost, and whether its spec and team may spend that.

All of it is pure but `Ledger`. Only the words are imported at once, for specs; the rest, which brings prices
and SQLAlchemy along, when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vertex_batch.budgets.limits import Account, Budget, Claimant, Limit, Payer, Period, Verdict

if TYPE_CHECKING:
    from vertex_batch.budgets.decision import Decision, Sums, decide, within_approval
    from vertex_batch.budgets.estimating import (
        DEFAULT_OUTPUT_TOKENS,
        HISTORY_RUNS,
        Estimate,
        PastJob,
        estimate,
        unknown_estimate,
    )
    from vertex_batch.budgets.ledger import Ledger, StoredEstimate
    from vertex_batch.budgets.survey import Survey, survey_input

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

_ROOMS = {
    **dict.fromkeys(("Decision", "Sums", "decide", "within_approval"), "decision"),
    **dict.fromkeys(("DEFAULT_OUTPUT_TOKENS", "HISTORY_RUNS", "Estimate", "PastJob"), "estimating"),
    **dict.fromkeys(("estimate", "unknown_estimate"), "estimating"),
    **dict.fromkeys(("Ledger", "StoredEstimate"), "ledger"),
    **dict.fromkeys(("Survey", "survey_input"), "survey"),
}


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(name)
