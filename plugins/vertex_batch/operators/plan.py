"""Measure a run's input before anything is submitted, and plan which job reads which part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import conf
from airflow.sdk.execution_time.context import NEVER_EXPIRE

from vertex_batch.errors import ConfigurationError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import (
    MAX_SAMPLE_ROWS,
    InputPart,
    InputPlan,
    PartKind,
    plan_of,
)
from vertex_batch.inputs.preparation import DEFAULT_MAX_SHARDS, InputPreparer, SampleRequest
from vertex_batch.lifecycle.cancelling import cancel_all
from vertex_batch.operators.base import StagingOperator, patterns
from vertex_batch.preflight import Mode, RowRules
from vertex_batch.tasks.choices import is_dry_run, skip_if_retry, skip_unless_chosen
from vertex_batch.tasks.context import PART_XCOM, find_place, reports_nothing_submitted
from vertex_batch.tasks.outcome import explained, note
from vertex_batch.tasks.submitted import SubmittedJobs

if TYPE_CHECKING:
    from airflow.sdk import Context

PLAN_STORE_KEY = "input_plan"


class PlanInputsOperator(StagingOperator):
    """Decide which jobs read a run's input, and write the shards or the sample that they read.

    Usually one job may read everything, and nothing is copied. An input that exceeds the limit of rows or
    bytes is split into shards of whole lines. The plan survives retries: a run keeps its shards until a
    person clears this task. Nothing is submitted here, and a run without input fails here.
    Before the input is read, the jobs that the run has already submitted are listed. Usually this is one
    call: it finds a wrong proxy, and the active jobs of an earlier plan. Those that the new plan does not use
    are cancelled; the mapped submit task adopts or cancels the others.

    :param inputs: ``gs://`` URIs, which may have wildcards or name a folder with a slash at its end, or one
        table.
    :param preflight: the same setting as of the submit task. Unless it is ``off``, the rows are checked while
        they are counted, and the result is part of the plan, so that no task reads them again.
    :param key: as of the submit task; likewise for ``failure_limits``.
    :param submit_task_id: the mapped task that submits the parts.
    :returns: the parts, each as a dict: one, or the shards. Of a plan that is too large for XCom, references;
        see `inputs.plans`.
    """

    template_fields: Sequence[str] = ("model", "inputs", "output_uri", "staging", "project", "location")
    ui_color = "#fef7e0"

    def __init__(
        self,
        *,
        inputs: str | list[str],
        submit_task_id: str = "",
        project: str | None = None,
        location: str | None = None,
        preflight: str = Mode.STRICT,
        failure_limits: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.inputs = inputs
        self.submit_task_id = submit_task_id
        self.project = project
        self.location = location
        self.preflight = Mode(preflight)
        self.failure_limits = failure_limits or {}

    def execute(self, context: Context) -> list[dict[str, Any]]:
        with explained(context, self.log):
            skip_unless_chosen(context, self.job_name)
            skip_if_retry(context, self.submit_task_id)
            with reports_nothing_submitted(context, self.retries):
                plan = self._plan(context)
        if plan.is_written:
            context["ti"].xcom_push(PART_XCOM, plan.one.to_dict())
        return plan.parts

    def _plan(self, context: Context) -> InputPlan:
        """Return the plan of this epoch: that of an earlier try, or a new one."""
        store: Any = context["task_state_store"]
        epoch = context["ti"].max_tries
        stored = store.get(PLAN_STORE_KEY)
        earlier = InputPlan.from_dict(stored)
        if earlier and stored["epoch"] == epoch:
            self.log.info("Using the plan that an earlier try of this task made")
            self._note(context, stored.get("warnings", ()))
            return earlier
        hook = LiteLLMHook(self.litellm_conn_id)
        place = find_place(hook, self.project, self.location, "Nothing was submitted")
        with hook.client() as client:
            # The task's store does not say whether there may be any: Airflow may discard it on a clear.
            jobs = SubmittedJobs(context, client, [self.submit_task_id], self.log)
            jobs.find(lambda: place)
            plan, warnings = self._look(context)
            unused = [
                job.id
                for job in jobs.active
                if job.id.place != place or not 0 <= job.map_index < len(plan.parts)
            ]
            for job_id in unused:
                self.log.info("Cancelling job %s: the new input plan does not use it", job_id)
            cancel_all(client, unused)
        kept = {"epoch": epoch, **plan.to_dict(), **({"warnings": warnings} if warnings else {})}
        store.set(PLAN_STORE_KEY, kept, retention=NEVER_EXPIRE)
        self._note(context, warnings)
        return plan

    def _note(self, context: Context, warnings: Sequence[str]) -> None:
        """Show in a dry run what was found in the rows of all shards. Their own tasks do not read them."""
        for line in warnings if is_dry_run(context) else ():
            note(context, self.log, f"Pre-flight: {line}.", is_logged=True)

    def _look(self, context: Context) -> tuple[InputPlan, list[str]]:
        """Make a plan, and say what the pre-flight has found if it is of shards."""
        uris = patterns(self.inputs)
        wish = _sample_wish(context)
        if all(uri.startswith("bq://") for uri in uris):
            if wish:
                raise ConfigurationError(
                    "A BigQuery table cannot be sampled. Nothing was submitted",
                    "leave `sample` empty, or name a table with fewer rows as `input`",
                )
            return InputPlan(InputPart(PartKind.WHOLE, tuple(uris)), []), []
        storage = open_storage(self.gcp_conn_id)
        storage.check_output(self.output_uri)
        rules = RowRules(self.model, self.key or "", self.failure_limits)
        with self._staging(context) as place:
            preparer = InputPreparer(
                storage,
                uris,
                self._limits,
                place,
                log=self.log,
                check_for=None if self.preflight is Mode.OFF else rules,
                max_shards=conf.getint("core", "max_map_length", fallback=DEFAULT_MAX_SHARDS),
                is_strict=self.preflight is Mode.STRICT,
            )
            parts = [preparer.sample(wish)] if wish else preparer.prepare()
            return plan_of(parts, storage, place), preparer.warnings


def _sample_wish(context: Context) -> SampleRequest | None:
    params = context.get("params") or {}
    rows = params.get("sample")
    if not rows:
        return None
    if not 1 <= int(rows) <= MAX_SAMPLE_ROWS:
        raise ConfigurationError(
            f"`sample` is {rows}, but must be from 1 to {MAX_SAMPLE_ROWS:,}. Nothing was submitted."
        )
    return SampleRequest(int(rows), int(params.get("sample_seed") or 0))
