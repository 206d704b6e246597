"""Check a job before it costs money: its rows, its model, its inputs and its output."""

from vertex_batch.preflight.check import CheckedRows as CheckedRows
from vertex_batch.preflight.check import RowRules as RowRules
from vertex_batch.preflight.check import Subject as Subject
from vertex_batch.preflight.check import inspect as inspect
from vertex_batch.preflight.check import listing_of as listing_of
from vertex_batch.preflight.check import preflight as preflight
from vertex_batch.preflight.check import report_data as report_data
from vertex_batch.preflight.findings import Mode as Mode
from vertex_batch.preflight.findings import PreflightError as PreflightError
from vertex_batch.preflight.findings import Report as Report
from vertex_batch.preflight.findings import Severity as Severity
from vertex_batch.preflight.keys import REQUEST_NAMES as REQUEST_NAMES
from vertex_batch.preflight.keys import camel_case as camel_case
from vertex_batch.preflight.keys import decoded as decoded
from vertex_batch.preflight.keys import is_missing as is_missing
from vertex_batch.preflight.keys import key_at as key_at
from vertex_batch.preflight.keys import key_hint as key_hint
from vertex_batch.preflight.keys import lacking_keys as lacking_keys
from vertex_batch.preflight.keys import likely_key as likely_key
from vertex_batch.preflight.keys import path_names as path_names
from vertex_batch.preflight.keys import value_at as value_at
from vertex_batch.preflight.places import NOT_LISTED as NOT_LISTED
from vertex_batch.preflight.rows import RowCheck as RowCheck
from vertex_batch.preflight.rows import not_an_object as not_an_object
from vertex_batch.preflight.rows import why_not_json as why_not_json
from vertex_batch.preflight.shapes import shape_of as shape_of
