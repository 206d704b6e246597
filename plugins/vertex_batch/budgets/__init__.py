"""Budgets: what a job will probably cost, and whether its spec and team may spend that.

All of it is pure but `Ledger`. Only the words are imported at once, for specs; the rest, which brings prices
and SQLAlchemy along, when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from vertex_batch.budgets.limits import Account as Account
from vertex_batch.budgets.limits import Budget as Budget
from vertex_batch.budgets.limits import BudgetRequest as BudgetRequest
from vertex_batch.budgets.limits import BudgetRules as BudgetRules
from vertex_batch.budgets.limits import Limit as Limit
from vertex_batch.budgets.limits import Payer as Payer
from vertex_batch.budgets.limits import Ruling as Ruling
from vertex_batch.budgets.limits import RunKey as RunKey
from vertex_batch.budgets.limits import Window as Window

if TYPE_CHECKING:
    from vertex_batch.budgets.decision import Decision as Decision
    from vertex_batch.budgets.decision import Guess as Guess
    from vertex_batch.budgets.decision import Sums as Sums
    from vertex_batch.budgets.decision import decide as decide
    from vertex_batch.budgets.decision import decision_on as decision_on
    from vertex_batch.budgets.decision import within_approval as within_approval
    from vertex_batch.budgets.estimating import Estimate as Estimate
    from vertex_batch.budgets.estimating import estimate as estimate
    from vertex_batch.budgets.estimating import unknown_estimate as unknown_estimate
    from vertex_batch.budgets.history import NewRows as NewRows
    from vertex_batch.budgets.history import past_jobs as past_jobs
    from vertex_batch.budgets.ledger import Ledger as Ledger
    from vertex_batch.budgets.ledger import StoredEstimate as StoredEstimate
    from vertex_batch.budgets.past import PastJob as PastJob
    from vertex_batch.budgets.past import describe_past as describe_past
    from vertex_batch.budgets.past import past_costs as past_costs
    from vertex_batch.budgets.sampling import survey_input as survey_input
    from vertex_batch.budgets.survey import Survey as Survey
    from vertex_batch.budgets.survey import Totals as Totals
    from vertex_batch.budgets.survey import summarize as summarize

_ROOMS = {
    **dict.fromkeys(("Decision", "Guess", "Sums", "decide", "decision_on", "within_approval"), "decision"),
    **dict.fromkeys(("Estimate", "estimate", "unknown_estimate"), "estimating"),
    **dict.fromkeys(("Ledger", "StoredEstimate"), "ledger"),
    **dict.fromkeys(("PastJob", "describe_past", "past_costs"), "past"),
    **dict.fromkeys(("NewRows", "past_jobs"), "history"),
    "survey_input": "sampling",
    **dict.fromkeys(("Survey", "Totals", "summarize"), "survey"),
}


def __getattr__(name: str) -> object:
    if name in _ROOMS:
        return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
    raise AttributeError(name)
