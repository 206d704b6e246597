"""Our bills beside somebody else's figures, job by job, with the reasons that are known. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from vertex_batch.costs.bill import Bill, Total, total
from vertex_batch.costs.money import usd
from vertex_batch.pricing import Basis, LineItem, add, canonical_model
from vertex_batch.pricing.exact import exact, times
from vertex_batch.usage import Kind, Tier

# The proxy adds up floats: below this a difference is its rounding. USD.
NOISE = Decimal("1e-9")
NOT_COSTED = (
    "the proxy has no cost of this job: it costs batches only with its managed files, and only outputs below"
    " litellm-vertex-files/ in its own bucket"
)
NOT_BILLED = "no row of the export names this job"
_BATCH_ID = re.compile(r"llm_batch_id:([^;]+)")
_COST_SUFFIX = "_batch_cost"
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Compared:
    """One job.

    :param theirs: USD; None: they have no figure.
    :param why: what is known to make the difference.
    """

    bill: Bill
    theirs: Total | None
    why: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return canonical_model(self.bill.job.model)

    @property
    def difference(self) -> Decimal | None:
        """Theirs less ours; None where there are not two figures."""
        return None if self.theirs is None else add((self.theirs.amount, -self.bill.total.amount))

    @property
    def differs(self) -> bool:
        """Whether there is something to explain."""
        if self.theirs is None or self.difference is None:
            return True
        return abs(self.difference) > NOISE or self.theirs.complete != self.bill.total.complete


@dataclass(frozen=True, slots=True)
class ModelSum:
    """The jobs of one model for which there are two figures."""

    model: str
    jobs: int
    ours: Decimal
    theirs: Decimal


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """All jobs, and what they have that is no job of ours: its name -> USD."""

    jobs: Sequence[Compared]
    unmatched: Mapping[str, Decimal] = field(default_factory=dict)

    def models(self) -> list[ModelSum]:
        """The sums by model."""
        by_model: dict[str, list[Compared]] = {}
        for job in self.jobs:
            if job.theirs is not None:
                by_model.setdefault(job.model, []).append(job)
        return [
            ModelSum(
                model,
                len(jobs),
                add(job.bill.total.amount for job in jobs),
                add(job.theirs.amount for job in jobs if job.theirs),
            )
            for model, jobs in sorted(by_model.items())
        ]


def against_prices(repriced: Iterable[tuple[Bill, Sequence[LineItem]]]) -> Reconciliation:
    """Compare bills with what the same tokens cost at other prices."""
    return Reconciliation([_at_other_prices(bill, items) for bill, items in repriced])


def _at_other_prices(bill: Bill, items: Sequence[LineItem]) -> Compared:
    before = {_line(item): item for item in bill.line_items}
    why = (
        f"{_line(item)}: {_rate(old)} -> {_rate(item)}"
        for item in items
        if (old := before.get(_line(item))) is not None and old.unit_price_usd != item.unit_price_usd
    )
    return Compared(bill, total(items), tuple(why))


def _line(item: LineItem) -> str:
    parts = (item.model, item.kind, item.modality, item.tier, item.cache_ttl)
    return " ".join(part for part in parts if part not in ("", "text", "standard"))


def _rate(item: LineItem) -> str:
    if item.unit_price_usd is None:
        return "not known"
    return f"{usd(times(_MILLION, item.unit_price_usd))} per million ({item.source})"


def against_proxy(bills: Iterable[Bill], spend_logs: Iterable[Mapping[str, Any]]) -> Reconciliation:
    """Compare bills with what the proxy has recorded for them.

    :param spend_logs: rows of ``/spend/logs/v2``: request_id, spend, total_tokens, model.
    """
    logs: dict[str, list[Mapping[str, Any]]] = {}
    for log in spend_logs:
        logs.setdefault(logged_job(str(log.get("request_id") or "")), []).append(log)
    jobs = [_at_the_proxy(bill, logs.pop(bill.job.job_id, [])) for bill in bills]
    return Reconciliation(jobs, {job: _spend(rows) for job, rows in sorted(logs.items()) if _spend(rows)})


def logged_job(request_id: str) -> str:
    """The job of a cost row. The proxy writes ``BASE64(...;llm_batch_id:JOB)_batch_cost``, or the bare id."""
    text = request_id.removesuffix(_COST_SUFFIX)
    try:
        plain = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        plain = text
    found = _BATCH_ID.search(plain)
    return (found[1] if found else text).rpartition("/")[2]


def _at_the_proxy(bill: Bill, logs: Sequence[Mapping[str, Any]]) -> Compared:
    if not logs:
        return Compared(bill, None, (NOT_COSTED,))
    theirs = Total(_spend(logs), complete=True)
    if not Compared(bill, theirs).differs:
        return Compared(bill, theirs)
    tokens = sum(int(log.get("total_tokens") or 0) for log in logs)
    return Compared(bill, theirs, tuple(_why_litellm_differs(bill, tokens, len(logs))))


def _spend(logs: Sequence[Mapping[str, Any]]) -> Decimal:
    return add(exact(log.get("spend")) or Decimal(0) for log in logs)


def _why_litellm_differs(bill: Bill, tokens: int, logs: int) -> Iterator[str]:
    """What LiteLLM is known to do otherwise (docs/bill.md), where this bill has it."""
    ours = sum(item.tokens for item in bill.line_items if item.unit == "token")
    if tokens != ours:
        yield f"tokens: {ours:,} here, {tokens:,} there"
    if logs > 1:
        yield f"the proxy has recorded it {logs} times"
    items = [item for item in bill.line_items if item.tokens]
    if any(i.kind is Kind.CACHED_INPUT and i.basis is Basis.STANDARD_CACHE_RATE for i in items):
        yield "it charges cached tokens as input where no batch cache rate is listed"
    if any(item.tier is Tier.LONG_CONTEXT for item in items):
        yield "it has no long-context rates in a batch"
    if any(item.basis is Basis.SPEC for item in items):
        yield "it does not know the prices of the spec"
    if bill.rows.failed:
        yield "it bills failed rows that carry usage"
    if bill.rows.copied:
        yield "it bills the rows that a resumed job copied once more"
    if not bill.total.complete:
        yield "our sum is an at least"


def against_billing(bills: Iterable[Bill], rows: Iterable[Mapping[str, str]], label: str) -> Reconciliation:
    """Compare bills with a billing export in the columns of FOCUS.

    A row belongs to the job that its ``ResourceId`` names, or whose label its ``Tags`` carry. Its list cost
    is taken, since a bill has no discounts; without one, its billed cost.

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
        elif "vertex" in (row.get("ServiceName") or "").lower():
            others.setdefault(row.get("ChargeDescription") or "(no description)", []).append(cost)
    jobs = [_on_the_invoice(bill, of_job.get(bill.job.job_id)) for bill in known]
    return Reconciliation(jobs, {name: add(costs) for name, costs in sorted(others.items())})


def exact_cost(row: Mapping[str, str]) -> Decimal | None:
    """The list cost of a FOCUS row, which may be negative; None: it has none."""
    text = (row.get("ListCost") or row.get("BilledCost") or "").strip()
    cost = exact(text.removeprefix("-"))
    return -cost if cost is not None and text.startswith("-") else cost


def _on_the_invoice(bill: Bill, costs: Sequence[Decimal] | None) -> Compared:
    if costs is None:
        return Compared(bill, None, (NOT_BILLED,))
    why = () if bill.total.complete else ("our sum is an at least",)
    return Compared(bill, Total(add(costs), complete=True), why)


def _tags(text: str) -> dict[str, str]:
    """Tags as FOCUS has them, an object, or as BigQuery exports labels, a list of keys and values."""
    try:
        tags = json.loads(text)
    except ValueError:
        return {}
    if isinstance(tags, list):
        tags = {tag.get("key"): tag.get("value") for tag in tags if isinstance(tag, dict)}
    return {str(key): str(value) for key, value in tags.items()} if isinstance(tags, dict) else {}
