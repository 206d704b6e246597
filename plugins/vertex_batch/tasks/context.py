"""What the operators read from Airflow's context."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowRuntimeError
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.lifecycle.finding import LookPolicy
from vertex_batch.lifecycle.identity import Intent, TaskIdentity, may_be_shared
from vertex_batch.specs.run_dates import run_day, template_dates
from vertex_batch.tasks.choices import check_day, chosen_day, retried_run, run_with_dates
from vertex_batch.vertex.names import JobId, JobName, Place, missing_of

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.execution_time.comms import DagRunResult
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

STORE_KEY = "batch_prediction_job"
INTENT_XCOM = "batch_prediction_intent"
NOTHING_SUBMITTED_XCOM = "nothing_submitted"
"""The map index of a task that failed before it could have submitted a job."""
PART_XCOM = "input_part"
"""Where the shards of a plan are written that is too large to be passed on, and how many rows each has."""
_SECTION = "vertex_batch"
_SUBMIT_TASKS = ("SubmitBatchPredictionJobOperator", "AdoptBatchPredictionJobOperator")


def deployment() -> str:
    """Name this Airflow, so that two Airflows in one Google project never adopt each other's jobs.

    This is ``[vertex_batch] deployment`` if set, else the address of the API server.
    """
    configured: str | None = conf.get(_SECTION, "deployment", fallback=None)
    return configured or conf.get("api", "base_url", fallback=None) or os.environ.get("AIRFLOW_HOME", "")


def has_own_name() -> bool:
    """Whether the name of this Airflow is one that no other is expected to have."""
    return bool(conf.get(_SECTION, "deployment", fallback=None)) or not may_be_shared(deployment())


def map_index(context: Context) -> int:
    """The task's map index; -1 if it is not mapped."""
    index: int | None = context["ti"].map_index
    return -1 if index is None else index


def pulled(
    ti: RuntimeTaskInstanceProtocol, task_id: str, key: str = "return_value", run_id: str | None = None
) -> list[Any]:
    """The XComs of all map indices of a task. Airflow returns a single value without a list.

    :param run_id: of another run of the DAG; None: of the present one.
    """
    other: dict[str, Any] = {"run_id": run_id} if run_id else {}
    found = ti.xcom_pull(task_ids=task_id, key=key, **other)
    return found if isinstance(found, list) else [] if found is None else [found]


def identity(context: Context) -> TaskIdentity:
    ti = context["ti"]
    return TaskIdentity(
        deployment=deployment(),
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=map_index(context),
    )


def cost_name(context: Context, spec: str, task_id: str) -> str:
    """The name under which the costs of a submit task are shown.

    :param spec: the task's spec, if it has one. Else it is the DAG's id, with the task's id if several tasks
        of the DAG submit jobs.
    """
    if spec:
        return spec
    dag = getattr(context.get("task"), "dag", None)
    several = sum(is_submit_task(task) for task in dag.tasks) > 1 if dag else False
    return f"{context['ti'].dag_id}.{task_id}" if several else str(context["ti"].dag_id)


def is_submit_task(task: object) -> bool:
    """Whether a task of a DAG submits or adopts jobs; also one that is mapped."""
    return getattr(task, "task_type", "") in _SUBMIT_TASKS


def owner(context: Context) -> dict[str, object]:
    """The task's key as plain data, for a trigger."""
    ti = context["ti"]
    return {"dag_id": ti.dag_id, "run_id": ti.run_id, "task_id": ti.task_id, "map_index": ti.map_index}


def find_run(dag_id: str, run_id: str) -> DagRunResult | None:
    """Return a run of a DAG; None: Airflow does not know it.

    :raises AirflowRuntimeError: Airflow's API server does not answer. A retry may succeed.
    """
    from airflow.sdk.execution_time.comms import DagRunResult, GetDagRun  # noqa: PLC0415
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415 - only in a task

    try:
        run = SUPERVISOR_COMMS.send(GetDagRun(dag_id=dag_id, run_id=run_id))
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
            return None
        raise
    # An id that a person entered may be read as part of an address, and find another run.
    return run if isinstance(run, DagRunResult) and run.run_id == run_id else None


def run_facts(dag_id: str, run_id: str) -> dict[str, Any]:
    """What the cost table stores about another run; empty if Airflow does not know the run."""
    try:
        run = find_run(dag_id, run_id)
    except Exception:  # noqa: BLE001 - whatever it is, a bill without a logical date is better than none
        return {}
    if run is None:
        return {}
    note = str((run.conf or {}).get("note") or "")
    return {"run_type": str(run.run_type.value), "logical_date": run.logical_date, "note": note}


def look_policy() -> LookPolicy:
    """``[vertex_batch] look_seconds``: how long to search for a lost create before sending it again."""
    default = LookPolicy()
    window = conf.getfloat(_SECTION, "look_seconds", fallback=default.window_seconds)
    return LookPolicy(window_seconds=window, interval_seconds=min(default.interval_seconds, window / 4 or 1))


