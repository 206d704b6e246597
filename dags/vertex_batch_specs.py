"""One Airflow DAG for each job spec in ``include/jobs/``: dropping a YAML file there is all it takes.

A broken spec is left out here and shown as an import error by ``vertex_batch_spec_errors.py``, since an
import error of this file would mark every DAG of it as stale.
"""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import get_parsing_context

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import load_specs, prices_folder, specs_folder
from vertex_batch.specs.team_budgets import budgets_file

# A task needs only its own DAG. The DAG processor needs all of them and has no DAG id here.
_folder = specs_folder(Path(__file__).parent)
_found = load_specs(_folder, only=get_parsing_context().dag_id)

for _dag in build_dags(_found, prices_folder(_folder), budgets_file(_folder)):
    globals()[f"dag_{_dag.dag_id}"] = _dag
