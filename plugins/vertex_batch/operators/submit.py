"""Submit a batch prediction job exactly once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from vertex_batch.errors import ConfigurationError, VertexBatchError
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import InputPart, PartKind, whole_shard
from vertex_batch.lifecycle.cancelling import request_cancel, request_cancel_by_key
from vertex_batch.lifecycle.identity import Intent
from vertex_batch.lifecycle.submitting import Submitter
from vertex_batch.observability import metrics
from vertex_batch.observability.lineage import ReportsLineage, of_reference
from vertex_batch.observability.links import BillLink, ConsoleJobLink, bill_url, console_url
from vertex_batch.operators.base import SpecOperator, patterns
from vertex_batch.preflight import NOT_LISTED, CheckedRows, Mode, Report, Subject, preflight
from vertex_batch.results import check_packages
from vertex_batch.specs.results import put_elsewhere
from vertex_batch.tasks.approval import store_answer
from vertex_batch.tasks.choices import is_dry_run, skip_if_retry, skip_unless_chosen
from vertex_batch.tasks.context import (
    PART_XCOM,
    TaskStateIntentStore,
    cost_name,
    find_place,
    identity,
    look_policy,
    map_index,
    reports_nothing_submitted,
    with_run_dates,
)
from vertex_batch.tasks.delivery_order import VersionNotReadError, check_delivery
from vertex_batch.tasks.gate import BudgetGate, BudgetSettings, InputFiles
from vertex_batch.tasks.kill import KillSwitch
from vertex_batch.tasks.outcome import end_dry_run, explained, note
from vertex_batch.tasks.rounds import cancel_rounds
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.request import build_request
from vertex_batch.vertex.resource import CreateJobRequest, JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context


class SubmitBatchPredictionJobOperator(ReportsLineage, SpecOperator):
    """Submit a Vertex AI batch prediction job through the LiteLLM proxy.

    However often this task is retried, and wherever its process crashes, it submits one job: a retry resumes
    the job that an earlier try submitted. A task that a person clears submits a new job, unless a job with
    the same request still runs: then that job is adopted. See ``docs/lifecycle.md``.

    If the task is mapped (``.partial(...).expand(...)``, or in a mapped task group), this is true of each map
    index: each has its own job, intent and key. Retrying or clearing one does not affect the others.

    A new run is a new job, also for inputs that an earlier run has answered. With ``money``, and in a dry
    run, the log then says that they "were answered before by run ...", and what that run cost.

    :param model: ``gemini-3.8-flash``, ``publishers/google/models/gemini-3.8-flash``, or a tuned model's
        ``projects/P/locations/L/models/ID``. A bare name is completed, because Vertex refuses it.
    :param inputs: one or more ``gs://`` URIs, wildcards allowed, or one ``bq://`` table.
    :param output_uri: ``gs://`` prefix, below which each job writes its own folder, or ``bq://`` table.
    :param project: the Google project id that the proxy is configured with. Defaults to the connection's.
    :param location: such as ``us-central1``. Defaults to the connection's.
    :param display_name: the job's name in Google's console, at most 128 characters. Defaults to the DAG, the
        task if several submit jobs, and the day.
    :param labels: the job's labels; Vertex allows lowercase letters, digits, ``-`` and ``_``.
    :param model_parameters: sent as the job's ``modelParameters``. Gemini takes its settings from each row's
        ``generationConfig`` instead.
    :param part: the part of the input that `PlanInputsOperator` assigned to this task. It replaces
        ``inputs``.
    :param plan_task_id: the task that planned the input, for a part that is only a reference.
    :param preflight: ``strict``, ``warn`` or ``off``: check model, location and rows before a job is created.
        Vertex accepts a job whose input is missing or wrong, and fails it minutes or hours later.
    :param failure_limits: key of the spec -> largest share of failed rows, 0 to 1, with which the run does
        not fail. The pre-flight warns if the rows that are certain to fail exceed one.
    :param key: the field of a row by which its answer is delivered. The pre-flight refuses an input in which
        no row has it.
    :param cancel_on_kill: cancel the job if this task is killed after it submitted the job.
    :param spec: name of the task's spec, for the cost table. Defaults as `display_name`, without the day.
    :param deliver_to: the address of the answers. The pre-flight checks that its bucket exists.
    :param answers: where the answers are delivered afterwards, for the page of a dry run. If it is not
        empty, nothing is submitted where a package is missing that a delivery needs.
    :param money: the budgets and prices of the job; see ``docs/budgets.md``. By default, the cost is neither
        estimated nor limited.
    :returns: a `JobReference` as a dict.
    """

    template_fields: Sequence[str] = (
        "model",
        "inputs",
        "output_uri",
        "project",
        "location",
        "display_name",
        "labels",
        "model_parameters",
        "part",
        "answers",
        "deliver_to",
    )
    operator_extra_links = (ConsoleJobLink(), BillLink())
    ui_color = "#d2e3fc"

    def __init__(
        self,
        *,
        model: str,
        inputs: str | list[str],
        output_uri: str,
        project: str | None = None,
        location: str | None = None,
        display_name: str | None = None,
        labels: dict[str, str] | None = None,
        model_parameters: dict[str, Any] | None = None,
        part: object = None,
        plan_task_id: str | None = None,
        preflight: str = Mode.STRICT,
        failure_limits: dict[str, float] | None = None,
        key: str | None = None,
        cancel_on_kill: bool = True,
        spec: str = "",
        answers: str = "",
        deliver_to: str = "",
        money: BudgetSettings | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.inputs = inputs
        self.output_uri = output_uri
        self.project = project
        self.location = location
        self.display_name = display_name
        self.labels = labels
        self.model_parameters = model_parameters
        self.part = part
        self._is_planned = part is not None
        self.plan_task_id = plan_task_id
        self.preflight = Mode(preflight)
        self.failure_limits = failure_limits or {}
        self.key = key
        self.cancel_on_kill = cancel_on_kill
        self.spec = spec
        self.answers = answers
        self.deliver_to = deliver_to
        self.money = money or BudgetSettings()
        self.round_task_ids: Sequence[str] = ()
        """Tasks that submit rows of this job again, in later rounds."""
        self.is_unsplit = False
        """Its spec submits all of the input at once, so this task has no map index."""
        self._store: TaskStateIntentStore | None = None
        self._run = ("", "")
        self._kill: KillSwitch | None = None
        self._chosen: Mapping[str, Any] = {}
        self._input: list[str] = []

    @property
    def _part(self) -> InputPart | None:
        return InputPart.from_dict(self.part)

    def _put_in(self, chosen: Mapping[str, Any], context: Context) -> None:
        labels = {**(self.labels or {}), **chosen.get("labels", {})}
        super()._put_in({**chosen, "labels": labels} if "labels" in chosen else chosen, context)
        self._chosen, self._input = chosen, patterns(self.inputs)
        if part := self._planned_part(context):
            self._apply_part(part, context)

    def _planned_part(self, context: Context) -> InputPart | None:
        """The part of this task; a reference is replaced by what it refers to."""
        part = self._part
        if part and part.is_reference:
            planned = context["ti"].xcom_pull(task_ids=self.plan_task_id, key=PART_XCOM)
            part = whole_shard(part, InputPart.from_dict(planned), open_storage(self.gcp_conn_id))
            self.part = part.to_dict()
        return part

    def _apply_part(self, part: InputPart, context: Context) -> None:
        """Read the planned part, and mark the job's name, labels and output with it."""
        self.inputs = list(part.uris)
        self.labels = {**(self.labels or {}), **part.labels}
        self.output_uri = part.output(self.output_uri)
        self.display_name = part.named(self.display_name or self._usual_name(context))

    def _usual_name(self, context: Context) -> str:
        """A name for Google's console that says which task of which day it is: ``my_dag 2026-11-22``."""
        index = map_index(context)
        name = cost_name(context, self.spec, self.task_id)
        day = dict(with_run_dates(context, str(self.dag.timezone.name), self.job_name))["run_date"]
        return f"{name} {day}" if index < 0 else f"{name} {day} {index}"

    def execute(self, context: Context) -> dict[str, Any]:
        self._note = partial(note, context, self.log, is_logged=True)
        with explained(context, self.log):
            self._check_input(context)
            with reports_nothing_submitted(context, self.retries):
                return self._submit(context).to_dict()

    def execute_after_answer(
        self, context: Context, asked: dict[str, object], event: dict[str, object]
    ) -> dict[str, object]:
        """Continue after a person has answered whether a job that is over budget may be submitted."""
        with explained(context, self.log):
            self.log.info("Approved by %s", store_answer(context, asked, event))
        return self.execute(context)

    def _check_input(self, context: Context) -> None:
        """See that this task has something to submit.

        :raises AirflowSkipException: it has not, which is as it should be.
        """
        skip_unless_chosen(context, self.job_name)
        part = self._part
        if self.spec and not (part and part.kind is PartKind.RETRY):
            skip_if_retry(context, self.task_id)
        if self.is_unsplit and map_index(context) >= 0:
            # The scheduler still has the DAG with a plan. Each shard's task would submit the whole input.
            raise VersionNotReadError([f"{self.task_id} without shards"])
        if self._is_planned and part is None:
            raise AirflowFailException(
                f"Task {self.task_id} has no input: the input plan is gone. Nothing was submitted."
                " Clear the task that plans the inputs, with its downstream tasks."
            )
        if self.spec and not self._is_planned and (context.get("params") or {}).get("sample"):
            raise AirflowFailException(
                f"Task {self.task_id} cannot run a sample: its spec says `split: off` or reads a table."
                " Nothing was submitted. Trigger the run without `sample`, or with a smaller input."
            )

    def _submit(self, context: Context) -> JobReference:
        hook = LiteLLMHook(self.litellm_conn_id)
        place = find_place(hook, self.project, self.location, "Nothing was submitted")
        uris = patterns(self.inputs)
        who, part = identity(context), self._part
        request = self._request(context, uris)
        files = InputFiles(uris, cache(lambda: open_storage(self.gcp_conn_id)), part)
        if is_dry_run(context):
            with hook.client() as client:
                report = self._preflight(request, files, place, client)
                rows = self._known_rows(report)
                found = self._gate(context, request, files, place, client).preview(
                    rows, report.bad_rows if report else 0
                )
            body = json.dumps(request.to_wire(), indent=2, ensure_ascii=False)
            lines = {**self._plan_lines(report), **found.lines}
            end_dry_run(context, self.log, body, rows=rows, found=replace(found, lines=lines))
        self._store, self._run = TaskStateIntentStore(context), (who.dag_id, who.run_id)
        self._kill = kill = KillSwitch(context, self._cancel_submitted, self.log, retry_resumes=True)

        def may_create() -> None:
            kill.check()
            check_delivery(context, self.task_id)

        with hook.client() as client:
            gate = self._gate(context, request, files, place, client)

            def before_intent() -> None:
                may_create()
                report = self._preflight(request, files, place, client)
                gate.check(self._known_rows(report), report.bad_rows if report else 0)
                cancel_rounds(context, client, place, self.round_task_ids, self.log)

            submitter = Submitter(
                client,
                self._store,
                look_policy(),
                log=self.log,
                # A job that is wrong or too expensive is not submitted.
                before_intent=before_intent,
                before_create=may_create,
            )
            submission = submitter.submit(who, context["ti"].max_tries, place, request)
            gate.submitted(submission.job_id)
            team = request.labels.get("team", "")
            metrics.submitted(submission.action, spec=self.spec, team=team, model=request.model)
            if kill.cancelled:  # while the POST was on its way
                request_cancel(client, JobId(*place, submission.job_id))
            kill.check()
        reference = JobReference(
            *place,
            submission.job_id,
            job_key=who.idempotency_key(context["ti"].max_tries),
            model=request.model,
            output_prefix=self.output_uri,
            input_uris=tuple(uris),
            labels=request.labels,
            map_index=who.map_index,
            # If the plan counted them and none is answered yet.
            input_rows=part.rows if part and not part.answered else None,
        )
        ConsoleJobLink.publish(context, reference)
        self.lineage = of_reference(reference)
        self.bill_url = bill_url(reference.id)
        self.log.info("Vertex AI runs the job: %s", console_url(reference.id) or reference)
        self.log.info("Its bill is recorded when it has ended: %s", self.bill_url)
        return reference

    def _known_rows(self, report: Report | None) -> int | None:
        """The rows of the input from the pre-flight or the plan; None if neither has counted them."""
        part = self._part
        return (report.rows if report else 0) or (part.rows if part else 0) or None

    def _preflight(
        self, request: CreateJobRequest, files: InputFiles, place: Place, client: BatchClient
    ) -> Report | None:
        if self.answers:
            check_packages()
        part = self._part
        # The rows of a retry are a part of those that were checked before, and the limits are of all rows.
        is_retry = part is not None and part.kind is PartKind.RETRY
        is_shard = part is not None and part.kind is PartKind.SHARD
        subject = Subject(
            *(request.model, place.location, files.uris, self.output_uri),
            deliver_to=self.deliver_to,
            failure_limits={} if is_retry or is_shard else self.failure_limits,
            key="" if is_retry else self.key or "",
        )
        checked = CheckedRows(part.listing, part.report) if part and part.report else None
        report = preflight(subject, self.preflight, files.open_storage, client, self.log, checked=checked)
        for finding in report.findings if report else ():
            if finding.place == NOT_LISTED:
                self._note(f"{finding.message}.".replace("?.", "?"))
        return report

    def _plan_lines(self, report: Report | None) -> dict[str, list[str]]:
        """Where a dry run's job would write, and what its pre-flight has found."""
        unknown = "nothing was checked (`preflight: off`)"
        if self.preflight is not Mode.OFF:
            unknown = "not checked; the log of the task says why"
        part = self._part
        is_sample = part is not None and part.kind is PartKind.SAMPLE
        elsewhere = put_elsewhere(is_sample=is_sample, input_is_chosen="inputs" in self._chosen)
        return {
            "output": [self.output_uri],
            "input": self._input,
            "answers": [self.answers, *elsewhere] if self.answers else [],
            "found": [report.summary(), *report.lines()] if report else [unknown],
        }

    def _gate(
        self,
        context: Context,
        request: CreateJobRequest,
        files: InputFiles,
        place: Place,
        client: BatchClient,
    ) -> BudgetGate:
        spec = cost_name(context, self.spec, self.task_id)
        settings = replace(self.money, spec=spec, failure_limits=self.failure_limits)
        return BudgetGate(context, settings, client, files, place=place, request=request, log=self.log)

    def _request(self, context: Context, uris: list[str]) -> CreateJobRequest:
        try:
            return build_request(
                model=self.model,
                uris=uris,
                output=self.output_uri,
                display_name=self.display_name or self._usual_name(context),
                labels=self.labels or {},
                spec=self.spec,
                model_parameters=self.model_parameters,
            )
        except ValueError as error:
            raise ConfigurationError(
                f"Task {self.task_id} cannot build its request: {error}. Nothing was submitted."
            ) from error

    def on_kill(self) -> None:
        """Cancel what this try submitted, unless another try will resume it."""
        if self.cancel_on_kill and self._kill:
            self._kill.kill()

    def _cancel_submitted(self, why: str) -> None:
        """Cancel the job. If its id is not known yet, find it by its key."""
        stored = self._store.latest if self._store else None
        if stored is None or stored.refused:
            return
        try:
            self._cancel(stored, why)
        except VertexBatchError as error:
            self.log.error(  # noqa: TRY400 - the message says it all
                "A job with key %s may still run and cost money: %s", stored.job_key, error
            )

    def _cancel(self, stored: Intent, why: str) -> None:
        with LiteLLMHook(self.litellm_conn_id).client() as client:
            key = None if stored.job_id else stored.job_key
            if not request_cancel_by_key(
                client, stored.place, self._run, key=key, job_id=stored.job_id, why=why, log=self.log
            ):
                self.log.warning("Killed while submitting; no job with key %s is listed yet", stored.job_key)