@contextmanager
def reports_nothing_submitted(context: Context, retries: int | None) -> Iterator[None]:
    """Report to record_cost if this task fails before it could have submitted a job in this run.

    Then that task has nothing to look for, and does not repeat the failure of a wrong proxy. A task that
    crashes, was cleared before, or has stored an intent reports nothing.

    :param retries: of the task.
    """
    try:
        yield
    except Exception:
        ti, store = context["ti"], context["task_state_store"]
        is_first_epoch = not context["dag_run"].clear_number and ti.max_tries <= (retries or 0)
        if is_first_epoch and not store.get(STORE_KEY):
            ti.xcom_push(NOTHING_SUBMITTED_XCOM, map_index(context))
        raise


class TaskStateIntentStore:
    """The intent in Airflow's task state store, which survives retries, crashes, clears and backfills."""

    def __init__(self, context: Context) -> None:
        self._store = context["task_state_store"]
        self._ti = context["ti"]
        # For on_kill, which runs in a signal handler and must not talk to the supervisor.
        self.latest: Intent | None = None

    def load(self) -> Intent | None:
        self.latest = Intent.from_dict(self._store.get(STORE_KEY))
        if self.latest:
            self._publish(self.latest)  # Airflow deletes a task's XComs before each try
        return self.latest

    def save(self, intent: Intent) -> None:
        self.latest = intent
        self._store.set(STORE_KEY, intent.to_dict(), retention=NEVER_EXPIRE)
        self._publish(intent)

    def _publish(self, intent: Intent) -> None:
        """Pass the intent to the clean-up tasks, which cannot read another task's store."""
        self._ti.xcom_push(INTENT_XCOM, intent.to_dict())


def with_run_dates(context: Context, timezone: str, job_name: str = "") -> Context:
    """Add ``run_date``, the related dates, and ``job_name`` to the template variables.

    A run that sends rows of an earlier run again has the dates of that run, so its answers are delivered to
    the file of that run. `check_retried_day` refuses a run for which a person entered another day.

    :param timezone: of the DAG; a run at 00:30 in Berlin belongs to that day there.
    :param job_name: of a job in a spec with several. Defaults to the DAG's id.
    :raises AirflowRuntimeError: Airflow's API server does not answer. A retry may succeed.
    """
    run, day = _retried(context) or (context["dag_run"], chosen_day(context))
    name = job_name or getattr(context.get("ti"), "dag_id", "")
    return cast("Context", {**context, **template_dates(run, timezone, day), "job_name": name})


def check_retried_day(context: Context, timezone: str, consequence: str) -> None:
    """See that a run that sends rows of an earlier run again has the day of that run; see `check_day`.

    :raises ConfigurationError: it has not, or its day is not known.
    """
    if run_id := retried_run(context):
        earlier = _retried(context)
        check_day(run_id, run_day(*earlier, timezone) if earlier else None, chosen_day(context), consequence)


def _retried(context: Context) -> tuple[DagRunResult, date | None] | None:
    """The run whose rows are sent again, and the day that was entered for it; None: it is not known."""
    run_id = retried_run(context)
    return run_with_dates(run_id, lambda each: find_run(context["ti"].dag_id, each)) if run_id else None


def overridden(params: Mapping[str, object], overrides: Mapping[str, str]) -> dict[str, object]:
    """The fields that were set when the run was triggered: field -> value.

    The values are used verbatim and never rendered as templates: the right to trigger a run must not give
    access to connections and variables.
    """
    chosen = {field: _trimmed(params.get(name)) for field, name in overrides.items()}
    if isinstance(entered := chosen.get("inputs"), str):
        # Airflow's form sends what was entered, one per line, as one text.
        lines = [line.strip() for line in entered.splitlines() if line.strip()]
        chosen["inputs"] = lines if len(lines) > 1 else entered
    return {field: value for field, value in chosen.items() if value not in (None, "", [], {})}


def _trimmed(value: object) -> object:
    """Remove the blanks around a form's value: people cannot see them, and no name has them."""
    if isinstance(value, list):
        return [_trimmed(each) for each in value]
    return value.strip() if isinstance(value, str) else value


def named_job(
    hook: LiteLLMHook, name: JobName, project: str | None, location: str | None, consequence: str
) -> JobId:
    """Complete the name of a job with the task's project and location, then with the connection's.

    :raises ConfigurationError: the name contradicts the task, or a part is not set anywhere.
    """
    name.check_agrees(project, location, consequence)
    return name.at(find_place(hook, project or name.project, location or name.location, consequence))


def find_place(hook: LiteLLMHook, project: str | None, location: str | None, consequence: str) -> Place:
    """Return the task's project and location, completed with the connection's defaults.

    :param consequence: what did not happen, such as "Nothing was submitted".
    :raises ConfigurationError: one of them is not set anywhere.
    """
    project, location = project or hook.default_project, location or hook.default_location
    if project and location:
        return Place(project, location)
    raise ConfigurationError(
        f"The task has no {missing_of(project, location)}. {consequence}",
        f"set it in the spec, on the operator, or as an extra of the connection {hook.litellm_conn_id!r}",
    )
