"""Airflow operators: submit, adopt and cancel jobs, record costs, send rows again, deliver answers; more."""

from vertex_batch.operators.adopt import AdoptBatchPredictionJobOperator
from vertex_batch.operators.announce import AnnounceResultsOperator, CheckTasksOperator
from vertex_batch.operators.cancel import CancelBatchPredictionJobOperator
from vertex_batch.operators.deliver import DeliverResultsOperator
from vertex_batch.operators.digest import SpendDigestOperator
from vertex_batch.operators.plan import PlanInputsOperator
from vertex_batch.operators.reap import ReapBatchPredictionJobsOperator
from vertex_batch.operators.recalculate import RecountJobsOperator, RepriceJobsOperator
from vertex_batch.operators.record import AggregateTokenUsageOperator
from vertex_batch.operators.retry_rows import PrepareRetryOperator
from vertex_batch.operators.submit import SubmitBatchPredictionJobOperator
from vertex_batch.tasks.gate import BudgetSettings

__all__ = [
    "AdoptBatchPredictionJobOperator",
    "AggregateTokenUsageOperator",
    "AnnounceResultsOperator",
    "BudgetSettings",
    "CancelBatchPredictionJobOperator",
    "CheckTasksOperator",
    "DeliverResultsOperator",
    "PlanInputsOperator",
    "PrepareRetryOperator",
    "ReapBatchPredictionJobsOperator",
    "RecountJobsOperator",
    "RepriceJobsOperator",
    "SpendDigestOperator",
    "SubmitBatchPredictionJobOperator",
]
