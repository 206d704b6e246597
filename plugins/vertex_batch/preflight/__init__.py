"""Check a job before it costs money: its rows, its model, its inputs and its output."""

from vertex_batch.preflight.check import (
    CheckedRows,
    Storage,
    Subject,
    inspect,
    listing_of,
    preflight,
    report_data,
)
from vertex_batch.preflight.findings import Finding, Mode, PreflightError, Report, Severity
from vertex_batch.preflight.rows import RowCheck
from vertex_batch.preflight.shapes import Shape, shape_of

__all__ = [
    "CheckedRows",
    "Finding",
    "Mode",
    "PreflightError",
    "Report",
    "RowCheck",
    "Severity",
    "Shape",
    "Storage",
    "Subject",
    "inspect",
    "listing_of",
    "preflight",
    "report_data",
    "shape_of",
]
