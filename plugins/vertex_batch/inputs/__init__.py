"""Inputs of jobs: whether they fit into one job, how they are split otherwise, and samples of them."""

from vertex_batch.inputs.measuring import Measured, Measurer, may_be_answered, measure, rows_in
from vertex_batch.inputs.parts import (
    RETRY_LABEL,
    RETRY_OF_LABEL,
    SAMPLE_LABEL,
    SHARD_LABEL,
    SHARDS_GROUP,
    InputPart,
    PartKind,
    file_pattern,
    group_of,
    is_group_name,
    retry_group,
)
from vertex_batch.inputs.planning import (
    Shard,
    make_shards,
    needs_no_copy,
    settle,
)
from vertex_batch.inputs.plans import MAX_PLAN_BYTES, InputPlan, plan_of, whole_shard
from vertex_batch.inputs.sampling import MAX_SAMPLE_ROWS, Sample, draw
from vertex_batch.inputs.staging import SHARD_SUFFIX, Staged, StagingPlace, exists_with_size, stage
from vertex_batch.storage import SourceObject
from vertex_batch.vertex.limits import (
    EMBEDDING_ROWS,
    GENERATION_ROWS,
    TEXT_EMBEDDING_ROWS,
    JobLimits,
    limits_for,
)

__all__ = [
    "EMBEDDING_ROWS",
    "GENERATION_ROWS",
    "MAX_PLAN_BYTES",
    "MAX_SAMPLE_ROWS",
    "RETRY_LABEL",
    "RETRY_OF_LABEL",
    "SAMPLE_LABEL",
    "SHARDS_GROUP",
    "SHARD_LABEL",
    "SHARD_SUFFIX",
    "TEXT_EMBEDDING_ROWS",
    "InputPart",
    "InputPlan",
    "JobLimits",
    "Measured",
    "Measurer",
    "PartKind",
    "Sample",
    "Shard",
    "SourceObject",
    "Staged",
    "StagingPlace",
    "draw",
    "exists_with_size",
    "file_pattern",
    "group_of",
    "is_group_name",
    "limits_for",
    "make_shards",
    "may_be_answered",
    "measure",
    "needs_no_copy",
    "plan_of",
    "retry_group",
    "rows_in",
    "settle",
    "stage",
    "whole_shard",
]
