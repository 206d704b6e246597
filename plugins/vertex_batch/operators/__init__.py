"""Airflow operators: submit, cancel, and record what a job cost."""

from vertex_batch.operators.cancel import CancelBatchPredictionJobOperator
from vertex_batch.operators.reap import ReapBatchPredictionJobsOperator
from vertex_batch.operators.record import AggregateTokenUsageOperator
from vertex_batch.operators.submit import SubmitBatchPredictionJobOperator

__all__ = [
    "AggregateTokenUsageOperator",
    "CancelBatchPredictionJobOperator",
    "ReapBatchPredictionJobsOperator",
    "SubmitBatchPredictionJobOperator",
]
