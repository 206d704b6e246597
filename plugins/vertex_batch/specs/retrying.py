"""``retry_rows:`` of a job: which rows are sent again, and how often."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from pydantic import Field, ValidationInfo, field_validator

from vertex_batch.errors import count_of
from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.values import once_each

if TYPE_CHECKING:
    from vertex_batch.costs import Total

RetryReason = Literal["transient", "truncated", "invalid"]
MAX_ROUNDS = 5
ROUNDS = "retry_rows: {rounds: 1}"
"""What a spec says to send rows again, as an example."""


class RetryRowsFields(SpecModel):
    """Rows that are sent again by themselves after their job has ended."""

    rounds: int = Field(default=1, ge=1, le=MAX_ROUNDS, examples=[2])
    """How many times rows are sent again. A round without such rows submits nothing, and the rounds end early
    when one has brought no new answer."""
    reasons: list[RetryReason] = Field(
        default=["transient"], min_length=1, examples=[["transient", "truncated"]]
    )
    """Which rows. `transient`: Vertex failed them for a passing reason, or their job died before it reached
    them. `truncated`: the answer ended at `MAX_TOKENS`. `invalid`: the answer is not JSON or does not match
    the schema. The last two were paid for and are paid for again."""

    @field_validator("reasons")
    @classmethod
    def _each_once(cls, value: list[RetryReason]) -> list[RetryReason]:
        return once_each(value, "; remove one of the two")

    def lines(self, expected: Total | None) -> list[str]:
        """Say what the rounds may add to the cost.

        :param expected: what sending all rows once is expected to cost; None: not known.
        """
        rounds = count_of(self.rounds, "round")
        lines = [f"up to {rounds} send {', '.join(self.reasons)} rows again; budgets are checked again"]
        paid = [reason for reason in self.reasons if reason != "transient"]
        if not paid:
            return [
                *lines,
                "these rows were not answered, so the rounds stay within the cost of sending each row once",
            ]
        most = "as much as sending all rows once, in each round"
        if expected and expected.is_known:
            most = replace(expected, amount=expected.amount * self.rounds).about
            most += " more, if every row is sent each time"
        return [*lines, f"{' and '.join(paid)} rows are paid for each time: up to {most}"]


class RetryFields(SpecModel):
    """Whether rows are sent again."""

    retry_rows: RetryRowsFields | None = Field(
        default=None, examples=[{"rounds": 2, "reasons": ["transient"]}]
    )
    """Send only those rows again that have no good answer for one of these reasons, as further jobs with
    their own bills. Rows with a good answer are never sent again. Default: no row is sent again."""

    @field_validator("retry_rows")
    @classmethod
    def _fits_the_job(cls, value: RetryRowsFields | None, info: ValidationInfo) -> RetryRowsFields | None:
        if value is None:
            return None
        if any(uri.startswith("bq://") for uri in info.data.get("inputs", ())):
            raise ValueError(
                "is not allowed for BigQuery inputs: only rows of files can be sent again; remove it, or"
                " export the table to files"
            )
        if "results" in info.data and info.data["results"] is None:
            raise ValueError(
                "needs `results`: the answers of the rounds are in several outputs, and the delivery joins"
                " them; add for example `results: {to: gs://my-bucket/answers/{{ run_date }}.parquet}`"
            )
        ratio = info.data.get("max_failed_ratio", 1.0)
        if ratio < 1:
            raise ValueError(
                f"cannot be combined with `max_failed_ratio: {ratio:g}`, which would fail the run before a"
                " row is sent again; remove `max_failed_ratio`, and limit what is left after the rounds with"
                " `results.max_exceptions_ratio`"
            )
        return value
