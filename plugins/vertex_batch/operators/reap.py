"""Find jobs that run although nobody waits for them any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.cancellation import DEFAULT_CONFIRM_SECONDS, cancel_and_confirm
from vertex_batch.client import BatchClient
from vertex_batch.errors import NotFoundError, PermanentError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle import DEPLOYMENT_LABEL, deployment_label
from vertex_batch.operators.place import find_place
from vertex_batch.operators.task_context import deployment
from vertex_batch.ownership import Ownership, who_waits
from vertex_batch.resource import TERMINAL_STATES, BatchPredictionJob

if TYPE_CHECKING:
    from airflow.sdk import Context

REPORT, CANCEL = "report", "cancel"
_ACTIONS = {REPORT, CANCEL}
# A year of nights holds thousands of jobs that have; nobody wants to read them to find the few that have not.
_HAS_NOT_ENDED = " AND ".join(f'state!="{state}"' for state in sorted(TERMINAL_STATES))


class ReapBatchPredictionJobsOperator(BaseOperator):
    """Find active jobs of this Airflow whose run is over; report them, or cancel them.

    It is the last net, for what no task was left to cancel. A job whose run Airflow does not know, because it
    was deleted or because the DAG's id does not fit into a label, is reported and never cancelled.

    :param action: ``report``, or ``cancel``. Rows that were finished before the cancel are billed; to have
        them in the cost table, clear the run's ``record_cost`` task.
    :param project: default: the connection's.
    :param location: default: the connection's.
    :returns: one entry for each job that nobody waits for, or whose run is not known.
    """

    template_fields: Sequence[str] = ("action", "project", "location", "litellm_conn_id")
    ui_color = "#fce8e6"

    def __init__(
        self,
        *,
        action: str = REPORT,
        project: str | None = None,
        location: str | None = None,
        confirm_seconds: float = DEFAULT_CONFIRM_SECONDS,
        litellm_conn_id: str = LiteLLMHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.action = action
        self.project = project
        self.location = location
        self.confirm_seconds = confirm_seconds
        self.litellm_conn_id = litellm_conn_id

    def execute(self, context: Context) -> list[dict[str, Any]]:
        if self.action not in _ACTIONS:
            message = f"The action is {self.action!r}, not one of {sorted(_ACTIONS)}. Nothing was cancelled."
            raise AirflowFailException(message)
        hook = LiteLLMHook(self.litellm_conn_id)
        try:
            project, location = find_place(hook, self.project, self.location, "Nothing was looked for")
            with hook.client() as client:
                return self._reap(context, client, project, location)
        except PermanentError as error:
            raise AirflowFailException(str(error)) from error

    def _reap(
        self, context: Context, client: BatchClient, project: str, location: str
    ) -> list[dict[str, Any]]:
        here = deployment()
        query = f'labels.{DEPLOYMENT_LABEL}="{deployment_label(here)}" AND {_HAS_NOT_ENDED}'
        active = list(client.list(project, location, filter=query))
        self.log.info("%d active jobs of this Airflow in %s/%s", len(active), project, location)
        runs_of: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        found = []
        for job in active:
            dag_id = job.labels.get("airflow_dag", "")
            if dag_id not in runs_of:
                runs_of[dag_id] = context["ti"].get_task_states(dag_id=dag_id)
            owner = who_waits(job, here, dag_id, runs_of[dag_id])
            if owner is not Ownership.WAITED_FOR:
                found.append(self._act(client, project, location, job, owner))
        return found

    def _act(
        self, client: BatchClient, project: str, location: str, job: BatchPredictionJob, owner: Ownership
    ) -> dict[str, Any]:
        state = job.raw_state
        run = f"{job.labels.get('airflow_dag')} {job.labels.get('airflow_run')}"
        if owner is Ownership.ORPHAN and self.action == CANCEL:
            self.log.warning("Cancelling job %s of %s: its run is over", job.job_id, run)
            try:
                job = cancel_and_confirm(
                    client, project, location, job.job_id, confirm_seconds=self.confirm_seconds
                )
                state = job.raw_state
            except NotFoundError:
                state = "DELETED"
        else:
            why = "its run is over" if owner is Ownership.ORPHAN else "Airflow does not know its run"
            self.log.warning("Job %s of %s is %s and costs money: %s", job.job_id, run, state, why)
        return {"job_id": job.job_id, "run": run, "owner": owner.value, "state": state}
