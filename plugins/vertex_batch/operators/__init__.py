"""Airflow operators: submit, adopt, cancel, and record a job's cost; reprice and recount recorded jobs."""

from vertex_batch.operators.adopt import AdoptBatchPredictionJobOperator
from vertex_batch.operators.announce import AnnounceResultsOperator
from vertex_batch.operators.cancel import CancelBatchPredictionJobOperator
from vertex_batch.operators.digest import SpendDigestOperator
from vertex_batch.operators.plan import PlanInputsOperator
from vertex_batch.operators.reap import ReapBatchPredictionJobsOperator
from vertex_batch.operators.record import AggregateTokenUsageOperator
from vertex_batch.operators.recorded import RecountJobsOperator, RepriceJobsOperator
from vertex_batch.operators.submit import SubmitBatchPredictionJobOperator
from vertex_batch.tasks.gate import BudgetSettings

__all__ = [
    "AdoptBatchPredictionJobOperator",
    "AggregateTokenUsageOperator",
    "AnnounceResultsOperator",
    "BudgetSettings",
    "CancelBatchPredictionJobOperator",
    "PlanInputsOperator",
    "ReapBatchPredictionJobsOperator",
    "RecountJobsOperator",
    "RepriceJobsOperator",
    "SpendDigestOperator",
    "SubmitBatchPredictionJobOperator",
]
