"""Say that a job has results: the task that carries the asset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.operators.plan import PART_XCOM

if TYPE_CHECKING:
    from airflow.sdk import Context


class AnnounceResultsOperator(BaseOperator):
    """Announce this task's outlets, unless only a sample was run: nobody may take that for the results.

    :param plan_task_id: the task that decided what is read; None where no sample can be.
    :raises AirflowSkipException: it was a sample. Then Airflow announces nothing.
    """

    ui_color = "#e6f4ea"

    def __init__(self, *, plan_task_id: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.plan_task_id = plan_task_id

    def execute(self, context: Context) -> None:
        if self.plan_task_id is None:
            return
        part = InputPart.from_dict(context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PART_XCOM))
        if part and part.kind is PartKind.SAMPLE:
            message = f"Only {part} was run, so no results are announced."
            raise AirflowSkipException(message)
