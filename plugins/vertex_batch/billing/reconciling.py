"""Compare our bills with the amounts of other systems, job by job, and explain differences. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from vertex_batch.costs.bill import Bill, Total, add_totals, total
from vertex_batch.costs.money import per_million
from vertex_batch.pricing import LineItem, add, canonical_model
from vertex_batch.pricing.exact import exact

# The proxy adds up floats: a smaller difference is its rounding. USD.
NOISE = Decimal("1e-9")
NOT_BILLED = "no row of the export names this job"
_SERVICES = ("vertex", "agent platform")  # the service's names, of which an export may have either


@dataclass(frozen=True, slots=True)
class JobComparison:
    """Our bill of one job and the amount of another system.

    :param theirs: their amount in USD; None if they have none.
    :param why: known reasons for the difference.
    """

    bill: Bill
    theirs: Total | None
    why: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return canonical_model(self.bill.job.model)

    @property
    def difference(self) -> Decimal | None:
        """Their amount minus ours, 0 if it is noise; None if they have no amount."""
        return None if self.theirs is None else _difference(self.theirs.amount, self.bill.total.amount)

    @property
    def differs(self) -> bool:
        """Whether two amounts were compared and differ."""
        return self.theirs is not None and (
            bool(self.difference) or self.theirs.complete != self.bill.total.complete
        )


@dataclass(frozen=True, slots=True)
class ModelSum:
    """The jobs of one model for which both systems have an amount."""

    model: str
    jobs: int
    ours: Total
    theirs: Total

    @property
    def difference(self) -> Decimal:
        """Their amount minus ours, 0 if it is noise."""
        return _difference(self.theirs.amount, self.ours.amount, self.jobs)


def _difference(theirs: Decimal, ours: Decimal, jobs: int = 1) -> Decimal:
    found = add((theirs, -ours))
    return Decimal(0) if abs(found) <= jobs * NOISE else found


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All jobs, and what the other system has that belongs to none of our jobs: its name -> USD."""

    jobs: Sequence[JobComparison]
    unmatched: Mapping[str, Decimal] = field(default_factory=dict)

    @property
    def compared(self) -> list[JobComparison]:
        return [job for job in self.jobs if job.theirs is not None]

    def reasons_without_figure(self) -> dict[str, int]:
        """Count the jobs for which the other system has no amount, by reason, most frequent first."""
        counts = Counter(why for job in self.jobs if job.theirs is None for why in job.why)
        return dict(counts.most_common())

    def models(self) -> list[ModelSum]:
        by_model: dict[str, list[JobComparison]] = {}
        for job in self.compared:
            by_model.setdefault(job.model, []).append(job)
        return [
            ModelSum(
                model,
                len(jobs),
                add_totals(job.bill.total for job in jobs),
                add_totals(job.theirs for job in jobs if job.theirs),
            )
            for model, jobs in sorted(by_model.items())
        ]


def against_prices(repriced: Iterable[tuple[Bill, Sequence[LineItem]]]) -> Reconciliation:
    return Reconciliation([_at_other_prices(bill, items) for bill, items in repriced])


def _at_other_prices(bill: Bill, items: Sequence[LineItem]) -> JobComparison:
    before = {_line(item): item for item in bill.line_items}
    why = (
        f"{_line(item)}: {_rate(old)} -> {_rate(item)}"
        for item in items
        if (old := before.get(_line(item))) is not None and old.unit_price_usd != item.unit_price_usd
    )
    return JobComparison(bill, total(items), tuple(why))


def _line(item: LineItem) -> str:
    day = f"from {item.priced_on}" if item.priced_on else ""
    parts = (item.model, item.kind, item.modality, item.tier, item.cache_ttl, day)
    return " ".join(part for part in parts if part not in ("", "text", "standard"))


def _rate(item: LineItem) -> str:
    if item.unit_price_usd is None:
        return "unknown"
    return f"{per_million(item.unit_price_usd)} USD per million ({item.source})"


def against_billing(bills: Iterable[Bill], rows: Iterable[Mapping[str, str]], label: str) -> Reconciliation:
    """Compare bills with a billing export in the columns of FOCUS.

    A row belongs to the job that its ``ResourceId`` names, or whose label is in its ``Tags``. Its list cost
    is used, since a bill has no discounts; if it has none, its billed cost is used.

    :param label: the label that holds a job's key.
    """
    of_job: dict[str, list[Decimal]] = {}
    others: dict[str, list[Decimal]] = {}
    known = list(bills)
    by_key = {bill.job.labels[label]: bill.job.job_id for bill in known if bill.job.labels.get(label)}
    ids = {bill.job.job_id for bill in known}
    for row in rows:
        cost = exact_cost(row)
        if cost is None:
            continue
        resource = (row.get("ResourceId") or "").rpartition("/")[2]
        job = resource if resource in ids else by_key.get(_tags(row.get("Tags") or "").get(label, ""))
        if job is not None:
            of_job.setdefault(job, []).append(cost)
        elif any(name in (row.get("ServiceName") or "").lower() for name in _SERVICES):
            others.setdefault(row.get("ChargeDescription") or "(no description)", []).append(cost)
    jobs = [_on_the_invoice(bill, of_job.get(bill.job.job_id)) for bill in known]
    return Reconciliation(jobs, {name: add(costs) for name, costs in sorted(others.items())})


def exact_cost(row: Mapping[str, str]) -> Decimal | None:
    """The list cost of a FOCUS row, which may be negative; None if it has none.

    A row of our own export has the standard rate there, so its billed cost is used.
    """
    columns = ("BilledCost",) if row.get("x_BilledPicoUsd") else ("ListCost", "BilledCost")
    text = next(filter(None, (row.get(name) for name in columns)), "").strip()
    cost = exact(text.removeprefix("-"))
    return -cost if cost is not None and text.startswith("-") else cost


def _on_the_invoice(bill: Bill, costs: Sequence[Decimal] | None) -> JobComparison:
    if costs is None:
        return JobComparison(bill, None, (NOT_BILLED,))
    why = () if bill.total.complete else ("our sum is a lower bound",)
    return JobComparison(bill, Total(add(costs), complete=True), why)


def _tags(text: str) -> dict[str, str]:
    """Read tags: an object, as in FOCUS, or a list of keys and values, as BigQuery exports labels."""
    try:
        tags = json.loads(text)
    except ValueError:
        return {}
    if isinstance(tags, list):
        tags = {tag.get("key"): tag.get("value") for tag in tags if isinstance(tag, dict)}
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}
