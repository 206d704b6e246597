"""Job specs: YAML files that become DAGs. Everything but building DAGs works without Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vertex_batch.run_dates import TEMPLATE_DATES, template_dates
from vertex_batch.specs.load import (
    SpecSet,
    check_text,
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
from vertex_batch.specs.schema import json_schema
from vertex_batch.specs.whereabouts import job_places

if TYPE_CHECKING:
    from vertex_batch.specs.bills import bill_settings
    from vertex_batch.specs.dag import build_dag, build_dags

__all__ = [
    "TEMPLATE_DATES",
    "BrokenSpecsError",
    "JobSpec",
    "Problem",
    "Spec",
    "SpecError",
    "SpecSet",
    "bill_settings",
    "build_dag",
    "build_dags",
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


def __getattr__(name: str) -> Any:
    # Airflow only where a DAG is made
    if name in ("build_dag", "build_dags"):
        from vertex_batch.specs import dag  # noqa: PLC0415

        return getattr(dag, name)
    if name == "bill_settings":
        from vertex_batch.specs.bills import bill_settings  # noqa: PLC0415

        return bill_settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
