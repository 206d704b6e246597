"""The DAGs of all job specs, and an import error that shows the broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

from airflow.sdk import DAG, get_parsing_context

from vertex_batch.dag_factory import build_dags
from vertex_batch.specs import SpecError, SpecSet, load_specs, prices_folder, specs_folder
from vertex_batch.specs.team_budgets import budgets_file, load_team_budgets


def spec_dags(file: str) -> dict[str, DAG]:
    """Build the DAGs of all valid specs, by the names of variables in the DAG file.

    A broken spec is left out and shown by `spec_errors` in another file, since an import error of this file
    would mark every DAG of it as stale. A task needs only its own DAG. The DAG processor needs all of them
    and has no DAG id here.

    :param file: the DAG file, beside whose folder the specs are.
    """
    folder = specs_folder(Path(file).parent)
    found = load_specs(folder, only=get_parsing_context().dag_id)
    return {
        f"dag_{dag.dag_id}": dag for dag in build_dags(found, prices_folder(folder), budgets_file(folder))
    }


def spec_errors(file: str) -> DAG | None:
    """Show broken job specs and budgets as an import error of the DAG file, which defines no DAG.

    :param file: the DAG file, beside whose folder the specs are.
    """
    folder = specs_folder(Path(file).parent)
    found = load_specs(folder)
    # Only to find what Airflow itself would refuse. The DAGs are discarded.
    build_dags(found)
    if budgets := budgets_file(folder):
        try:
            load_team_budgets(budgets)
        except SpecError as error:
            found.errors.append(error)
    return BrokenSpecs(found) if found.errors else None


class BrokenSpecs(DAG):
    """What Airflow refuses with the errors of specs.

    Airflow shows what a DAG's validation raises as it is, but what a DAG file raises below a traceback.
    """

    def __init__(self, found: SpecSet) -> None:
        super().__init__(dag_id="vertex_batch_spec_errors", schedule=None, auto_register=False)
        self._found = found

    def validate(self) -> NoReturn:
        """Raise the errors of the specs.

        :raises BrokenSpecsError: always.
        """
        self._found.raise_for_errors()
        raise AssertionError
