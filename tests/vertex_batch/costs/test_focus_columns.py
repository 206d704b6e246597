"""The FOCUS 1.2 view against the columns of that specification (FOCUS_Spec, specification/columns).

Each column as the text of the specification has it for a charge of category "Usage" that is no correction.
Columns of the feature level "Conditional" or "Optional" that do not apply are not in the view: commitments,
capacity reservations, other currencies, availability zones, invoices, and kinds of accounts, of which Google
has one each.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from vertex_batch.pricing import Basis
from vertex_batch.usage import CacheTtl, Kind, Modality, Tier


@dataclass(frozen=True)
class Column:
    """What the specification demands of a column.

    :param null: it may be NULL in such a row.
    :param allowed: the only values that it may have; empty: any.
    """

    type: str
    mandatory: bool = False
    null: bool = False
    allowed: frozenset[str] = frozenset()


DECIMAL, STRING, MOMENT, JSON = "Decimal", "String", "Date/Time", "JSON"
COLUMNS = {
    "BilledCost": Column(DECIMAL, mandatory=True),
    "BillingAccountId": Column(STRING, mandatory=True),
    "BillingAccountName": Column(STRING, mandatory=True, null=True),
    "BillingCurrency": Column(STRING, mandatory=True, allowed=frozenset({"USD"})),
    "BillingPeriodEnd": Column(MOMENT, mandatory=True),
    "BillingPeriodStart": Column(MOMENT, mandatory=True),
    "ChargeCategory": Column(
        STRING,
        mandatory=True,
        allowed=frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"}),
    ),
    "ChargeClass": Column(STRING, mandatory=True, null=True, allowed=frozenset({"Correction"})),
    "ChargeDescription": Column(STRING, mandatory=True),
    "ChargeFrequency": Column(STRING, allowed=frozenset({"One-Time", "Recurring", "Usage-Based"})),
    "ChargePeriodEnd": Column(MOMENT, mandatory=True),
    "ChargePeriodStart": Column(MOMENT, mandatory=True),
    "ConsumedQuantity": Column(DECIMAL),
    "ConsumedUnit": Column(STRING),
    "ContractedCost": Column(DECIMAL, mandatory=True),
    "ContractedUnitPrice": Column(DECIMAL),
    "EffectiveCost": Column(DECIMAL, mandatory=True),
    "InvoiceIssuerName": Column(STRING, mandatory=True),
    "ListCost": Column(DECIMAL, mandatory=True),
    "ListUnitPrice": Column(DECIMAL),
    "PricingCategory": Column(STRING, allowed=frozenset({"Standard", "Dynamic", "Committed", "Other"})),
    "PricingQuantity": Column(DECIMAL, mandatory=True),
    "PricingUnit": Column(STRING, mandatory=True),
    "ProviderName": Column(STRING, mandatory=True),
    "PublisherName": Column(STRING, mandatory=True),
    "RegionId": Column(STRING, null=True),
    "RegionName": Column(STRING, null=True),
    "ResourceId": Column(STRING, null=True),
    "ResourceName": Column(STRING, null=True),
    "ResourceType": Column(STRING),  # may be NULL only where ResourceId is
    "ServiceCategory": Column(STRING, mandatory=True, allowed=frozenset({"AI and Machine Learning"})),
    "ServiceName": Column(STRING, mandatory=True),
    "ServiceSubcategory": Column(
        STRING,
        allowed=frozenset(
            {
                "Bots",
                "Generative AI",
                "Machine Learning",
                "Natural Language Processing",
                "Other (AI and Machine Learning)",
            }
        ),
    ),
    "SkuId": Column(STRING),
    "SkuMeter": Column(STRING),
    "SkuPriceId": Column(STRING),
    "SubAccountId": Column(STRING, null=True),
    "SubAccountName": Column(STRING, null=True),
    "Tags": Column(JSON, null=True),
}
KINDS = [
    {"kind": Kind.INPUT},
    {"kind": Kind.CACHED_INPUT, "modality": Modality.AUDIO, "basis": Basis.STANDARD_CACHE_RATE},
    {"kind": Kind.CACHE_WRITE, "cache_ttl": CacheTtl.ONE_HOUR},
    {"kind": Kind.OUTPUT, "tier": Tier.LONG_CONTEXT, "basis": Basis.DERIVED_HALF_OF_STANDARD},
    {"kind": Kind.SEARCH_QUERY, "basis": Basis.SPEC},
]
# A unit is a capitalised noun in the plural, with a number before it where prices are for several.
_UNIT = re.compile(r"(\d+ )?[A-Z][a-z]+s")


@pytest.fixture
def rows(table, bill, line, database_url):
    """One row of every kind that a bill has, and those of a job of which next to nothing is known."""
    table.record(bill("1", items=[line(n + 1, "1.5e-07", **kind) for n, kind in enumerate(KINDS)]))
    bare = bill("2", items=[line(7)], display_name="", labels={}, create_time=None, end_time=None, spec="")
    table.record(replace(bare, usage={}))
    url = database_url.replace("postgresql://", "postgresql+psycopg://")
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return [
            dict(row) for row in connection.execute(text("SELECT * FROM focus_cost_and_usage")).mappings()
        ]


def test_all_mandatory_columns_are_there_and_nothing_that_is_neither_theirs_nor_ours(rows):
    assert len(rows) == len(KINDS) + 1
    for row in rows:
        assert {name for name, column in COLUMNS.items() if column.mandatory} <= row.keys()
        assert {name for name in row if not name.startswith("x_")} == COLUMNS.keys()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_is_as_the_specification_has_it(rows, name):
    column = COLUMNS[name]
    for row in rows:
        value = row[name]
        if value is None:
            assert column.null
            continue
        if column.type == DECIMAL:
            assert isinstance(value, int | float | Decimal)
            assert value >= 0
        elif column.type == MOMENT:
            assert _moment(value).utcoffset() == UTC.utcoffset(None)
        elif column.type == JSON:
            tags = json.loads(value)
            assert all(isinstance(v, str | int | float | bool) for v in tags.values())  # never nested
        else:
            assert isinstance(value, str)
            assert value == value.strip() != ""
        assert not column.allowed or value in column.allowed


def _moment(value) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


def test_rules_between_columns_hold(rows):
    for row in rows:
        quantity = Decimal(row["PricingQuantity"])
        for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            assert round(quantity * Decimal(str(row[price])), 12) == Decimal(str(row[cost]))
        assert _UNIT.fullmatch(row["PricingUnit"])
        assert _UNIT.fullmatch(row["ConsumedUnit"])
        assert row["ChargeCategory"] == "Usage"
        assert row["ChargeClass"] is None  # no row corrects an invoice
        assert _moment(row["ChargePeriodStart"]) <= _moment(row["ChargePeriodEnd"])
        start, end = _moment(row["BillingPeriodStart"]), _moment(row["BillingPeriodEnd"])
        assert start <= _moment(row["ChargePeriodStart"]) < end
        assert (row["ResourceId"] is None) == (row["ResourceType"] is None)


def test_a_price_has_one_sku_and_no_amount_in_its_name(rows):
    of = {}
    for row in rows:
        assert of.setdefault(row["SkuPriceId"], row["SkuId"]) == row["SkuId"]
        assert row["SkuMeter"] in set(Kind)
        assert row["BillingAccountId"] not in row["SkuPriceId"]
    assert len(of) == len(KINDS)  # the same meter of two jobs has the same id
