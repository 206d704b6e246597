"""Shows broken job specs and budgets as an import error in Airflow's UI. It holds no DAG of its own.

Airflow reads this file because it names airflow and dag; the DAGs of good specs are those of
``vertex_batch_specs.py``, and stay as they are, whatever is raised here.
"""

from __future__ import annotations

from pathlib import Path

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import SpecError, load_specs, specs_folder
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets

_folder = specs_folder(Path(__file__).parent)
_found = load_specs(_folder)
# Only for what Airflow itself would refuse. The DAGs are not kept: this file offers none.
build_dags(_found)
if _budgets := budgets_file(_folder):
    try:
        load_team_budgets(_budgets)
    except SpecError as _error:
        _found.errors.append(_error)
_found.raise_for_errors()
