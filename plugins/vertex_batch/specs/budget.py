"""What may be spent: the key ``budget`` of a spec, and each entry of the file with the teams' limits."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)

from vertex_batch.budgets.limits import Budget, Ruling, Window
from vertex_batch.specs.durations import show_duration
from vertex_batch.specs.values import MOST_DECIMALS, Duration, Line, dollars, has_too_many_decimals

HIGHEST_LIMIT = 1_000_000
_SHORTEST_WAIT = timedelta(minutes=1)


def _usd(value: Any) -> Any:
    amount = dollars(value)
    if not amount.is_finite() or not 0 <= amount <= HIGHEST_LIMIT:
        raise ValueError(f"must be between 0 and {HIGHEST_LIMIT} US dollars, not {value}")
    if has_too_many_decimals(amount):
        raise ValueError(f"{value} has more than {MOST_DECIMALS} decimals")
    return amount


LimitUsd = Annotated[
    Decimal,
    BeforeValidator(_usd),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": HIGHEST_LIMIT}),
]


class LimitFields(BaseModel):
    """What happens to a job that would raise a sum above an amount."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    warn: LimitUsd | None = Field(
        default=None, description="Above this, the job is submitted with a warning in the log."
    )
    hold: LimitUsd | None = Field(
        default=None, description="Above this, the job waits until a person approves it."
    )
    refuse: LimitUsd | None = Field(
        default=None, description="Above this, the task fails and nothing is submitted."
    )

    @model_validator(mode="after")
    def _ascending(self) -> LimitFields:
        stated = [(name, amount) for name, amount in self if amount is not None]
        if not stated:
            raise ValueError("has no limit: set for example `refuse: 20`")
        for (lower, low), (higher, high) in pairwise(stated):
            if low >= high:
                raise ValueError(f"`{lower}` ({low}) must be less than `{higher}` ({high})")
        return self


class BudgetFields(BaseModel):
    """Limits in US dollars. A sum is the amount spent, reserved by jobs without a bill, and estimated."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    per_run: LimitFields | None = Field(
        default=None, description="For the jobs of one run.", examples=[{"warn": 2, "hold": 5, "refuse": 20}]
    )
    per_day: LimitFields | None = Field(
        default=None, description="For the jobs submitted on one day (UTC).", examples=[{"refuse": 50}]
    )
    per_month: LimitFields | None = Field(
        default=None, description="For the jobs submitted in one month (UTC).", examples=[{"hold": 300}]
    )
    unknown: Literal["warn", "hold", "refuse"] = Field(
        default="warn",
        description="What happens to a job whose cost is partly unknown, so its limits cannot be checked.",
    )
    approvers: Annotated[list[Line], Field(max_length=50)] = Field(
        default_factory=list,
        description="Airflow user ids of the approvers. Default: every user who may act on the DAG.",
    )
    approval_timeout: Duration | None = Field(
        default=None,
        description="How long a held job waits for approval before its task fails.",
        examples=["12h"],
    )

    @model_validator(mode="after")
    def _says_something(self) -> BudgetFields:
        if not (self.per_run or self.per_day or self.per_month):
            raise ValueError("has no limit: set `per_run`, `per_day` or `per_month`")
        if self.approval_timeout is not None and self.approval_timeout < _SHORTEST_WAIT:
            raise ValueError(f"`approval_timeout` must be at least {show_duration(_SHORTEST_WAIT)}")
        return self

    def to_budget(self) -> Budget:
        """Convert to the form that the decision uses."""
        periods = {
            Window.RUN: self.per_run,
            Window.DAY: self.per_day,
            Window.MONTH: self.per_month,
        }
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
