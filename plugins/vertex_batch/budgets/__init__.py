"""Budgets: what a job will probably cost, and whether its spec and team may spend that. Pure."""

from vertex_batch.budgets.decision import Decision, Sums, decide, within_approval
from vertex_batch.budgets.estimate import (
    DEFAULT_OUTPUT_TOKENS,
    HISTORY_RUNS,
    Estimate,
    PastJob,
    estimate,
    unknown_estimate,
)
from vertex_batch.budgets.limits import Account, Budget, Limit, Payer, Period, Verdict
from vertex_batch.budgets.survey import Survey, survey_input

__all__ = [
    "DEFAULT_OUTPUT_TOKENS",
    "HISTORY_RUNS",
    "Account",
    "Budget",
    "Decision",
    "Estimate",
    "Limit",
    "PastJob",
    "Payer",
    "Period",
    "Sums",
    "Survey",
    "Verdict",
    "decide",
    "estimate",
    "survey_input",
    "unknown_estimate",
    "within_approval",
]
