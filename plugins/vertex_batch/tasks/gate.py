"""The last question before money is spent: what will this job cost, and may it?

It is asked right before a job is created, and only then: a retry that goes on with a job, or adopts one, is
never refused, since its money is being spent already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vertex_batch.billing.price_books import PriceBooks, spec_job
from vertex_batch.budgets import (
    Account,
    Budget,
    Claimant,
    Decision,
    Estimate,
    Guess,
    Limit,
    Payer,
    Sums,
    Totals,
    Verdict,
    counted_only,
    decide,
    estimate,
    survey_input,
    unknown_estimate,
    usable,
    within_approval,
)
from vertex_batch.budgets.errors import ApprovalRefusedError, BudgetExceededError
from vertex_batch.costs import JobFacts, usd
from vertex_batch.errors import VertexBatchError
from vertex_batch.hooks.cost_table import CostTableHook
from vertex_batch.hooks.storage import BIGQUERY_SCHEME, InputStorage
from vertex_batch.log import Log
from vertex_batch.observability import metrics
from vertex_batch.pricing import PriceBook
from vertex_batch.tasks.approval import Approval
from vertex_batch.tasks.context import identity
from vertex_batch.usage import canonical_model
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.place import Place
from vertex_batch.vertex.resource import CreateJobRequest

if TYPE_CHECKING:
    from airflow.sdk import Context

    from vertex_batch.budgets import Ledger

ESTIMATE_XCOM = "estimate"
RESUMES_WITH = "execute_after_answer"


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a submit task is told about money.

    :param budget: of the spec, as `Budget.to_dict` writes it. :param budgets_file: the limits of teams.
    :param estimate: also estimate where there is no budget. :param spec: name of the spec.
    """

    budget: Mapping[str, Any] | None = None
    budgets_file: str | None = None
    prices: Mapping[str, Any] | None = None
    price_folder: str | None = None
    batch_costs_conn_id: str = CostTableHook.default_conn_name
    estimate: bool = False
    spec: str = ""

    @property
    def asks(self) -> bool:
        """Whether there is anything to ask."""
        return bool(self.estimate or self.budget or self.budgets_file)


@dataclass(frozen=True, slots=True)
class Material:
    """What an estimate is made of.

    :param uris: the inputs, as asked for. :param open_storage: opens the object store that they lie in.
    """

    uris: Sequence[str]
    open_storage: Callable[[], InputStorage]


@dataclass(frozen=True, slots=True)
class _Limits:
    """The limits that hold for one job, and what the budgets say besides."""

    limits: list[Limit] = field(default_factory=list)
    unknown: Verdict = Verdict.WARN
    approvers: tuple[str, ...] = ()
    timeouts: tuple[Any, ...] = ()


