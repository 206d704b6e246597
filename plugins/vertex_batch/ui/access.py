"""The signed-in user, the DAGs whose costs they may see, and the jobs they may cancel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from fastapi import Depends, HTTPException

from vertex_batch.costs import JobFilter

# On every route: 401 without a login, 403 for users who may not see the pages of plugins.
signed_in = Depends(requires_access_view(AccessView.PLUGINS))


@dataclass(frozen=True, slots=True)
class Reader:
    """A signed-in user.

    :param dag_ids: the DAGs that this user may read.
    :param user: Airflow's user object.
    """

    dag_ids: frozenset[str]
    user: Any

    @property
    def user_id(self) -> str:
        return str(self.user.get_id())

    @property
    def name(self) -> str:
        return str(self.user.get_name())

    def may_see(self, dag_id: str) -> bool:
        return dag_id in self.dag_ids

    def may_cancel(self, dag_id: str) -> bool:
        """Whether Airflow lets the user end runs of the DAG, which cancelling its job amounts to."""
        return self.may_see(dag_id) and get_auth_manager().is_authorized_dag(
            method="PUT",
            access_entity=DagAccessEntity.RUN,
            details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
            user=self.user,
        )

    def narrowed(self, recorded: frozenset[str], where: JobFilter) -> JobFilter:
        """Restrict a filter to what the user may see. A DAG that they may not see is treated as missing.

        :param recorded: the DAGs with recorded jobs.
        """
        if where.dag_id and not self.may_see(where.dag_id):
            raise HTTPException(404)
        return replace(where, dag_ids=recorded & self.dag_ids)

    def misses_some(self, recorded: frozenset[str]) -> bool:
        """Whether jobs of other DAGs were recorded. It ignores searches, which must not reveal their names.

        Jobs of a DAG that was deleted from Airflow are included, because its rights are no longer known.
        """
        return not recorded <= self.dag_ids


def _reader(user: GetUserDep) -> Reader:
    return Reader(frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET")), user)


CurrentReader = Annotated[Reader, Depends(_reader)]
