"""Job specs: a YAML file -> `Spec`. Works without Airflow; `vertex_batch.dag_factory` makes the DAGs."""

from vertex_batch.specs.load import (
    SpecSet,
    check_text,
    job_places,
    load_files,
    load_spec,
    load_specs,
    prices_folder,
    spec_files,
    specs_folder,
)
from vertex_batch.specs.model import JobSpec, Spec
from vertex_batch.specs.parse import spec_of
from vertex_batch.specs.problems import BrokenSpecsError, Problem, SpecError
from vertex_batch.specs.run_dates import TEMPLATE_DATES, template_dates
from vertex_batch.specs.schema import json_schema

__all__ = [
    "TEMPLATE_DATES",
    "BrokenSpecsError",
    "JobSpec",
    "Problem",
    "Spec",
    "SpecError",
    "SpecSet",
    "check_text",
    "job_places",
    "json_schema",
    "load_files",
    "load_spec",
    "load_specs",
    "prices_folder",
    "spec_files",
    "spec_of",
    "specs_folder",
    "template_dates",
]
