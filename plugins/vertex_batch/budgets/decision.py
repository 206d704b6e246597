"""May a job be submitted? The decision, over plain sums; nothing here reads a clock, a table or Airflow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from vertex_batch.budgets.limits import Account, BudgetRules, Limit, Ruling
from vertex_batch.costs.bill import Total, add_totals
from vertex_batch.costs.money import usd
from vertex_batch.errors import PermanentError

if TYPE_CHECKING:
    from vertex_batch.budgets.estimating import Estimate

NOTHING = Total(Decimal(0), complete=True)


@dataclass(frozen=True, slots=True)
class Sums:
    """The amounts charged to an account.

    :param spent: by the bills of its jobs.
    :param reserved: by the estimates of those that have no bill yet.
    """

    spent: Total = NOTHING
    reserved: Total = NOTHING

    @property
    def charged(self) -> Total:
        """Both together, which is compared with a limit."""
        return add_totals([self.spent, self.reserved])


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and a sentence for each limit that led to it.

    :param reasons: the most severe first; empty for go.
    :param lower_bounds: a sentence for each account that is within its limits as far as its sums are known.
    """

    verdict: Ruling
    reasons: tuple[str, ...] = ()
    lower_bounds: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join(self.reasons)

    def lines(self) -> list[str]:
        """For a person; empty if there is nothing to say."""
        return [*([f"{self.verdict}: {self.message}"] if self.reasons else []), *self.lower_bounds]


@dataclass(frozen=True, slots=True)
class UnbilledJob:
    """A job that has no bill yet, or that its budget held or refused.

    :param job_id: empty if no job was created.
    :param verdict: of its budgets.
    :param since: when it was estimated, which is right before it is submitted.
    """

    dag_id: str
    run_id: str
    job_id: str
    expected: Total
    verdict: str = "go"
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Guess:
    """The certain part of a first estimate, whose input was not counted exactly.

    The rest of it must not lead to a refusal: a refused job leaves no bill, so the same guess would refuse
    the spec forever.

    :param least_usd: the least expected cost. If this alone exceeds a limit, the job is refused.
    :param method: how the estimate was made, for the message.
    """

    least_usd: Decimal
    method: str = ""

    @property
    def reason(self) -> str:
        how = f" ({self.method})" if self.method else ""
        return f"not refused but held for approval, because its estimate is a first guess{how}"


def decision_on(expected: Estimate, rules: BudgetRules) -> Callable[[Mapping[Account, Sums]], Decision]:
    """The decision over the sums. A task can always ask a person, so a guess is held, not refused."""
    guess = Guess(expected.low, expected.method) if expected.is_guess else None
    return lambda sums: decide(
        rules.limits,
        sums,
        expected.expected,
        rules.unknown,
        guess=guess,
        has_assumptions=expected.has_assumptions,
    )


def decide(
    limits: Iterable[Limit],
    sums: Mapping[Account, Sums],
    estimate: Total,
    unknown: Ruling = Ruling.WARN,
    *,
    guess: Guess | None = None,
    has_assumptions: bool = False,
) -> Decision:
    """Compare an estimate with every limit. The most severe verdict counts.

    A sum equal to a limit does not exceed it. If several limits of one account are exceeded, the most severe
    one counts.

    :param estimate: the job's expected cost; a lower bound if it is not complete.
    :param unknown: the verdict if part of the estimate has no price or an assumed length and any limit is
        set.
    :param guess: set if the estimate alone must not lead to a refusal. Amounts that are spent, reserved or
        certain still can.
    :param has_assumptions: whether the lengths of files were assumed.
    """
    limits = list(limits)
    speaking: dict[Account, Limit] = {}
    for limit in limits:
        charged = sums.get(limit.account, Sums())
        if charged.charged.amount + estimate.amount > limit.usd:
            known = speaking.get(limit.account)
            if known is None or limit.verdict.severity > known.verdict.severity:
                speaking[limit.account] = limit
    found = [_weigh(limit, sums.get(account, Sums()), estimate, guess) for account, limit in speaking.items()]
    if limits and not estimate.complete:
        found.append((unknown, "part of its cost has no price, so its limits cannot be checked"))
    elif limits and has_assumptions:
        found.append(
            _soften(unknown, "the lengths of files were assumed, so its limits cannot be checked", guess)
        )
    found = [each for each in found if each[0] is not Ruling.GO]
    found.sort(key=lambda each: -each[0].severity)
    verdict = found[0][0] if found else Ruling.GO
    bounds = [
        f"{account}: {charged.charged} spent or reserved, since a part has no price: it may exceed a limit"
        for account, charged in sums.items()
        if not (charged.charged.complete or account in speaking)
    ]
    return Decision(verdict, tuple(reason for _, reason in found), tuple(bounds))


def _weigh(limit: Limit, charged: Sums, estimate: Total, guess: Guess | None) -> tuple[Ruling, str]:
    sentence = _sentence(limit, charged, estimate)
    if guess and charged.charged.amount + guess.least_usd <= limit.usd:
        return _soften(limit.verdict, sentence, guess)
    return limit.verdict, sentence


def _soften(verdict: Ruling, sentence: str, guess: Guess | None) -> tuple[Ruling, str]:
    if guess is None or verdict is not Ruling.REFUSE:
        return verdict, sentence
    return Ruling.HOLD, f"{sentence}; {guess.reason}"


def covers(approved: Total | None, estimate: Total) -> bool:
    """Whether an approval covers an estimate, which may have no unknown part that was not shown."""
    if approved is None or (approved.complete and not estimate.complete):
        return False
    return estimate.amount <= approved.amount


def within_approval(decision: Decision, estimate: Total, approved: Total | None) -> bool:
    """Whether a person's approval covers a job that would be held.

    Approval never overrides `refuse`: that limit is absolute.
    """
    return decision.verdict is Ruling.HOLD and covers(approved, estimate)


def _sentence(limit: Limit, charged: Sums, estimate: Total) -> str:
    parts = [f"{charged.spent} spent"] if charged.spent != NOTHING else []
    parts += [f"{charged.reserved} reserved for unbilled jobs"] if charged.reserved != NOTHING else []
    parts += [f"{estimate} estimated"]
    whole = add_totals([charged.charged, estimate])
    summed = f"{' + '.join(parts)} = {whole}" if len(parts) > 1 else parts[0]
    return f"{limit.account}: {summed}, over its limit of {usd(limit.usd)} ({limit.verdict})"


class BudgetExceededError(PermanentError):
    """A budget refused a job.

    :param who: the task that wanted to submit it.
    :param sums: the limits that it would exceed, with their sums.
    """

    def __init__(self, who: str, sums: str) -> None:
        self.who, self.sums = who, sums
        super().__init__(
            f"The budget refuses the job of {who}: {sums}. Nothing was submitted, and nothing was spent."
            " A retry will fail the same way. Raise the limit, or run this again when the budget has room."
        )


class ApprovalRefusedError(PermanentError):
    """A job was held for a person's approval and did not get it.

    :param who: the task that asked for approval.
    :param why: such as "ann rejected it".
    :param next_step: what a person can do.
    """

    def __init__(self, who: str, why: str, next_step: str = "Run this again to ask again.") -> None:
        self.who, self.why, self.next_step = who, why, next_step
        super().__init__(
            f"The job of {who} was held for approval: {why}. Nothing was submitted, and nothing was spent."
            f" A retry will fail the same way. {next_step}"
        )
