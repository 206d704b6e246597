"""One day's costs as a short text. Pure: the caller provides the figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from vertex_batch.budgets.decision import Sums, UnbilledJob
from vertex_batch.budgets.limits import Account, Limit
from vertex_batch.costs.bill import Total, add_totals
from vertex_batch.costs.money import usd
from vertex_batch.errors import count_of

MOST_LINES = 20
"""Maximum lines per section; the pages have the rest."""


@dataclass(frozen=True, slots=True)
class DaySpend:
    """The spend of one spec or team on the day."""

    name: str
    total: Total
    jobs: int
    failed_rows: int = 0
    rows: int = 0
    unrecognized_rows: int = 0


@dataclass(frozen=True, slots=True)
class Digest:
    """The contents of one day's digest.

    :param earlier: the spend of runs of earlier days whose jobs ended on this day, as those of a backfill. It
        is not in the sums of the day.
    :param failed: jobs that ended without results, as ``spec: state job``.
    :param month: monthly limits, each with the amounts spent and reserved.
    :param running: jobs without a bill.
    :param kept_back: jobs that were held or refused on the day.
    :param month_end: what the month comes to so far, and probably at its end.
    :param price_flags: lists whose prices contradict each other, as they were flagged on bills.
    :param ending: models of recent jobs that stop, and what their successors would cost.
    """

    day: date
    specs: Sequence[DaySpend] = ()
    teams: Sequence[DaySpend] = ()
    earlier: Sequence[DaySpend] = ()
    failed: Sequence[str] = ()
    month: Sequence[tuple[Limit, Sums]] = ()
    running: Sequence[UnbilledJob] = ()
    kept_back: Sequence[UnbilledJob] = ()
    month_end: str = ""
    price_flags: Sequence[str] = ()
    ending: Sequence[str] = ()

    @property
    def total(self) -> Total:
        return add_totals(spend.total for spend in self.specs)

    def text(self) -> str:
        jobs = sum(spend.jobs for spend in self.specs)
        head = f"Batch prediction jobs on {self.day}: {self.total.rounded}, {count_of(jobs, 'job')}"
        unpriced = [spend.name or "(no spec)" for spend in self.specs if not spend.total.complete]
        parts = [
            head,
            _part("By spec", [_spend(each) for each in _most_expensive(self.specs)]),
            _part("By team", [_spend(each) for each in _most_expensive(self.teams)]),
            _part(
                "Jobs of earlier days that ended on this day",
                [_spend(each) for each in _most_expensive(self.earlier)],
            ),
            _part("This month", [self.month_end] if self.month_end else []),
            _part("This month vs. budget", [_limit(limit, sums) for limit, sums in self.month]),
            _part("Failed", list(self.failed)),
            _part("Without a price", unpriced),
            _part("Contradicting prices", list(self.price_flags)),
            _part("Models that stop", list(self.ending)),
            _part("Running, or not billed yet", [_waiting(each) for each in self.running]),
            _part("Held or refused", [f"{_waiting(each)} ({each.verdict})" for each in self.kept_back]),
        ]
        return "\n\n".join(part for part in parts if part)


def highest(limits: Iterable[Limit]) -> list[Limit]:
    """The highest limit of each account, which is the most that it may spend."""
    found: dict[Account, Limit] = {}
    for limit in limits:
        if limit.account not in found or limit.usd > found[limit.account].usd:
            found[limit.account] = limit
    return list(found.values())


def _part(title: str, lines: Sequence[str]) -> str:
    if not lines:
        return ""
    more = [f"  and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    return "\n".join([f"{title}:", *(f"  {line}" for line in lines[:MOST_LINES]), *more])


def _most_expensive(spends: Sequence[DaySpend]) -> list[DaySpend]:
    return sorted(spends, key=lambda spend: (-spend.total.amount, spend.name))


def _spend(spend: DaySpend) -> str:
    failed = f", {spend.failed_rows:,} of {spend.rows:,} rows failed" if spend.failed_rows else ""
    unknown = f", {spend.unrecognized_rows:,} rows unrecognized" if spend.unrecognized_rows else ""
    return f"{spend.name or '(none)'}: {spend.total.rounded}, {count_of(spend.jobs, 'job')}{failed}{unknown}"


def _limit(limit: Limit, sums: Sums) -> str:
    used = sums.charged
    share = f" ({used.amount / limit.usd:.0%})" if limit.usd else ""
    over = "; OVER" if used.amount > limit.usd else ""
    return f"{limit.account}: {used.rounded} of {usd(limit.usd)}{share}{over}"


def _waiting(job: UnbilledJob) -> str:
    expected = f", expected {job.expected.about}" if job.expected.amount or not job.expected.complete else ""
    return f"{job.dag_id} {job.run_id}{f' job {job.job_id}' if job.job_id else ''}{expected}"
