"""What a job reads: whether it fits into one, how it is split where it does not, and a sample of it."""

from vertex_batch.inputs.limits import (
    EMBEDDING_ROWS,
    GENERATION_ROWS,
    TEXT_EMBEDDING_ROWS,
    JobLimits,
    limits_for,
)
from vertex_batch.inputs.measuring import Measured, lines, measure, open_object, unpacked
from vertex_batch.inputs.parts import SHARDS_GROUP, InputPart, PartKind, file_pattern, group_of
from vertex_batch.inputs.planning import (
    Shard,
    SourceObject,
    fits_as_it_lies,
    literal_wildcard_problem,
    make_shards,
    without_doubles,
)
from vertex_batch.inputs.sampling import MAX_SAMPLE_ROWS, Sample, draw
from vertex_batch.inputs.staging import SHARD_SUFFIX, Staged, StagingPlace, is_there, stage, write

__all__ = [
    "EMBEDDING_ROWS",
    "GENERATION_ROWS",
    "MAX_SAMPLE_ROWS",
    "SHARDS_GROUP",
    "SHARD_SUFFIX",
    "TEXT_EMBEDDING_ROWS",
    "InputPart",
    "JobLimits",
    "Measured",
    "PartKind",
    "Sample",
    "Shard",
    "SourceObject",
    "Staged",
    "StagingPlace",
    "draw",
    "file_pattern",
    "fits_as_it_lies",
    "group_of",
    "is_there",
    "limits_for",
    "lines",
    "literal_wildcard_problem",
    "make_shards",
    "measure",
    "open_object",
    "stage",
    "unpacked",
    "without_doubles",
    "write",
]
