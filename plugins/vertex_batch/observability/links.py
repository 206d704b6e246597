"""Links from a task in Airflow's UI to its job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.bases.xcom import BaseXCom

from vertex_batch.vertex.resource import JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey


class ConsoleJobLink(BaseOperatorLink):
    """The job's page in the Google Cloud console. Available while the task waits and after it failed."""

    name = "Vertex AI job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        return BaseXCom.get_value(key=self.xcom_key, ti_key=ti_key) or ""  # type: ignore[arg-type]

    @classmethod
    def publish(cls, context: Context, job: JobReference) -> None:
        """Store the link now, because Airflow stores it only when the task has ended."""
        context["ti"].xcom_push(key=cls().xcom_key, value=job.console_url)
