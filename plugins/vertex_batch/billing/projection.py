"""Project the cost of a sample of the rows to all rows, with its uncertainty. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from vertex_batch.costs.bill import Bill
from vertex_batch.costs.money import in_full, rounded

_MIN_FOR_A_SPREAD = 2
_FINEST = Decimal("0.000001")
_TWO_SIDED_95 = Decimal("1.96")


@dataclass(frozen=True, slots=True)
class Projection:
    """The estimated cost of all rows, from a sample of them.

    :param rows: rows of the sample.
    :param of_rows: all rows of the input.
    :param amount_usd: the sample's cost per row, times all rows. It is rounded, since it is an estimate.
    :param standard_error_usd: of that amount, if every row had the same chance to be drawn; None for a sample
        of one row.
    :param complete: False if a part of the sample has no price; then the amount is a lower bound.
    :param by_kind: the amount by kind of usage; the parts add up to it.
    """

    rows: int
    of_rows: int
    amount_usd: Decimal
    standard_error_usd: Decimal | None
    complete: bool
    by_kind: dict[str, Decimal]

    @property
    def range_usd(self) -> tuple[Decimal, Decimal] | None:
        """The range of the amount in 19 of 20 samples, approximately."""
        if self.standard_error_usd is None:
            return None
        margin = _rounded(_TWO_SIDED_95 * self.standard_error_usd)
        return max(self.amount_usd - margin, Decimal(0)), self.amount_usd + margin

    def __str__(self) -> str:
        at_least = "" if self.complete else "at least "
        text = f"All {self.of_rows:,} rows would cost {at_least}{rounded(self.amount_usd)} USD"
        if self.standard_error_usd is None:
            return f"{text}, estimated from a single row."
        if self.rows >= self.of_rows:
            return f"{text}: the sample is the whole input."
        low, high = self.range_usd or (self.amount_usd, self.amount_usd)
        return (
            f"{text}, standard error {rounded(self.standard_error_usd)} USD: 19 of 20 such samples of"
            f" {self.rows:,} rows would give {rounded(low)} to {rounded(high)}. The sample may miss rare rows"
            " that are much longer than the others."
        )

    def to_dict(self) -> dict[str, Any]:
        low_high = self.range_usd
        return {
            "rows": self.rows,
            "of_rows": self.of_rows,
            "amount_usd": in_full(self.amount_usd),
            "standard_error_usd": None
            if self.standard_error_usd is None
            else in_full(self.standard_error_usd),
            "range_usd": None if low_high is None else [in_full(each) for each in low_high],
            "complete": self.complete,
            "by_kind_usd": {kind: in_full(amount) for kind, amount in self.by_kind.items()},
            "text": str(self),
        }


def project(bill: Bill, row_costs: Sequence[Decimal], of_rows: int) -> Projection | None:
    """Project the bill of a sample to all rows. None if no row was answered.

    :param row_costs: the cost of each row of the sample, 0 for a failed one.
    :param of_rows: all rows of the input.
    """
    rows = len(row_costs)
    if not rows:
        return None
    factor = Decimal(of_rows) / rows
    by_kind: dict[str, Decimal] = {}
    for item in bill.line_items:
        if item.amount_usd:
            by_kind[item.kind] = by_kind.get(item.kind, Decimal(0)) + item.amount_usd * factor
    by_kind = {kind: _rounded(amount) for kind, amount in by_kind.items()}
    return Projection(
        rows=rows,
        of_rows=of_rows,
        amount_usd=sum(by_kind.values(), Decimal(0)),
        standard_error_usd=_standard_error(row_costs, of_rows),
        complete=bill.total.complete,
        by_kind=by_kind,
    )


def _standard_error(costs: Sequence[Decimal], of_rows: int) -> Decimal | None:
    """The standard error of the sum over all rows, for a sample drawn without replacement."""
    n = len(costs)
    if n < _MIN_FOR_A_SPREAD:
        return None
    mean = sum(costs, Decimal(0)) / n
    variance = sum(((cost - mean) ** 2 for cost in costs), Decimal(0)) / (n - 1)
    not_drawn = Decimal(max(of_rows - n, 0)) / of_rows
    return _rounded(of_rows * (variance / n * not_drawn).sqrt())


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_FINEST, ROUND_HALF_EVEN)
