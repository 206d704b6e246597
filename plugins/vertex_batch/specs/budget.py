"""What may be spent: the key ``budget`` of a spec, and each entry of the file with the teams' limits."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from vertex_batch.budgets.limits import Budget, Ruling, Window
from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.values import MOST_DECIMALS, Dollars, Duration, Line, dollars, has_too_many_decimals

HIGHEST_LIMIT = 1_000_000
_SHORTEST_WAIT = timedelta(minutes=1)


def _usd(value: object) -> object:
    amount = dollars(value)
    if not amount.is_finite() or not 0 <= amount <= HIGHEST_LIMIT:
        raise ValueError(f"must be between 0 and {HIGHEST_LIMIT} US dollars, not {value}")
    if has_too_many_decimals(amount):
        raise ValueError(f"{value} has more than {MOST_DECIMALS} decimals")
    return amount


LimitUsd = Annotated[
    Dollars, BeforeValidator(_usd), WithJsonSchema({"type": "number", "minimum": 0, "maximum": HIGHEST_LIMIT})
]


class LimitFields(SpecModel):
    """What happens to a job that would raise a sum above an amount."""

    warn: LimitUsd | None = None
    """Above this, the job is submitted with a warning in the log."""
    hold: LimitUsd | None = None
    """Above this, the job waits until a person approves it."""
    refuse: LimitUsd | None = None
    """Above this, the task fails and nothing is submitted."""

    @model_validator(mode="after")
    def _ascending(self) -> LimitFields:
        stated = [(name, amount) for name, amount in self if amount is not None]
        if not stated:
            raise ValueError("has no limit: set for example `refuse: 20`")
        for (lower, low), (higher, high) in pairwise(stated):
            if low >= high:
                raise ValueError(f"`{lower}` ({low}) must be less than `{higher}` ({high})")
        return self


class BudgetFields(SpecModel):
    """Limits in US dollars. A sum is the amount spent, reserved by jobs without a bill, and estimated."""

    per_run: LimitFields | None = Field(default=None, examples=[{"warn": 2, "hold": 5, "refuse": 20}])
    """For the jobs of one run."""
    per_day: LimitFields | None = Field(default=None, examples=[{"refuse": 50}])
    """For the jobs submitted on one day (UTC)."""
    per_month: LimitFields | None = Field(default=None, examples=[{"hold": 300}])
    """For the jobs submitted in one month (UTC)."""
    unknown: Literal["warn", "hold", "refuse"] = "warn"
    """What happens to a job whose cost is partly unknown, so its limits cannot be checked."""
    approvers: list[Line] = Field(default_factory=list, max_length=50)
    """Airflow user ids of the approvers. Default: every user who may act on the DAG."""
    approval_timeout: Duration | None = Field(default=None, examples=["12h"])
    """How long a held job waits for approval before its task fails."""

    @model_validator(mode="after")
    def _says_something(self) -> BudgetFields:
        if not (self.per_run or self.per_day or self.per_month):
            raise ValueError("has no limit: set `per_run`, `per_day` or `per_month`")
        if self.approval_timeout is not None and self.approval_timeout < _SHORTEST_WAIT:
            raise ValueError(f"`approval_timeout` must be at least {show_duration(_SHORTEST_WAIT)}")
        return self

    def to_budget(self) -> Budget:
        """Convert to the form that the decision uses."""
        periods = {Window.RUN: self.per_run, Window.DAY: self.per_day, Window.MONTH: self.per_month}
        return Budget(
            limits={
                period: {Ruling(name): amount for name, amount in stated if amount is not None}
                for period, stated in periods.items()
                if stated is not None
            },
            unknown=Ruling(self.unknown),
            approvers=tuple(self.approvers),
            approval_timeout=self.approval_timeout,
        )
