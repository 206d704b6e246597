"""How the pages write amounts, counts and names."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import quote, urlencode

from vertex_batch.costs import JobFacts, Total
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.resource import JobReference

_CENTS = 2
_DIGITS = 4
_MILLION = 1_000_000
_BASES = {
    Basis.BATCH_RATE: "batch rate",
    Basis.DERIVED_HALF_OF_STANDARD: "half of the standard rate",
    Basis.STANDARD_CACHE_RATE: "standard cache rate",
    Basis.SPEC: "set in the spec",
}


def exact(amount: Decimal) -> str:
    """Write an amount exactly, with at least its cents: ``1.50``, ``0.0001234``."""
    whole, _, decimals = f"{amount:f}".partition(".")
    return f"{int(whole):,}.{decimals.rstrip('0').ljust(_CENTS, '0')}"


def rounded(amount: Decimal) -> str:
    """Write an amount in cents, a small one with four digits that say something."""
    if abs(amount) >= 1 or not amount:
        return f"{amount.quantize(Decimal('0.01'), ROUND_HALF_UP):,f}"
    step = Decimal(1).scaleb(amount.adjusted() - _DIGITS + 1)
    return exact(amount.quantize(min(step, Decimal("0.01")), ROUND_HALF_UP))


def at_least(total: Total) -> str:
    return "" if total.complete else "at least "


def state(name: str) -> str:
    return name.removeprefix("JOB_STATE_").replace("_", " ").lower() or "unknown"


def tone(name: str) -> str:
    """Say how a state is coloured: ``good``, ``bad`` or ``plain``."""
    short = name.removeprefix("JOB_STATE_")
    if short == "SUCCEEDED":
        return "good"
    return "bad" if short in ("FAILED", "EXPIRED", "DELETED", "PARTIALLY_SUCCEEDED") else "plain"


def model(name: str) -> str:
    return name.rsplit("/", 1)[-1]


def moment(when: datetime | None) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if when else ""


def what(item: LineItem) -> str:
    """Say what a line item counts: ``output, text, long context``."""
    words = [item.kind.value]
    if item.unit == "token":
        words.append(item.modality.value)
    if item.tier != "standard":
        words.append(item.tier.value)
    return ", ".join([*words, *filter(None, [item.cache_ttl.value])]).replace("_", " ")


def rate(item: LineItem) -> str:
    """Write a rate as price lists do: USD for a million tokens, or for one query."""
    if item.unit_price_usd is None:
        return ""
    if item.unit == "token":
        return f"{exact(item.unit_price_usd * _MILLION)} / M tokens"
    return f"{exact(item.unit_price_usd)} / {item.unit}"


def basis(item: LineItem) -> str:
    return _BASES[item.basis] if item.basis else ""


def console_url(job: JobFacts) -> str:
    """Link to Google's page of the job."""
    return JobReference(path(job.project), path(job.location), path(job.job_id)).console_url


def query(**values: object) -> str:
    """Write the query of an address, without what is empty."""
    return urlencode({name: value for name, value in values.items() if value not in ("", None)})


def path(text: str) -> str:
    return quote(text, safe="")
