"""The FOCUS 1.2 view, in SQLite and PostgreSQL: names, types, what may be NULL, and sums."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from vertex_batch.usage import CacheTtl, Kind

# Mandatory in FOCUS 1.2. Of these, only the name of the account and the class of the charge may be NULL.
MANDATORY = [
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ServiceCategory",
    "ServiceName",
]
MAY_BE_NULL = {"BillingAccountName", "ChargeClass", "SubAccountName", "ResourceName", "x_LogicalDate"}
COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")


@pytest.fixture
def focus(table, database_url):
    def read(*bills, of="focus_cost_and_usage"):
        for bill in bills:
            table.record(bill)
        url = database_url.replace("postgresql://", "postgresql+psycopg://")
        with create_engine(url, poolclass=NullPool).connect() as connection:
            return [dict(row) for row in connection.execute(text(f"SELECT * FROM {of}")).mappings()]

    return read


def test_the_mandatory_columns_are_there_and_ours_are_marked(focus, bill):
    [row, _] = focus(bill())
    assert not set(MANDATORY) - row.keys()
    assert all(re.fullmatch(r"(x_)?([A-Z][a-z]+)+", name) for name in row), sorted(row)
    assert {name for name, value in row.items() if value is None} <= MAY_BE_NULL


def test_there_is_one_row_per_meter_and_the_sums_are_the_bills(focus, bill, line):
    ttls = [CacheTtl.FIVE_MINUTES, CacheTtl.ONE_HOUR]
    writes = [line(7, "3e-06", kind=Kind.CACHE_WRITE, cache_ttl=ttl) for ttl in ttls]
    made = bill(items=[line(), *writes])
    rows = focus(made)
    assert len(rows) == len({row["SkuPriceId"] for row in rows}) == 3
    assert sum(row["x_BilledPicoUsd"] for row in rows) == made.total.amount.scaleb(12) == 192_000_000
    for row in rows:
        assert len({row[name] for name in COSTS}) == 1
        assert Decimal(str(row["BilledCost"])) == Decimal(row["x_BilledPicoUsd"]).scaleb(-12)
        assert round(Decimal(str(row["ListUnitPrice"])) * row["PricingQuantity"], 12) == Decimal(
            str(row["ListCost"])
        )


def test_closed_sets_have_the_specifications_values(focus, bill):
    [row, _] = focus(bill())
    assert row["ChargeCategory"] == "Usage"
    assert row["ChargeFrequency"] == "Usage-Based"
    assert row["PricingCategory"] == "Standard"
    assert row["ServiceCategory"] == "AI and Machine Learning"
    assert row["ServiceSubcategory"] == "Generative AI"
    assert (row["BillingCurrency"], row["PricingUnit"]) == ("USD", "Tokens")


@pytest.mark.parametrize(
    ("created", "start", "end"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, 999999, tzinfo=UTC), "2026-11-01", "2026-12-01"),
        (datetime(2026, 12, 1, tzinfo=UTC), "2026-12-01", "2027-01-01"),
        (None, "2026-11-01", "2026-12-01"),
    ],
)
def test_the_billing_period_is_the_month_in_utc_its_end_excluded(focus, bill, created, start, end):
    [row, _] = focus(bill(create_time=created))
    assert moment(row["BillingPeriodStart"]) == datetime.fromisoformat(f"{start}T00:00:00Z")
    assert moment(row["BillingPeriodEnd"]) == datetime.fromisoformat(f"{end}T00:00:00Z")
    assert moment(row["ChargePeriodStart"]) == (created or moment(row["ChargePeriodEnd"]))


def moment(value):
    return datetime.fromisoformat(value) if isinstance(value, str) else value.astimezone(UTC)


def test_what_has_no_price_is_no_cost_and_marks_the_rest_of_its_job(focus, bill, line):
    rows = focus(bill("1", items=[line(), line(3, None, kind=Kind.SEARCH_QUERY)]), bill("2", items=[line()]))
    assert [(row["x_JobId"], bool(row["x_IsComplete"])) for row in rows] == [("1", False), ("2", True)]


def test_rows_have_a_price_by_the_thousand_and_a_failed_share(focus, bill, line):
    [row] = focus(bill(items=[line(9000, "1e-06")]), of="cost_of_rows")  # 9 ok, 1 failed, 1 unreadable
    assert Decimal(str(row["usd_per_thousand_rows"])) == 1
    assert float(row["failed_share"]) == pytest.approx(1 / 11, abs=1e-6)
