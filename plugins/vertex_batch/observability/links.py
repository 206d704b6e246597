"""Links from a task in Airflow's UI, and from its log: to its job, its bill, its output and its delivery."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink, conf
from airflow.sdk.bases.xcom import BaseXCom

from vertex_batch.vertex.resource import JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import TaskInstanceKey

    from vertex_batch.vertex.names import JobId

PAGES_PREFIX = "/vertex-batch"
"""Where Airflow serves the cost pages."""


class ConsoleJobLink(BaseOperatorLink):
    """The job's page in the Google Cloud console. Available while the task waits and after it failed.

    With an emulated object store it leads to our page of the job.
    """

    name = "Vertex AI job"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        return BaseXCom.get_value(key=self.xcom_key, ti_key=ti_key) or ""  # type: ignore[arg-type]

    @classmethod
    def publish(cls, context: Context, job: JobReference) -> None:
        """Store the link now, because Airflow stores it only when the task has ended."""
        context["ti"].xcom_push(key=cls().xcom_key, value=console_url(job.id) or bill_url(job.id))


class _AttributeLink(BaseOperatorLink):
    """A link that the task keeps in an attribute. Airflow stores it when the task has ended."""

    attribute: ClassVar[str]

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's
        return getattr(operator, self.attribute, "")


class BillLink(_AttributeLink):
    """The bill of the task's job; of several jobs, the page of their run."""

    name = "Bill"
    attribute = "bill_url"


class OutputLink(_AttributeLink):
    """The folder of the job's output in the Google Cloud console."""

    name = "Output"
    attribute = "output_url"


class DeliveryLink(_AttributeLink):
    """The delivered file in the Google Cloud console."""

    name = "Delivery"
    attribute = "delivery_url"


def bill_url(job: JobId) -> str:
    """The address of a job's bill, as a browser opens it; without a host if Airflow's is not configured."""
    return _page("bill", project=job.project, location=job.location, job=job.id)


def run_url(dag_id: str, run_id: str) -> str:
    """The address of the page with all jobs of a run."""
    return _page("run", dag_id=dag_id, run_id=run_id)


def storage_url(uri: str, *, is_file: bool = False) -> str:
    """Link to Google's page of a folder or a file in Cloud Storage; empty for anything else.

    Likewise `console_url` for jobs. Both are empty with an emulated object store: Google then has neither the
    objects nor the jobs that read them.
    """
    if not (uri.startswith("gs://") and _is_at_google()):
        return ""
    page = "browser/_details" if is_file else "browser"
    return f"https://console.cloud.google.com/storage/{page}/{quote(uri.removeprefix('gs://'))}"


def console_url(job: JobId) -> str:
    """Link to Google's page of a job; see `storage_url`."""
    return job.console_url if _is_at_google() else ""


def _is_at_google() -> bool:
    return not os.environ.get("STORAGE_EMULATOR_HOST")


def airflow_url() -> str:
    """Where Airflow is served, without a final slash; empty if that is not configured."""
    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


def airflow_path() -> str:
    """The path below which Airflow is served, as a browser sees it."""
    return urlsplit(airflow_url()).path


def _page(name: str, **query: str) -> str:
    return f"{airflow_url()}{PAGES_PREFIX}/{name}?{urlencode(query)}"
