"""The signed-in user, the DAGs whose costs they may see, and the jobs they may cancel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import AccessView, DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_view
from airflow.models.dag import DagModel
from airflow.sdk import conf
from airflow.utils.session import create_session
from fastapi import Depends, HTTPException
from sqlalchemy import select

from vertex_batch.costs import CostTable, JobFilter, Owners


class RefusedError(Exception):
    """The user may not do this. The page says why."""

    def __init__(self, title: str, text: str) -> None:
        super().__init__(title, text)
        self.title, self.text = title, text


# On every route: 401 without a login, 403 for users who may not see the pages of plugins.
signed_in = Depends(requires_access_view(AccessView.PLUGINS))


# Airflow allows no DAG with this name. A user who may read it may read every DAG.
_ANY_DAG = "vertex-batch: any DAG"


@dataclass(frozen=True, slots=True)
class Hidden:
    """How many recorded jobs a user may not see, and why. It ignores searches, which must not reveal names.

    :param of_dags: jobs of DAGs that the user may not see.
    :param of_no_dag: jobs of DAGs that were deleted, and of the command line for a spec that is not a DAG.
    """

    of_dags: int = 0
    of_no_dag: int = 0

    def __bool__(self) -> bool:
        return bool(self.of_dags or self.of_no_dag)


@dataclass(frozen=True, slots=True)
class Reader:
    """A signed-in user.

    A job belongs to its DAG. One without a DAG, such as some of the command line, belongs to the DAG with the
    name of its spec. If Airflow has no such DAG, only those who may see all DAGs see the job.

    :param dag_ids: the DAGs that this user may read.
    :param user: Airflow's user object.
    :param sees_all: whether the user may read every DAG, also one that Airflow no longer has.
    """

    dag_ids: frozenset[str]
    user: BaseUser
    sees_all: bool = False

    @property
    def user_id(self) -> str:
        return str(self.user.get_id())

    @property
    def name(self) -> str:
        return str(self.user.get_name())

    def may_see(self, owner: str) -> bool:
        """Whether the user may see the jobs of a DAG.

        :param owner: the DAG, or the spec of a job without one; empty if a job has neither.
        """
        return self.sees_all or owner in self.dag_ids

    def may_cancel(self, dag_id: str) -> bool:
        """Whether Airflow lets the user end runs of the DAG, which cancelling its job amounts to."""
        return self.may_see(dag_id) and self._may("PUT", DagAccessEntity.RUN, dag_id)

    def may_read_logs(self, dag_id: str) -> bool:
        """Whether Airflow lets the user read the logs of the DAG's tasks."""
        return self.may_see(dag_id) and self._may("GET", DagAccessEntity.TASK_LOGS, dag_id)

    def may_read_audit(self, dag_id: str) -> bool:
        """Whether Airflow lets the user read who did what to the DAG's runs."""
        return self.may_see(dag_id) and self._may("GET", DagAccessEntity.AUDIT_LOG, dag_id)

    def may_read_import_errors(self) -> bool:
        """Whether Airflow lets the user read why DAG files cannot be imported."""
        return get_auth_manager().is_authorized_view(access_view=AccessView.IMPORT_ERRORS, user=self.user)

    def _may(self, method: Literal["GET", "PUT"], entity: DagAccessEntity, dag_id: str) -> bool:
        return get_auth_manager().is_authorized_dag(
            method=method,
            access_entity=entity,
            details=DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id)),
            user=self.user,
        )

    def narrowed(self, owners: Owners, where: JobFilter) -> JobFilter:
        """Restrict a filter to what the user may see. A DAG that they may not see is treated as missing.

        :param owners: of the recorded jobs.
        """
        if where.dag_id:
            if not self.may_see(where.dag_id):
                raise HTTPException(404)
            if where.dag_id not in owners.specs:
                return where
            only = frozenset({where.dag_id})
            return replace(where, dag_id="", dag_ids=only, specs_without_dag=only)
        if self.sees_all:
            return where
        return replace(
            where, dag_ids=owners.dags & self.dag_ids, specs_without_dag=owners.specs & self.dag_ids
        )

    def hidden(self, costs: CostTable, owners: Owners) -> Hidden:
        """Count the recorded jobs that the user may not see."""
        if self.sees_all or owners.names <= self.dag_ids:
            return Hidden()
        known = dags_of_airflow()
        dags, specs = owners.dags - self.dag_ids, owners.specs - self.dag_ids
        of_dags = JobFilter(dag_ids=dags & known, specs_without_dag=specs & known)
        of_no_dag = JobFilter(dag_ids=dags - known, specs_without_dag=specs - known)
        return Hidden(costs.count(of_dags), costs.count(of_no_dag))


def dags_of_airflow() -> frozenset[str]:
    """All DAGs that Airflow knows, regardless of rights."""
    with create_session() as session:
        return frozenset(session.scalars(select(DagModel.dag_id)))


def _sees_all(user: BaseUser, dag_ids: frozenset[str]) -> bool:
    """Whether the user may read every DAG: all that there are, and any other.

    With teams, the team of a DAG that no longer exists is unknown, so no user may.
    """
    if conf.getboolean("core", "multi_team", fallback=False):
        return False
    may_read_any = get_auth_manager().is_authorized_dag(
        method="GET", details=DagDetails(id=_ANY_DAG), user=user
    )
    return may_read_any and dags_of_airflow() <= dag_ids


def _reader(user: GetUserDep) -> Reader:
    dag_ids = frozenset(get_auth_manager().get_authorized_dag_ids(user=user, method="GET"))
    return Reader(dag_ids, user, _sees_all(user, dag_ids))


CurrentReader = Annotated[Reader, Depends(_reader)]
