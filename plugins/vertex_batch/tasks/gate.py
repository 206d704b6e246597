"""The budget check before money is spent: estimates a job's cost and decides whether it may be submitted.

It runs right before a job is created, and only then. A retry that resumes or adopts a job is never refused,
because that job already costs money.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch import budgets
from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.budgets.decision import ApprovalRefusedError, BudgetExceededError, UnbilledJob
from vertex_batch.costs import JobFacts, PaysAgain, paid_before, usd
from vertex_batch.errors import VertexBatchError
from vertex_batch.hooks.cost_table import CostTableHook, cost_table_url
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.inputs.parts import group_of
from vertex_batch.log import Log
from vertex_batch.observability import metrics
from vertex_batch.pricing import PriceBook, retirement_of
from vertex_batch.specs.team_budgets import limits_of_job
from vertex_batch.storage import BIGQUERY_SCHEME, ObjectStorage, SourceObject
from vertex_batch.tasks.approval import Approval
from vertex_batch.tasks.context import identity
from vertex_batch.tasks.outcome import DryRunResult, note
from vertex_batch.usage import canonical_model
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import STATES_WITHOUT_RESULTS, CreateJobRequest

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.budgets import Ledger, PastJob
    from vertex_batch.costs import CostTable

ESTIMATE_XCOM = "estimate"
RESUMES_WITH = "execute_after_answer"


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """A submit task's settings about money.

    :param budget: of the spec: a `vertex_batch.budgets.Budget`.
    :param budgets_file: the limits of teams.
    :param prices: of the spec: model -> kind -> USD per million tokens.
    :param price_folder: folder with price files for all specs.
    :param batch_costs_conn_id: the cost table.
    :param estimate: also estimate if there is no budget.
    :param spec: name of the spec; a submit task fills it in.
    :param failure_limits: of the run, likewise; see `budgets.estimate`.
    """

    budget: budgets.Budget | None = None
    budgets_file: str | None = None
    prices: Mapping[str, Any] | None = None
    price_folder: str | None = None
    batch_costs_conn_id: str = CostTableHook.default_conn_name
    estimate: bool = False
    spec: str = ""
    failure_limits: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_enabled(self) -> bool:
        """Whether there is anything to check or to estimate."""
        return bool(self.estimate or self.budget or self.budgets_file)


@dataclass(frozen=True, slots=True)
class InputFiles:
    """The input files of an estimate.

    :param uris: the inputs, as requested; they may have wildcards.
    :param open_storage: opens the object store of the inputs.
    :param part: which part of a run's input they are; None: all of it.
    """

    uris: Sequence[str]
    open_storage: Callable[[], ObjectStorage]
    part: InputPart | None = None

    @property
    def reads_table(self) -> bool:
        return any(uri.startswith(BIGQUERY_SCHEME) for uri in self.uris)

    def find(self) -> list[SourceObject]:
        """The objects of the input; none of a table."""
        return [] if self.reads_table else self.open_storage().find(self.uris)

    def written(self) -> list[datetime | None]:
        """When each object was written; None if the store does not say."""
        return [each.created for each in self.find()]

    @property
    def sent_again(self) -> InputPart | None:
        """The part, if its rows are sent again."""
        return self.part if self.part and self.part.kind is PartKind.RETRY else None

    @property
    def cut_before(self) -> Fraction | None:
        """See `Survey.cut_before`."""
        again = self.sent_again
        return Fraction(again.truncated, again.of_rows or again.truncated or 1) if again else None


class BudgetGate:
    """Estimates one job's cost, compares it with the budgets, and reserves the amount.

    :param client: reads the proxy's prices.
    :param request: of the job.
    """

    def __init__(
        self,
        context: Context,
        settings: BudgetSettings,
        client: BatchClient,
        files: InputFiles,
        *,
        place: Place,
        request: CreateJobRequest,
        log: Log,
    ) -> None:
        self._context, self._settings, self._client = context, settings, client
        self._files, self._log = files, log
        who = identity(context)
        self._request = budgets.BudgetRequest(
            job_key=who.idempotency_key(context["ti"].max_tries),
            project=place.project,
            location=place.location,
            model=request.model,
            dag_id=who.dag_id,
            run_id=who.run_id,
            task_id=who.task_id,
            map_index=who.map_index,
            spec=settings.spec,
            team=request.labels.get("team", ""),
        )

    def check(self, rows: int | None, failing: int = 0) -> None:
        """Let the job pass, warn, ask a person, or refuse.

        Without a limit, no failure of the estimate prevents the submission.

        :param rows: of the input; None if they were not counted.
        :param failing: those of them that are certain to fail, and so cost nothing.
        :raises ConfigurationError: there is no cost table that could hold the job's cost.
        :raises BudgetExceededError: a limit refuses the job.
        :raises TaskAwaitingInput: a person has to approve.
        """
        if not self._settings.is_enabled:
            return
        cost_table_url(self._settings.batch_costs_conn_id)
        if again := self.paid_before(PaysAgain.PAYS):
            note(self._context, self._log, again)
        rules = self._limits()
        try:
            expected, decision, approval = self._claim(rules, rows, failing)
        except VertexBatchError as error:
            if rules.limits:
                raise
            self._log.warning("Could not estimate the job's cost: %s", error)
            return
        for other in self._paid_meanwhile(expected):
            note(self._context, self._log, _pays_twice(other))
        self._act(rules, expected, decision, approval)

    def preview(self, rows: int | None, failing: int = 0) -> DryRunResult:
        """Log what the job would cost and what its budgets would decide, for a dry run.

        Nothing is reserved and no person is asked. Failures are only logged.

        :param rows: of the input, if they were counted.
        """
        asks, today = self._request, datetime.now(UTC).date()
        again = self.paid_before(PaysAgain.WOULD_PAY)
        try:
            rules = self._limits()
            expected = self._estimate(rows, failing)
            run = budgets.RunKey(asks.dag_id, asks.run_id)
            sums = {account: self._ledger.sums(account, run) for account in rules.accounts}
        except VertexBatchError as error:
            self._log.warning("Could not estimate what the job would cost: %s", error)
            return DryRunResult(again=again)
        decision = budgets.decision_on(expected, rules)(sums)
        self._report(expected, decision)
        end = retirement_of(asks.model, self._prices.life_of(asks.model))
        stops = end.describe(today) if end else ""
        lines = {
            "answered": [again] if again else [],
            "earlier": [past] if (past := budgets.describe_past(self._history(rows))) else [],
            "model": [canonical_model(asks.model), *([stops] if stops else [])],
            "budget": decision.lines(),
        }
        return DryRunResult(expected, today, again, lines)

    def paid_before(self, pays: PaysAgain) -> str:
        """Say that an earlier run has answered these inputs; empty if none has, or if it is not certain.

        This never refuses a job: a person may want it. What cannot be read is only logged.
        """
        asks = self._request
        try:
            found = self._table.answered(asks.spec, self._files.uris, dag_id=asks.dag_id, run_id=asks.run_id)
            objects = self._files.open_storage().find(self._files.uris) if found else []
        except (VertexBatchError, OSError) as error:
            self._log.debug("It is unknown whether these inputs were answered before: %s", error)
            return ""
        return paid_before(found, [each.created for each in objects], pays)

    def _paid_meanwhile(self, expected: budgets.Estimate) -> list[UnbilledJob]:
        """The jobs of other runs with the same input that are not billed yet, as after a double click.

        They never prevent this job. What cannot be read is only logged.
        """
        if self._files.sent_again:
            return []
        try:
            return [
                each for each in self._ledger.unbilled_like(self._request, expected) if self._is_same(each)
            ]
        except (VertexBatchError, OSError) as error:
            self._log.debug("It is unknown whether another run has sent these inputs: %s", error)
            return []

    def _is_same(self, other: UnbilledJob) -> bool:
        """Whether it reads these inputs for a result, as they are now. The URIs of one that is being created
        are not known.
        """
        since = other.since
        if since is None or any(moment is None or moment > since for moment in self._files.written()):
            return False
        if not other.job_id:
            return True
        job = self._client.get(self._request.project, self._request.location, other.job_id)
        return job.input_uris == tuple(self._files.uris) and job.state not in STATES_WITHOUT_RESULTS

    def submitted(self, job_id: str) -> None:
        """Store the id of the job that the claim led to, in this try or an earlier one.

        The job already runs, so failures are only logged.
        """
        if not self._settings.is_enabled:
            return
        try:
            self._ledger.submitted(self._request.job_key, job_id)
        except VertexBatchError as error:
            self._log.warning("Could not store the estimate of job %s in the cost table: %s", job_id, error)

    @cached_property
    def _ledger(self) -> Ledger:
        return budgets.Ledger(self._table)

    @cached_property
    def _table(self) -> CostTable:
        return CostTableHook(self._settings.batch_costs_conn_id).table()

    def _limits(self) -> budgets.BudgetRules:
        """All limits that apply.

        :raises ConfigurationError: the file with the teams' limits cannot be read.
        """
        asks, file = self._request, self._settings.budgets_file
        return limits_of_job(
            asks.spec or asks.dag_id, self._settings.budget, asks.team, Path(file) if file else None
        )

    def _claim(
        self, rules: budgets.BudgetRules, rows: int | None, failing: int
    ) -> tuple[budgets.Estimate, budgets.Decision, Approval]:
        expected = self._estimate(rows, failing)
        approval = Approval(self._context, self._request.job_key)
        decision = self._ledger.claim(
            self._request,
            expected,
            rules.accounts,
            budgets.decision_on(expected, rules),
            approved_by=approval.by,
            approved=lambda decided: budgets.within_approval(decided, expected.expected, approval.up_to),
        )
        return expected, decision, approval

    def _estimate(self, rows: int | None, failing: int) -> budgets.Estimate:
        if self._files.reads_table:
            return budgets.unknown_estimate("the rows of a BigQuery table are not counted")
        asks, book, history = self._request, self._prices, self._history(rows)
        threshold = book.thresholds().get(canonical_model(asks.model))
        try:
            storage = self._files.open_storage()
            survey = budgets.survey_input(storage, self._files.find(), asks.model, threshold, rows)
        except (VertexBatchError, OSError) as error:
            return budgets.unknown_estimate(f"the input could not be read: {error}")
        survey = replace(survey, cut_before=self._files.cut_before).without_failing(failing)
        limits = self._settings.failure_limits
        return budgets.estimate(survey, asks.model, asks.location, book, history, failure_limits=limits)

    def _history(self, rows: int | None) -> Sequence[PastJob]:
        asks, again = self._request, self._files.sent_again
        try:
            written = self._files.written()
        except (VertexBatchError, OSError):
            written = []  # then no job is known to have read the same objects
        same = budgets.NewRows(self._files.uris, written, rows)
        if again:
            group = group_of(asks.task_id)
            first = f"{group}.submit" if group else "submit"
            same = budgets.NewRows(run_id=asks.run_id, group_key=again.retry_of, first_task=first)
        return budgets.past_jobs(self._table, asks.dag_id, asks.task_id, asks.model, same)

    @cached_property
    def _prices(self) -> PriceBook:
        """The same prices that the bill will use."""
        asks = self._request
        job = JobFacts(asks.project, asks.location, "", spec=asks.spec, task_id=asks.task_id)
        stated = {spec_job(job): self._settings.prices}
        return PriceBooks(self._client, self._settings.price_folder, stated).book_of(job)

    def _act(
        self,
        rules: budgets.BudgetRules,
        expected: budgets.Estimate,
        decision: budgets.Decision,
        approval: Approval,
    ) -> None:
        asks, who = self._request, f"{self._request.dag_id}.{self._request.task_id}"
        self._report(expected, decision)
        metrics.weighed(decision.verdict, spec=asks.spec, team=asks.team, model=asks.model)
        if decision.verdict is budgets.Ruling.REFUSE:
            raise BudgetExceededError(who, decision.message)
        if decision.verdict is budgets.Ruling.WARN:
            self._log.warning("Budget exceeded (warn only), submitting anyway: %s", decision.message)
        if decision.verdict is budgets.Ruling.HOLD:
            self._hold(who, rules, expected, decision, approval)

    def _report(self, expected: budgets.Estimate, decision: budgets.Decision) -> None:
        self._log.info("Expected cost: %s for %s rows (%s)", expected, f"{expected.rows:,}", expected.method)
        if expected.failure:
            self._log.warning("%s", expected.failure)
        for reason in expected.unknown:
            self._log.warning("Unknown part of the expected cost: %s", reason)
        if decision.reasons:
            self._log.info("Budget decision: %s: %s", decision.verdict, decision.message)
        for bound in decision.lower_bounds:
            self._log.warning("Budget: %s", bound)
        report = {**expected.to_dict(), "verdict": str(decision.verdict), "reason": decision.message}
        self._context["ti"].xcom_push(ESTIMATE_XCOM, report)

    def _hold(
        self,
        who: str,
        rules: budgets.BudgetRules,
        expected: budgets.Estimate,
        decision: budgets.Decision,
        approval: Approval,
    ) -> None:
        if budgets.within_approval(decision, expected.expected, approval.up_to):
            self._log.warning("Budget exceeded, approved by %s: %s", approval.by, decision.message)
            return
        if approval.up_to is not None:
            raise ApprovalRefusedError(
                who,
                f"{approval.by} approved up to {usd(approval.up_to.amount)},"
                f" but its expected cost is now {expected.expected}",
            )
        self._log.warning("Held for approval: %s", decision.message)
        approval.request(
            expected,
            decision,
            approvers=rules.approvers,
            timeout=rules.approval_timeout,
            method_name=RESUMES_WITH,
        )


def _pays_twice(other: UnbilledJob) -> str:
    return (
        f"Run {other.run_id} has sent the same inputs at {other.since:%Y-%m-%d %H:%M:%S} UTC and had no bill"
        " when this run submitted. Rows that both answer are paid for twice:"
        f" {other.expected.rounded} more. While the job of this run is active, you can mark the run as"
        " failed, which cancels the job; rows that are answered until then are billed."
    )
