"""From an output to a delivery: join answers to their inputs, in order, and name every row without one."""

from vertex_batch.results.again import (
    Found,
    JobChain,
    RetryCollector,
    futile_reasons,
    stage_files,
    wanted_reasons,
)
from vertex_batch.results.costing import JobPrices
from vertex_batch.results.delivery_facts import (
    add_rounds,
    attempts_of,
    bill_facts,
    cost_difference,
    later_objects,
    of_paid_answers,
    other_prompts,
    output_of,
    total_of,
    why_bad,
    without_keys,
)
from vertex_batch.results.joining import Joined, join
from vertex_batch.results.placing import DeliveryBusyError, DeliveryPlace
from vertex_batch.results.schemas import read_schema
from vertex_batch.results.types import AnswerForm, AttemptOutput, Counts, ExtraKind, Reason, ResultSettings
from vertex_batch.results.writing import Written, deliver

__all__ = [
    "AnswerForm",
    "AttemptOutput",
    "Counts",
    "DeliveryBusyError",
    "DeliveryPlace",
    "ExtraKind",
    "Found",
    "JobChain",
    "JobPrices",
    "Joined",
    "Reason",
    "ResultSettings",
    "RetryCollector",
    "Written",
    "add_rounds",
    "attempts_of",
    "bill_facts",
    "cost_difference",
    "deliver",
    "futile_reasons",
    "join",
    "later_objects",
    "of_paid_answers",
    "other_prompts",
    "output_of",
    "read_schema",
    "stage_files",
    "total_of",
    "wanted_reasons",
    "why_bad",
    "without_keys",
]
