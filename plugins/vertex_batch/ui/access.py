"""Who is asking, and which DAGs' costs that person may see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from fastapi import Depends

from vertex_batch.costs import CostTable, JobFilter

# On every route: 401 for nobody, 403 for somebody who may not see what plugins show.
signed_in = Depends(requires_access_view(AccessView.PLUGINS))


@dataclass(frozen=True, slots=True)
class Reader:
    """A signed-in person.

    :param dag_ids: the DAGs that this person may read.
    """

    dag_ids: frozenset[str]

    def may_see(self, dag_id: str) -> bool:
        return dag_id in self.dag_ids

    def narrow(self, table: CostTable, where: JobFilter) -> JobFilter:
        """Leave out jobs of DAGs that the reader may not see."""
        return replace(where, dag_ids=table.dag_ids() & self.dag_ids)

    def misses_some(self, table: CostTable) -> bool:
        """Whether jobs of other DAGs were recorded. Asked of all jobs: a search must not tell their names.

        Jobs of a DAG that was deleted from Airflow are among them: nobody can tell any more who may see it.
        """
        return not table.dag_ids() <= self.dag_ids


def _reader(user: GetUserDep) -> Reader:
    return Reader(frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET")))


CurrentReader = Annotated[Reader, Depends(_reader)]
