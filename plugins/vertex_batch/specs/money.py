"""How a spec's jobs are billed."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from vertex_batch.specs.base import SpecModel
from vertex_batch.specs.problems import did_you_mean
from vertex_batch.specs.values import (
    MOST_DECIMALS,
    ConnectionId,
    Dollars,
    Line,
    dollars,
    has_too_many_decimals,
)

HIGHEST_PRICE = 100_000


def _usd(value: object) -> object:
    price = dollars(value, "US dollars per million tokens")
    if not 0 <= price <= HIGHEST_PRICE:
        raise ValueError(f"must be between 0 and {HIGHEST_PRICE} US dollars per million tokens, not {value}")
    if has_too_many_decimals(price):
        raise ValueError(f"{value} has more than {MOST_DECIMALS} decimals; the bill would have to round it")
    return price


def _amount(value: object) -> object:
    amount = dollars(value)
    if not 0 < amount < 10**9:
        raise ValueError(f"must be more than 0 US dollars, not {value}")
    return amount


def _rate_name(text: str) -> str:
    from vertex_batch.pricing import SPEC_PRICE_KEYS  # noqa: PLC0415 - most specs state no prices

    if text not in SPEC_PRICE_KEYS:
        better = did_you_mean(text, SPEC_PRICE_KEYS) or f"; the kinds are {', '.join(SPEC_PRICE_KEYS)}"
        raise ValueError(f"`{text[:80]}` is not a kind that has a price{better}")
    return text


UsdPerMillion = Annotated[
    Dollars, BeforeValidator(_usd), WithJsonSchema({"type": "number", "minimum": 0, "maximum": HIGHEST_PRICE})
]
Usd = Annotated[Dollars, BeforeValidator(_amount), WithJsonSchema({"type": "number", "exclusiveMinimum": 0})]
RateName = Annotated[str, AfterValidator(_rate_name)]
Rates = Annotated[dict[RateName, UsdPerMillion], Field(min_length=1, max_length=100)]


class MoneyFields(SpecModel):
    """The settings of the bill."""

    cost_connection: ConnectionId = "batch_costs"
    """Airflow connection of the database with the cost table."""
    prices: dict[Line, Rates] = Field(
        default_factory=dict, max_length=50, examples=[{"gemini-3.8-flash": {"input": 0.15, "output": 1.25}}]
    )
    """Prices agreed with Google, in US dollars per million tokens, by model and kind. They override the
    proxy's prices."""
    expected_cost_usd: Usd | None = Field(default=None, examples=[12.5])
    """Notify when a job's bill exceeds this many US dollars. It does not stop the job."""
    max_unreadable_rows: Annotated[int, Field(ge=0)] = 0
    """Fail the record_cost task if a job's output has more unreadable rows than this: lines that are cut or
    damaged. The bill is written in any case."""
    max_unrecognized_rows: Annotated[int, Field(ge=0)] = 0
    """Fail the record_cost task if a job's output has more unrecognized rows than this: intact rows in no
    known output format. The bill is written in any case."""
