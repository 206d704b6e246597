"""The FOCUS exports against the columns of the specification's versions 1.2 and 1.4.

Each column as the text of the specification has it for a charge of category "Usage" that is no correction.
Columns that are conditional and do not apply are not in the views: commitments, capacity reservations,
virtual currencies, availability zones, split allocation, and kinds of accounts, of which there is one each.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pytest

from vertex_batch.costs import CostTable, FocusVersion, JobFilter, stream_csv
from vertex_batch.usage import Kind


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
COMMON = {
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
    "CommitmentDiscountStatus": Column(STRING, null=True),
    "ConsumedQuantity": Column(DECIMAL),
    "ConsumedUnit": Column(STRING),
    "ContractedCost": Column(DECIMAL, mandatory=True),
    "ContractedUnitPrice": Column(DECIMAL),
    "EffectiveCost": Column(DECIMAL, mandatory=True),
    "InvoiceId": Column(STRING, null=True),
    "InvoiceIssuerName": Column(STRING, mandatory=True),
    "ListCost": Column(DECIMAL, mandatory=True),
    "ListUnitPrice": Column(DECIMAL),
    "PricingCategory": Column(STRING, allowed=frozenset({"Standard", "Dynamic", "Committed", "Other"})),
    "PricingCurrency": Column(STRING, allowed=frozenset({"USD"})),
    "PricingCurrencyContractedUnitPrice": Column(DECIMAL),
    "PricingCurrencyEffectiveCost": Column(DECIMAL),
    "PricingCurrencyListUnitPrice": Column(DECIMAL),
    "PricingQuantity": Column(DECIMAL, mandatory=True),
    "PricingUnit": Column(STRING, mandatory=True),
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
    "SkuPriceDetails": Column(JSON),
    "SkuPriceId": Column(STRING),
    "SubAccountId": Column(STRING),
    "SubAccountName": Column(STRING),
    "Tags": Column(JSON, null=True),
}
COLUMNS = {
    FocusVersion.V1_2: COMMON
    | dict.fromkeys(("ProviderName", "PublisherName"), Column(STRING, mandatory=True)),
    FocusVersion.V1_4: COMMON
    | dict.fromkeys(("ServiceProviderName", "HostProviderName"), Column(STRING, mandatory=True)),
}
# A unit is a capitalised noun in the plural, with a number before it where prices are for several.
_UNIT = re.compile(r"(\d+ )?[A-Z][a-z]+s")
_DECIMAL = re.compile(r"\d+\.\d+")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@pytest.fixture(params=list(FocusVersion), ids=str)
def version(request) -> FocusVersion:
    return request.param


@pytest.fixture
def rows(table, version, golden_bills):
    """The lines of the file for golden bills, as a reader of CSV sees them."""
    for each in golden_bills:
        table.record(each)
    return list(csv.DictReader(io.StringIO("".join(stream_csv(table.focus(JobFilter(), version))))))


def test_every_priced_meter_is_a_row_in_the_columns_of_its_version(rows, version, golden_bills):
    priced = [item for each in golden_bills for item in each.line_items if item.amount_usd is not None]
    assert len(rows) == len(priced)
    assert sum(Decimal(row["BilledCost"]) for row in rows) == sum(item.amount_usd for item in priced)
    assert {name for name in rows[0] if not name.startswith("x_")} == COLUMNS[version].keys()


def test_every_value_is_as_the_specification_has_it(rows, version):
    for name, column in COLUMNS[version].items():
        for row in rows:
            value = row[name]
            if not value:
                assert column.null, name
                continue
            if column.type == DECIMAL:
                assert _DECIMAL.fullmatch(value), (name, value)
            elif column.type == MOMENT:
                assert _MOMENT.fullmatch(value), (name, value)
            elif column.type == JSON:
                data = json.loads(value)
                assert all(isinstance(v, str | int | float | bool) for v in data.values())  # never nested
            assert value == value.strip()
            assert not column.allowed or value in column.allowed, (name, value)


def test_rules_between_columns_hold(rows):
    for row in rows:
        quantity = Decimal(row["PricingQuantity"])
        for price, cost in (("ListUnitPrice", "ListCost"), ("ContractedUnitPrice", "ContractedCost")):
            assert quantity * Decimal(row[price]) == Decimal(row[cost])
        assert quantity * Decimal(row["x_EffectiveUnitPrice"]) == Decimal(row["EffectiveCost"])
        priced = re.fullmatch(r"(\d+) (\w+)", row["PricingUnit"])
        assert quantity * int(priced[1]) == Decimal(row["ConsumedQuantity"])
        assert row["ConsumedUnit"] == priced[2]
        assert _UNIT.fullmatch(row["PricingUnit"])
        assert row["ChargeClass"] == ""  # no row corrects an invoice
        start, end = (datetime.fromisoformat(row[f"ChargePeriod{edge}"]) for edge in ("Start", "End"))
        assert start < end
        month, next_month = (datetime.fromisoformat(row[f"BillingPeriod{edge}"]) for edge in ("Start", "End"))
        assert month <= start < next_month


def test_a_price_has_one_sku_and_one_list_of_details_and_no_account_in_its_name(rows):
    of: dict[str, tuple[str, str]] = {}
    for row in rows:
        known = row["SkuId"], row["SkuPriceDetails"]
        assert of.setdefault(row["SkuPriceId"], known) == known
        assert all(key.startswith("x_") for key in json.loads(row["SkuPriceDetails"]))
        assert row["SkuMeter"] in set(Kind)
        assert row["BillingAccountId"] not in row["SkuPriceId"]
    assert len(of) < len(rows)  # the same meter of two jobs has the same id


def test_both_databases_write_the_same_file(tmp_path, postgres, golden_bills, version):
    texts = []
    for url in (f"sqlite:///{tmp_path}/costs.db", postgres.create_database(f"same_{version.name.lower()}")):
        table = CostTable(url)
        for each in golden_bills:
            table.record(each)
        lines = "".join(stream_csv(table.focus(JobFilter(), version))).splitlines()
        texts.append([lines[0], *sorted(lines[1:])])
    assert texts[0] == texts[1]
