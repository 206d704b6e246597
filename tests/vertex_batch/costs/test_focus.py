"""The FOCUS views and their export, in both databases: amounts, rates, units, periods, unknown prices."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from vertex_batch.costs import FocusVersion, JobFilter
from vertex_batch.usage import CacheTtl, Kind, Modality

COSTS = ("BilledCost", "ContractedCost", "EffectiveCost", "ListCost")


@pytest.fixture(params=list(FocusVersion), ids=str)
def version(request) -> FocusVersion:
    return request.param


@pytest.fixture
def focus(table, version):
    """Records bills and returns the rows of the export, by column."""

    def read(*bills, where=None):
        for bill in bills:
            table.record(bill)
        names, *rows = table.focus(where or JobFilter(), version)
        return [dict(zip(names, row, strict=True)) for row in rows]

    return read


@pytest.fixture
def at(line):
    """Makes a line item with both rates."""

    def make(tokens, price, standard, **changes):
        known = {
            "standard_unit_price_usd": Decimal(standard),
            "standard_amount_usd": tokens * Decimal(standard),
            "standard_source": "packaged",
        }
        return line(tokens, price, **(known if standard else {}), **changes)

    return make


def test_the_list_cost_is_at_the_standard_rate_and_the_effective_cost_at_the_batch_rate(focus, bill, at):
    [row] = focus(bill(items=[at(1_234_567, "1.5e-07", "3e-07")]))
    costs = {name: row[name] for name in COSTS}
    assert costs == {
        "BilledCost": "0.18518505",
        "EffectiveCost": "0.18518505",
        "ContractedCost": "0.3703701",
        "ListCost": "0.3703701",
    }
    assert (row["PricingQuantity"], row["PricingUnit"], row["ListUnitPrice"]) == (
        "1.234567",
        "1000000 Tokens",
        "0.3",
    )
    assert (row["ContractedUnitPrice"], row["x_EffectiveUnitPrice"]) == ("0.3", "0.15")
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == ("1234567.0", "Tokens")
    assert row["x_ListPriceBasis"] == "standard"


def test_a_rate_without_a_standard_one_stands_in_and_has_a_price_id_of_its_own(focus, bill, at, line):
    known, unknown = focus(bill("1", items=[at(7, "1e-06", "2e-06")]), bill("2", items=[line(7, "1e-06")]))
    assert (unknown["ListCost"], unknown["ListUnitPrice"], unknown["x_ListPriceBasis"]) == (
        "0.000007",
        "1.0",
        "batch",
    )
    assert unknown["SkuPriceId"] == f"{known['SkuPriceId']}/batch"
    assert (known["SkuId"], json.loads(known["SkuPriceDetails"])["x_Rate"]) == (unknown["SkuId"], "standard")


@pytest.mark.parametrize(
    ("kind", "price", "priced", "consumed", "unit_price"),
    [
        (Kind.INPUT, "0.000000000001", "1000000 Tokens", "Tokens", "0.000001"),
        (Kind.INPUT_CHARACTER, "0.00000002", "1000 Characters", "Characters", "0.00002"),
        (Kind.SEARCH_QUERY, "0.014", "1000 Queries", "Queries", "14.0"),
        (Kind.MAPS_GROUNDING, "0.025", "1000 Prompts", "Prompts", "25.0"),
    ],
)
def test_each_unit_is_priced_as_the_price_list_has_it(
    focus, bill, line, kind, price, priced, consumed, unit_price
):
    [row] = focus(bill(items=[line(2001, price, kind=kind)]))
    assert (row["PricingUnit"], row["ConsumedUnit"], row["ListUnitPrice"]) == (priced, consumed, unit_price)
    assert (
        Decimal(row["PricingQuantity"]) * Decimal(unit_price)
        == Decimal(row["ListCost"])
        == 2001 * Decimal(price)
    )
    assert Decimal(row["ConsumedQuantity"]) == 2001


def test_large_and_tiny_amounts_are_exact_and_have_no_exponent(focus, bill, line):
    items = [line(1, "1e-12"), line(9_007_199_254_740_993, "1e-09", kind=Kind.OUTPUT)]
    rows = focus(bill(items=items))
    assert sorted(row["BilledCost"] for row in rows) == ["0.000000000001", "9007199.254740993"]
    assert {row["PricingQuantity"] for row in rows} == {"0.000001", "9007199254.740993"}


def test_there_is_one_row_per_meter_and_the_sums_are_the_bills(focus, bill, line):
    ttls = [CacheTtl.FIVE_MINUTES, CacheTtl.ONE_HOUR]
    writes = [line(7, "3e-06", kind=Kind.CACHE_WRITE, cache_ttl=ttl) for ttl in ttls]
    made = bill(items=[line(), *writes])
    rows = focus(made)
    assert len(rows) == len({row["SkuPriceId"] for row in rows}) == 3
    assert sum(Decimal(row["BilledCost"]) for row in rows) == made.total.amount == Decimal("0.000192")
    assert sum(row["x_BilledPicoUsd"] for row in rows) == 192_000_000
    ttls_said = [json.loads(row["SkuPriceDetails"]).get("x_CacheTtl") for row in rows]
    assert sorted(ttls_said, key=str) == ["1h", "5m", None]


def test_what_has_no_price_is_listed_apart_and_marks_the_rest_of_its_job(focus, bill, line, query):
    unknown = line(3, None, kind=Kind.SEARCH_QUERY)
    rows = focus(bill("1", items=[line(), unknown]), bill("2", items=[line()]), bill("3", items=[unknown]))
    assert [(row["x_JobId"], row["x_IsComplete"]) for row in rows] == [("1", "false"), ("2", "true")]
    left = query("SELECT job_id, kind, tokens, unit, reason FROM focus_unpriced_usage ORDER BY job_id")
    assert [tuple(row.values()) for row in left] == [
        (job, "search_query", 3, "query", "no price") for job in ("1", "3")
    ]


@pytest.mark.parametrize(
    ("created", "started", "start", "end"),
    [
        (datetime(2026, 11, 30, 23, 59, 59, 999999, tzinfo=UTC), None, "2026-11-01", "2026-12-01"),
        (datetime(2026, 12, 1, tzinfo=UTC), None, "2026-12-01", "2027-01-01"),
        (
            datetime(2026, 11, 30, tzinfo=UTC),
            datetime(2026, 12, 1, 3, tzinfo=UTC),
            "2026-12-01",
            "2027-01-01",
        ),
        (None, None, "2026-11-01", "2026-12-01"),
    ],
)
def test_the_billing_period_is_the_month_in_which_the_job_ran(focus, bill, created, started, start, end):
    [row, _] = focus(bill(create_time=created, start_time=started))
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (f"{start}T00:00:00Z", f"{end}T00:00:00Z")


def test_a_charge_covers_the_job_to_the_second_with_its_end_excluded(focus, bill):
    start, end = (datetime(2026, 11, 21, hour, 59, 59, 999999, tzinfo=UTC) for hour in (2, 23))
    [row, _] = focus(bill(start_time=start, end_time=end))
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        "2026-11-21T02:59:59Z",
        "2026-11-22T00:00:00Z",
    )


def test_the_export_is_narrowed_like_every_other_query(focus, bill, line):
    made = [
        bill(name, items=[line(kind=Kind.OUTPUT, modality=Modality.IMAGE)], spec=f"spec-{name}")
        for name in "12"
    ]
    for each in made:
        focus(each)
    assert [row["x_Spec"] for row in focus(where=JobFilter(spec="spec-2"))] == ["spec-2"]
    assert focus(where=JobFilter(until=date(2026, 1, 1))) == []
    assert focus(where=JobFilter(dag_ids=frozenset())) == []


def test_hostile_names_stay_one_value(focus, bill, line):
    name = """x","y'--;{}%\n"""
    [row] = focus(replace(bill(items=[line(model=name)]), usage={}))
    assert json.loads(row["SkuPriceDetails"])["x_Model"] == row["x_Model"] == name


def test_no_column_that_holds_a_name_is_a_formula(focus, bill, line):
    names = dict.fromkeys(("project", "location", "spec", "team", "state", "display_name"), "=1+1")
    names |= dict.fromkeys(("dag_id", "run_id", "task_id"), "@x")
    made = bill("-job", items=[line(model="+model", source="-source")], **names)
    [row] = focus(replace(made, usage={}))
    assert not [
        name for name, value in row.items() if str(value)[:1] in ("=", "+", "@") or str(value)[:2] == "-s"
    ]
    assert (row["x_JobId"], row["SkuId"]) == ("'-job", "'+model/input/text")


def test_rows_have_a_price_by_the_thousand_and_a_failed_share(table, bill, line, query):
    table.record(bill(items=[line(7000, "1e-06")]))  # 9 ok, 2 of them copied, 1 failed, 1 unreadable
    [row] = query("SELECT * FROM cost_of_rows")
    assert Decimal(str(row["usd_per_thousand_rows"])) == 1
    assert float(row["failed_share"]) == pytest.approx(1 / 11, abs=1e-6)
