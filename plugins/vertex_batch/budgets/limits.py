"""The terms of budgets: the payer, the period, the amount, and what happens above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple


class Ruling(StrEnum):
    """A budget's decision on a job that is about to be submitted, the mildest first."""

    GO = "go"
    WARN = "warn"
    HOLD = "hold"
    REFUSE = "refuse"

    @property
    def severity(self) -> int:
        return list(Ruling).index(self)


class Window(StrEnum):
    """Which jobs are added up: those of one DAG run, or those submitted on one day or in one month (UTC)."""

    RUN = "run"
    DAY = "day"
    MONTH = "month"

    def span(self, moment: datetime) -> tuple[datetime, datetime] | None:
        """The first moment of the day or month that a moment is in, and of the next; None for a run."""
        midnight = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        if self is Window.RUN:
            return None
        if self is Window.DAY:
            return midnight, midnight + timedelta(days=1)
        first = midnight.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1)


class Payer(StrEnum):
    """Whose jobs are added up."""

    SPEC = "spec"
    TEAM = "team"
    EVERYONE = "everyone"


@dataclass(frozen=True, slots=True)
class Account:
    """A payer by name, over one period.

    :param name: of the spec or team; empty for everyone.
    """

    payer: Payer
    name: str
    period: Window

    def __str__(self) -> str:
        whose = "all teams" if self.payer is Payer.EVERYONE else f"{self.payer} {self.name}"
        return f"this run of {whose}" if self.period is Window.RUN else f"the {self.period} of {whose}"


@dataclass(frozen=True, slots=True)
class Limit:
    """Above this sum of an account, that happens.

    :param usd: the highest allowed sum; one picodollar more exceeds it.
    """

    account: Account
    verdict: Ruling
    usd: Decimal


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of one payer, as a spec or the team file states them.

    :param limits: by period and verdict, in US dollars.
    :param unknown: the verdict if part of an estimate has no price, so that its limits cannot be checked.
    :param approvers: user ids that may approve. Empty: every user who may act on the DAG.
    :param approval_timeout: how long a job waits for approval before it is refused.
    """

    limits: Mapping[Window, Mapping[Ruling, Decimal]] = field(default_factory=dict)
    unknown: Ruling = Ruling.WARN
    approvers: tuple[str, ...] = ()
    approval_timeout: timedelta | None = None

    def limits_of(self, payer: Payer, name: str) -> list[Limit]:
        return [
            Limit(Account(payer, name, period), verdict, usd)
            for period, amounts in self.limits.items()
            for verdict, usd in amounts.items()
        ]


@dataclass(frozen=True, slots=True)
class BudgetRules:
    """The limits that apply to one job, and the other settings of their budgets.

    :param unknown: the strictest of these budgets.
    """

    limits: tuple[Limit, ...] = ()
    unknown: Ruling = Ruling.WARN
    approvers: tuple[str, ...] = ()
    approval_timeout: timedelta | None = None

    @classmethod
    def of(cls, payers: Iterable[tuple[Budget, Payer, str]]) -> BudgetRules:
        """Combine budgets: that of the spec first, then that of its team, then that of all teams."""
        found = [(budget, budget.limits_of(payer, name)) for budget, payer, name in payers]
        stated = [budget for budget, limits in found if limits]
        return cls(
            tuple(limit for _, limits in found for limit in limits),
            max((budget.unknown for budget in stated), key=lambda v: v.severity, default=Ruling.WARN),
            # A spec is its team's own; the limits of all teams come last, and their approvers first.
            next((budget.approvers for budget in reversed(stated) if budget.approvers), ()),
            min((each.approval_timeout for each in stated if each.approval_timeout), default=None),
        )

    @property
    def accounts(self) -> list[Account]:
        return list(dict.fromkeys(limit.account for limit in self.limits))


class RunKey(NamedTuple):
    """What identifies a DAG run."""

    dag_id: str
    run_id: str


@dataclass(frozen=True, slots=True)
class BudgetRequest:
    """The job that is about to be submitted, and who pays for it.

    :param job_key: see `lifecycle.TaskIdentity.job_key`: a retry claims under the same one.
    """

    job_key: str
    project: str
    location: str
    model: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    spec: str = ""
    team: str = ""
