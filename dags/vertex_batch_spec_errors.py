"""Shows broken job specs and budgets as an import error in Airflow's UI. It defines no DAG.

Airflow reads this file because it contains the words airflow and dag. The DAGs of valid specs are in
``vertex_batch_specs.py`` and are not affected by an error here.
"""

from __future__ import annotations

from pathlib import Path

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import SpecError, load_specs, specs_folder
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets

_folder = specs_folder(Path(__file__).parent)
_found = load_specs(_folder)
# Only to find what Airflow itself would refuse. The DAGs are discarded, because this file defines none.
build_dags(_found)
if _budgets := budgets_file(_folder):
    try:
        load_team_budgets(_budgets)
    except SpecError as _error:
        _found.errors.append(_error)
_found.raise_for_errors()
