"""Output files -> rows -> usage: how many tokens of which kind a job used, and what could not be read."""

from vertex_batch.usage.files import (
    InputFacts,
    choose_files,
    input_facts,
    output_files,
    scan_output,
)
from vertex_batch.usage.models import canonical_model, is_billed_by_character, is_tuned_model
from vertex_batch.usage.places import find_outputs, scan_outputs
from vertex_batch.usage.progress import OnProgress, Progress, at_most_every
from vertex_batch.usage.scan import LONG_CONTEXT_THRESHOLD, Scanner, ScanOptions, count_rows, scan_file
from vertex_batch.usage.selfcheck import self_check
from vertex_batch.usage.types import (
    CacheTtl,
    Kind,
    Modality,
    RowProblem,
    ScanResult,
    Tier,
    Unit,
    UsageKey,
)

__all__ = [
    "LONG_CONTEXT_THRESHOLD",
    "CacheTtl",
    "InputFacts",
    "Kind",
    "Modality",
    "OnProgress",
    "Progress",
    "RowProblem",
    "ScanOptions",
    "ScanResult",
    "Scanner",
    "Tier",
    "Unit",
    "UsageKey",
    "at_most_every",
    "canonical_model",
    "choose_files",
    "count_rows",
    "find_outputs",
    "input_facts",
    "is_billed_by_character",
    "is_tuned_model",
    "output_files",
    "scan_file",
    "scan_output",
    "scan_outputs",
    "self_check",
]
