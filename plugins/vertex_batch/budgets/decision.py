"""May a job be submitted? The decision, over plain sums; nothing here reads a clock, a table or Airflow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from vertex_batch.budgets.limits import Account, Limit, Verdict
from vertex_batch.costs.bill import Total, add_totals
from vertex_batch.costs.money import usd

NOTHING = Total(Decimal(0), complete=True)


@dataclass(frozen=True, slots=True)
class Sums:
    """What an account has been charged with.

    :param spent: by the bills of its jobs.
    :param reserved: by the estimates of those that have no bill yet.
    """

    spent: Total = NOTHING
    reserved: Total = NOTHING


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, and a sentence for each limit that led to it.

    :param reasons: the gravest first; empty for go.
    """

    verdict: Verdict
    reasons: tuple[str, ...] = ()

    @property
    def message(self) -> str:
        return "; ".join(self.reasons)


def decide(
    limits: Iterable[Limit],
    sums: Mapping[Account, Sums],
    estimate: Total,
    unknown: Verdict = Verdict.WARN,
) -> Decision:
    """Weigh an estimate against every limit; the gravest verdict counts.

    A sum that reaches a limit exactly keeps it. Of several limits of one account the highest one that is
    exceeded speaks for it.

    :param estimate: what the job is expected to cost; not complete: at least that much.
    :param unknown: what an estimate that is not complete comes to, where any limit is set.
    """
    limits = list(limits)
    gravest: dict[Account, Limit] = {}
    for limit in limits:
        charged = sums.get(limit.account, Sums())
        if charged.spent.amount + charged.reserved.amount + estimate.amount > limit.usd:
            known = gravest.get(limit.account)
            if known is None or limit.verdict.severity > known.verdict.severity:
                gravest[limit.account] = limit
    found = [
        (limit.verdict, _sentence(limit, sums.get(account, Sums()), estimate))
        for account, limit in gravest.items()
    ]
    if limits and not estimate.complete:
        found.append((unknown, "a part of its cost has no price, so no limit can be shown to be kept"))
    found = [each for each in found if each[0] is not Verdict.GO]
    found.sort(key=lambda each: -each[0].severity)
    verdict = found[0][0] if found else Verdict.GO
    return Decision(verdict, tuple(reason for _, reason in found))


def within_approval(decision: Decision, estimate: Total, approved_usd: Decimal | None) -> bool:
    """Whether a person's approval covers a job that would be held: it may not cost more than was approved.

    A refusal is above approval: who set that limit meant nobody at night to pass it.
    """
    return decision.verdict is Verdict.HOLD and approved_usd is not None and estimate.amount <= approved_usd


def _sentence(limit: Limit, charged: Sums, estimate: Total) -> str:
    parts = [f"{charged.spent} spent"] if charged.spent != NOTHING else []
    parts += [f"{charged.reserved} reserved for unbilled jobs"] if charged.reserved != NOTHING else []
    parts += [f"{estimate} estimated"]
    whole = add_totals([charged.spent, charged.reserved, estimate])
    summed = f"{' + '.join(parts)} = {whole}" if len(parts) > 1 else parts[0]
    return f"{limit.account}: {summed}, over its limit of {usd(limit.usd)} ({limit.verdict})"
