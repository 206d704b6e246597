"""Record the token usage and the cost of a job in the cost table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.billing.recording import Recorded, Recorder, why_no_answers
from vertex_batch.costs import Bill, JobFacts, add_totals, total
from vertex_batch.errors import VertexBatchError, passing_first
from vertex_batch.hooks.bigquery import read_table
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.litellm import LiteLLMHook
from vertex_batch.hooks.storage import open_storage
from vertex_batch.inputs import InputPart
from vertex_batch.lifecycle.cancelling import request_cancel
from vertex_batch.observability.lineage import ReportsLineage, of_bills
from vertex_batch.observability.links import (
    BillLink,
    ConsoleJobLink,
    OutputLink,
    bill_url,
    run_url,
    storage_url,
)
from vertex_batch.operators.base import ProxyOperator
from vertex_batch.tasks.context import INTENT_XCOM, NOTHING_SUBMITTED_XCOM, cost_name, find_place, pulled
from vertex_batch.tasks.expected import ExpectedCosts, outcome_of
from vertex_batch.tasks.outcome import explained
from vertex_batch.tasks.shards import PartsReport, planned_parts
from vertex_batch.tasks.submitted import SubmittedJobs, references
from vertex_batch.usage import Unit
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.resource import JobReference

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol


class AggregateTokenUsageOperator(ReportsLineage, ProxyOperator):
    """Record what a submit task's jobs cost, however they ended.

    Use it as a teardown (``.as_teardown()``): it then runs after every end, and its success never turns a
    failed run green. With ``on_failure_fail_dagrun=True`` its own failure also fails the run. In that case
    keep another teardown, such as an ``EmptyOperator``, between the sensor and this task; otherwise this task
    alone decides the run's state.
    A job that still runs although no task waits for it is cancelled first. Recording twice changes nothing.
    If the tasks before failed before they could have submitted anything, this task is skipped without a call.
    If the jobs succeeded but no row was answered, the task fails after the bills are recorded.

    A task that is not mapped records the jobs of all map indices of the submit task, each with its map index,
    and returns their sum. A mapped task records those of the same map index (or those of a submit task that
    is not mapped).

    :param submit_task_id: record every job that this task submitted in this run, even if the task crashed
        before it returned the job id.
    :param resubmit_task_ids: tasks that may have submitted again for it, such as the waiting task.
    :param plan_task_id: the task that planned the input. The jobs of its parts are recorded as one bill.
    :param job: instead of ``submit_task_id``, the reference of one job or a list of them, such as the output
        of a mapped submit task. Only covers tasks that returned a reference before they died. A job that
        another run submitted is refused: that run bills it.
    :param project: where to look for the jobs if the submit task returned none. Defaults to the connection's
        project; likewise for ``location``.
    :param prices: prices that override all others: model -> kind -> USD per million tokens, see
        ``docs/costs.md``.
    :param price_folder: folder with price files, which come next.
    :param max_unreadable_rows: fail the task, after the bill is recorded, if a job has more unreadable rows
        than this: lines that are cut or damaged, such as those of an output that was not written completely.
    :param max_unrecognized_rows: the same for unrecognized rows: intact rows in no known output format,
        such as those of a model that this version does not know.
    :param fail_without_answers: fail if the jobs succeeded but no row was answered. False if later tasks of
        the run send rows again or decide by themselves.
    :param spec: name of the task's spec, for the cost table. Defaults to the DAG's id, with the submit task's
        id if several tasks of the DAG submit jobs.
    :param team: the team that pays, for the cost table. Defaults to the job's label ``team``.
    :param gcp_conn_id: the connection that reads the output.
    :param batch_costs_conn_id: the cost table; a SQLite file in ``AIRFLOW_HOME`` if it is not defined.
    :returns: the amount as a decimal string, whether it is complete, and the same for each job, with its
        expected cost.
    :raises AirflowSkipException: no job was submitted.
    """

    template_fields: Sequence[str] = ("job", "project", "location", "spec", "team", "litellm_conn_id")
    operator_extra_links = (ConsoleJobLink(), BillLink(), OutputLink())
    ui_color = "#e6f4ea"

    def __init__(
        self,
        *,
        submit_task_id: str | None = None,
        resubmit_task_ids: Sequence[str] = (),
        plan_task_id: str | None = None,
        job: object = None,
        project: str | None = None,
        location: str | None = None,
        prices: Mapping[str, Any] | None = None,
        price_folder: str | None = None,
        max_unreadable_rows: int = 0,
        max_unrecognized_rows: int = 0,
        fail_without_answers: bool = True,
        spec: str = "",
        team: str = "",
        gcp_conn_id: str = "google_cloud_default",
        batch_costs_conn_id: str = CostTableHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (submit_task_id is None) == (job is None):
            raise ValueError(f"{self.task_id}: set exactly one of submit_task_id and job")
        self.submit_task_id = submit_task_id
        self.resubmit_task_ids = tuple(resubmit_task_ids)
        self.plan_task_id = plan_task_id
        self.job = job
        self.project = project
        self.location = location
        self.prices = prices
        self.price_folder = price_folder
        self.max_unreadable_rows = max_unreadable_rows
        self.max_unrecognized_rows = max_unrecognized_rows
        self.fail_without_answers = fail_without_answers
        self.spec = spec
        self.team = team
        self.gcp_conn_id = gcp_conn_id
        self.batch_costs_conn_id = batch_costs_conn_id
        # `vertex-batch run` sets it: Airflow itself has no name for such a run.
        self.run_type = ""

    def execute(self, context: Context) -> dict[str, Any]:
        expected = ExpectedCosts(self.batch_costs_conn_id, self.log)
        with explained(context, self.log):
            recorded, more, unanswered = self._record(context, expected)
            bills = [each.bill for each in recorded]
            self.lineage = of_bills(bills)
            compared = expected.compare(bills)
            self._log_total(context, bills, compared)
            self._fail_on_problems(recorded, unanswered)
        return {**_summary(bills, compared), **more}

    def _record(
        self, context: Context, expected: ExpectedCosts
    ) -> tuple[list[Recorded], dict[str, object], str | None]:
        """Record all jobs.

        :returns: what was recorded, further facts to report, and the message if no row was answered.
        """
        hook = LiteLLMHook(self.litellm_conn_id)
        with hook.client() as client:
            failed_before = self._has_failed_before_submitting(context["ti"])
            jobs = [] if failed_before else self._jobs(context, client, hook)
            if self.submit_task_id:
                expected.release(context, self.submit_task_id)
            if not jobs:
                who = f"Task {self.submit_task_id}" if self.submit_task_id else "This run"
                message = f"{who} submitted no job, so there is nothing to bill."
                if failed_before:
                    message += " It ended before it could have submitted one, so none was searched for."
                raise AirflowSkipException(message)
            parts = PartsReport(context["ti"], self.plan_task_id, self.log)
            work = [(self._facts(context, job, parts.sample), job) for job in jobs]
            stated = {spec_job(facts): self.prices for facts, _ in work}
            recorder = Recorder(
                client,
                lambda: open_storage(self.gcp_conn_id),
                expected.table,
                PriceBooks(client, self.price_folder, stated),
                read_table=lambda uri: read_table(uri, self.gcp_conn_id),
                log=self.log,
            )
            # Airflow raises `max_tries` when a task is cleared; the tries before that do not count.
            first_try = context["ti"].max_tries - (self.retries or 0) + 1
            recorded = self._record_each(recorder, work, first_try)
            bills = [each.bill for each in recorded]
            # All named jobs count. Of those that a task submitted, only the last of each map index counts.
            results = parts.results(bills) if self.submit_task_id else bills
            is_readable = not any(each.problem for each in recorded)
            judged = is_readable and self.fail_without_answers
            unanswered = why_no_answers(results) if judged else None
            return recorded, parts.report(bills, recorder.row_costs), unanswered

    def _record_each(
        self, recorder: Recorder, work: Sequence[tuple[JobFacts, JobReference]], first_try: int
    ) -> list[Recorded]:
        """Record each job. A job that cannot be billed does not block the others."""
        recorded, errors = [], []
        for facts, job in work:
            try:
                found = recorder.record(
                    facts, may_cancel=job.may_cancel, input_rows=job.input_rows, first_try=first_try
                )
                recorded.append(found)
                self._report(recorded[-1].bill)
            except VertexBatchError as error:
                self.log.error("Job %s has no bill yet: %s", facts, error)  # noqa: TRY400 - it says it all
                errors.append(error)
        if errors:
            raise passing_first(errors)
        return recorded

    def _jobs(self, context: Context, client: BatchClient, hook: LiteLLMHook) -> list[JobReference]:
        if self.submit_task_id:
            submitted = SubmittedJobs(
                context, client, [self.submit_task_id, *self.resubmit_task_ids], self.log
            )
            jobs = submitted.find(
                lambda: find_place(hook, self.project, self.location, "Nothing was recorded")
            )
            self._request_cancels(client, submitted.active)
        else:
            jobs = references(self.job, "Nothing was recorded")
        if jobs:
            ConsoleJobLink.publish(context, jobs[0])
        return jobs

    def _request_cancels(self, client: BatchClient, active: Sequence[JobReference]) -> None:
        """Cancel what no task waits for, before anything else can fail; the recorder waits for the end."""
        for job in active:
            self.log.info("Requesting cancellation of job %s: it is active, but no task waits for it", job)
            try:
                request_cancel(client, job.id)
            except VertexBatchError as error:  # the recorder cancels again, and raises
                self.log.warning("%s", error)

    def _has_failed_before_submitting(self, ti: RuntimeTaskInstanceProtocol) -> bool:
        """Whether the tasks before reported that they failed before they could have submitted a job.

        A stored intent refutes that: another try failed, such as one that was stopped, that Airflow took for
        dead, and that continued after its successor had submitted.
        """
        reported = [
            index
            for task_id in filter(None, [self.plan_task_id, self.submit_task_id])
            for index in pulled(ti, task_id, NOTHING_SUBMITTED_XCOM)
        ]
        if not reported or (self.submit_task_id and pulled(ti, self.submit_task_id, INTENT_XCOM)):
            return False
        if -1 in reported:  # the plan, or the only submit task
            return True
        parts = planned_parts(ti, self.plan_task_id) if self.plan_task_id else []
        return 0 < len(parts) <= len(reported)

    def _facts(self, context: Context, job: JobReference, sample: InputPart | None) -> JobFacts:
        ti, dag_run = context["ti"], context["dag_run"]
        return JobFacts(
            project=job.project,
            location=job.location,
            job_id=job.job_id,
            job_key=job.job_key,
            model=job.model,
            input_uris=job.input_uris,
            labels=job.labels,
            spec=cost_name(context, self.spec, self.submit_task_id or ti.task_id),
            team=self.team,
            dag_id=ti.dag_id,
            run_id=ti.run_id,
            task_id=self.submit_task_id or ti.task_id,
            map_index=job.map_index,
            try_number=ti.try_number,
            run_type=self.run_type or str(getattr(dag_run.run_type, "value", dag_run.run_type)),
            logical_date=dag_run.logical_date,
            note=_note(context, sample),
        )

    def _report(self, bill: Bill) -> None:
        self.log.info("Job %s is %s: %s", bill.job, bill.job.state, bill.rows)
        for flag in bill.flags:
            self.log.warning("Job %s: %s", bill.job, flag)

    def _log_total(
        self, context: Context, bills: Sequence[Bill], compared: Mapping[str, Mapping[str, object]]
    ) -> None:
        """End the log with what was paid, what was expected, and the address of the bill."""
        first, *others = bills
        self.bill_url = (
            run_url(context["ti"].dag_id, context["ti"].run_id) if others else bill_url(first.job.key)
        )
        self.output_url = storage_url(first.job.output_directory) if not others else ""
        jobs = f" for {len(bills)} jobs" if others else ""
        paid, expected = add_totals(bill.total for bill in bills), outcome_of(bills, compared)
        self.log.info("%s%s%s - bill: %s", paid, jobs, expected, self.bill_url)

    def _fail_on_problems(self, recorded: list[Recorded], unanswered: str | None) -> None:
        problems = [str(each.problem) for each in recorded if each.problem]
        problems += [problem for each in recorded for problem in self._too_many(each.bill)]
        problems += [unanswered] if unanswered else []
        if problems:
            raise AirflowFailException(f"{' '.join(problems)} The bill was recorded with all readable rows.")

    def _too_many(self, bill: Bill) -> list[str]:
        """The kinds of rows without a known outcome of which a job has more than is allowed."""
        rows = bill.rows
        kinds = (
            ("unreadable", rows.unreadable, self.max_unreadable_rows, bill.problems),
            ("unrecognized", rows.unrecognized, self.max_unrecognized_rows, bill.unrecognized_samples),
        )
        return [
            f"Job {bill.job} has {count:,} {kind} rows, more than max_{kind}_rows={allowed}: "
            f"{'; '.join(map(str, samples))}."
            for kind, count, allowed, samples in kinds
            if count > allowed
        ]


def _note(context: Context, sample: InputPart | None) -> str:
    """The note of the person who triggered the run, preceded by the sample if it is not a full run."""
    note = str((context.get("params") or {}).get("note") or "")
    return f"Only {sample}. {note}".rstrip() if sample else note


def _summary(bills: Sequence[Bill], expected: Mapping[str, Mapping[str, object]]) -> dict[str, object]:
    whole = total([item for bill in bills for item in bill.line_items])
    return {
        "amount_usd": whole.text,
        "complete": whole.complete,
        "jobs": [
            {
                "project": bill.job.project,
                "location": bill.job.location,
                "job_id": bill.job.job_id,
                "state": bill.job.state,
                "amount_usd": bill.total.text,
                "complete": bill.total.complete,
                "ok_rows": bill.rows.ok,
                "failed_rows": bill.rows.failed,
                "unreadable_rows": bill.rows.unreadable,
                "unrecognized_rows": bill.rows.unrecognized,
                "missing_rows": bill.rows.missing,
                "tokens": sum(item.tokens for item in bill.metered if item.unit is Unit.TOKEN),
                "output_directory": bill.job.output_directory,
                "flags": list(bill.flags),
                **expected.get(bill.job.job_id, {}),
            }
            for bill in bills
        ],
    }
