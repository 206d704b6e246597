"""From an output to a delivery: join answers to their inputs, in order, and name every row without one."""

from vertex_batch.results.again import JobChain, RetryCollector, stage_files
from vertex_batch.results.costing import JobPrices
from vertex_batch.results.joining import Joined, join
from vertex_batch.results.types import AnswerForm, AttemptOutput, Counts, ExtraKind, Reason, ResultSettings

__all__ = [
    "AnswerForm",
    "AttemptOutput",
    "Counts",
    "ExtraKind",
    "JobChain",
    "JobPrices",
    "Joined",
    "Reason",
    "ResultSettings",
    "RetryCollector",
    "join",
    "stage_files",
]