class BudgetGate:
    """Estimates one job, weighs it and reserves its money.

    :param client: asks the proxy for its prices.
    """

    def __init__(
        self, context: Context, settings: GateSettings, client: BatchClient, material: Material, log: Log
    ) -> None:
        self._context, self._settings, self._client = context, settings, client
        self._material, self._log = material, log

    def check(self, place: Place, request: CreateJobRequest, rows: int | None = None) -> None:
        """Let a job go, warn, ask a person, or refuse.

        :param rows: of the input, where they were counted.

        Where there is no limit, nothing that goes wrong here keeps a job from being submitted.

        :raises BudgetExceededError: a limit refuses it.
        :raises TaskAwaitingInput: a person is to be asked.
        """
        if not self._settings.asks:
            return
        claimant = self._claimant(place, request)
        rules = self._limits(claimant)
        try:
            expected, decision, approval = self._claim(claimant, rules, rows)
        except VertexBatchError as error:
            if rules.limits:
                raise
            self._log.warning("What the job will cost could not be estimated: %s", error)
            return
        self._act(claimant, rules, expected, decision, approval)

    def preview(self, place: Place, request: CreateJobRequest, rows: int | None = None) -> None:
        """Log what a job would cost and what its budgets would say, for a dry run. Nothing is reserved, and
        no person asked.

        :param rows: of the input, where they were counted. What goes wrong here is only logged.
        """
        if not self._settings.asks:
            return
        claimant = self._claimant(place, request)
        try:
            rules = self._limits(claimant)
            expected = self._estimate(claimant, rows)
            sums = {
                limit.account: self._ledger.sums(limit.account, claimant.dag_id, claimant.run_id)
                for limit in rules.limits
            }
        except VertexBatchError as error:
            self._log.warning("What the job would cost could not be estimated: %s", error)
            return
        self._report(expected, _decided(rules, expected)(sums))

    def submitted(self, job_id: str) -> None:
        """Name the job that came of the claim, of this try's or an earlier one's.

        The job runs already, so what goes wrong here is only logged.
        """
        if not self._settings.asks:
            return
        key = identity(self._context).job_key(self._context["ti"].max_tries)
        try:
            self._ledger.submitted(key, job_id)
        except VertexBatchError as error:
            self._log.warning("Job %s has no estimate in the cost table: %s", job_id, error)

    def _claimant(self, place: Place, request: CreateJobRequest) -> Claimant:
        who = identity(self._context)
        return Claimant(
            job_key=who.job_key(self._context["ti"].max_tries),
            project=place.project,
            location=place.location,
            model=request.model,
            dag_id=who.dag_id,
            run_id=who.run_id,
            task_id=who.task_id,
            map_index=who.map_index,
            spec=self._settings.spec,
            team=request.labels.get("team", ""),
        )

    @cached_property
    def _ledger(self) -> Ledger:
        from vertex_batch.budgets import Ledger  # noqa: PLC0415 - it brings SQLAlchemy with it

        return Ledger(CostTableHook(self._settings.batch_costs_conn_id).table())

    def _limits(self, claimant: Claimant) -> _Limits:
        """All limits that hold, and the strictest of what the budgets say about the unknown.

        :raises ConfigurationError: the file with the teams' limits cannot be read. Better no job than one
            that nobody limits.
        """
        found: list[tuple[Budget, list[Limit]]] = []
        if self._settings.budget:
            own = Budget.from_dict(self._settings.budget)
            found.append((own, own.of(Payer.SPEC, claimant.spec or claimant.dag_id)))
        if self._settings.budgets_file:
            from vertex_batch.specs.team_budgets import load_team_budgets  # noqa: PLC0415 - brings the spec reader

            teams = load_team_budgets(Path(self._settings.budgets_file))
            found += [(budget, budget.of(payer, name)) for budget, payer, name in teams.of(claimant.team)]
        found = [(budget, limits) for budget, limits in found if limits]
        return _Limits(
            [limit for _, limits in found for limit in limits],
            max((budget.unknown for budget, _ in found), key=lambda v: v.severity, default=Verdict.WARN),
            next((budget.approvers for budget, _ in found if budget.approvers), ()),
            tuple(budget.approval_timeout for budget, _ in found if budget.approval_timeout),
        )

    def _claim(
        self, claimant: Claimant, rules: _Limits, rows: int | None
    ) -> tuple[Estimate, Decision, Approval]:
        expected = self._estimate(claimant, rows)
        approval = Approval(self._context, claimant.job_key)
        decision = self._ledger.claim(
            claimant,
            expected,
            [limit.account for limit in rules.limits],
            _decided(rules, expected),
            approved_by=approval.by,
            approved=lambda decided: within_approval(decided, expected.expected, approval.usd),
        )
        return expected, decision, approval

    def _estimate(self, claimant: Claimant, rows: int | None) -> Estimate:
        if any(uri.startswith(BIGQUERY_SCHEME) for uri in self._material.uris):
            return unknown_estimate("the input is a BigQuery table, whose rows are not counted")
        book = self._price_book(claimant)
        threshold = book.thresholds().get(canonical_model(claimant.model))
        history = usable(self._ledger.history(claimant))
        try:
            storage = self._material.open_storage()
            objects = storage.find(self._material.uris)
            if history and rows is not None:
                survey = counted_only(Totals(sum(item.size for item in objects), rows))
            else:
                survey = survey_input(storage.open, objects, claimant.model, threshold, rows)
        except (VertexBatchError, OSError) as error:
            return unknown_estimate(f"the input could not be read: {error}")
        return estimate(survey, claimant.model, claimant.location, book, history)

    def _price_book(self, claimant: Claimant) -> PriceBook:
        """The prices that the bill will have, too."""
        folder = self._settings.price_folder
        job = JobFacts(claimant.project, claimant.location, "", spec=claimant.spec, task_id=claimant.task_id)
        stated = {spec_job(job): self._settings.prices}
        return PriceBooks(self._client, Path(folder) if folder else None, stated).of(job)

    def _act(
        self, claimant: Claimant, rules: _Limits, expected: Estimate, decision: Decision, approval: Approval
    ) -> None:
        who = f"{claimant.dag_id}.{claimant.task_id}"
        self._report(expected, decision)
        metrics.weighed(decision.verdict, spec=claimant.spec, team=claimant.team, model=claimant.model)
        if decision.verdict is Verdict.REFUSE:
            raise BudgetExceededError(who, decision.message)
        if decision.verdict is Verdict.WARN:
            self._log.warning("Over a budget, and submitted all the same: %s", decision.message)
        if decision.verdict is Verdict.HOLD:
            self._hold(who, rules, expected, decision, approval)

    def _report(self, expected: Estimate, decision: Decision) -> None:
        self._log.info("Expected cost: %s for %s rows (%s)", expected, f"{expected.rows:,}", expected.method)
        for reason in expected.unknown:
            self._log.warning("Not known in the expected cost: %s", reason)
        if decision.reasons:
            self._log.info("Its budgets say %s: %s", decision.verdict, decision.message)
        report = {**expected.to_dict(), "verdict": str(decision.verdict), "reason": decision.message}
        self._context["ti"].xcom_push(ESTIMATE_XCOM, report)

    def _hold(
        self, who: str, rules: _Limits, expected: Estimate, decision: Decision, approval: Approval
    ) -> None:
        if within_approval(decision, expected.expected, approval.usd):
            self._log.warning("Over a budget, and approved by %s: %s", approval.by, decision.message)
            return
        if approval.usd is not None:
            grown = f"its expected cost has grown to {expected.expected} since {approval.by} approved"
            raise ApprovalRefusedError(who, f"{grown} up to {usd(approval.usd)}")
        self._log.warning("Held for approval: %s", decision.message)
        approval.ask(
            expected,
            decision,
            approvers=rules.approvers,
            timeout=min(rules.timeouts, default=None),
            method_name=RESUMES_WITH,
        )


def _decided(rules: _Limits, expected: Estimate) -> Callable[[Mapping[Account, Sums]], Decision]:
    """The decision over the sums. A task can always ask a person, so a guess is held and not refused."""
    guess = Guess(expected.low, expected.method) if expected.is_guess else None
    return lambda sums: decide(
        rules.limits,
        sums,
        expected.expected,
        rules.unknown,
        guess=guess,
        has_assumptions=expected.has_assumptions,
    )
