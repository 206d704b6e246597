"""Shows broken job specs as an import error in Airflow's UI. It holds no DAG of its own.

Airflow reads this file because it names airflow and dag; the DAGs of good specs are those of
``vertex_batch_specs.py``, and stay as they are, whatever is raised here.
"""

from __future__ import annotations

from pathlib import Path

from vertex_batch.specs import build_dags, load_specs, specs_folder

_found = load_specs(specs_folder(Path(__file__).parent))
# Only for what Airflow itself would refuse. The DAGs are not kept: this file offers none.
build_dags(_found)
_found.raise_for_errors()
