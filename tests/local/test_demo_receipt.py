import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from rich.console import Console

from local.signpost import print_bills, recorded_bills
from vertex_batch.costs import Bill, CostTable, Delivery, JobFacts, RowCounts
from vertex_batch.pricing import LineItem
from vertex_batch.usage import Kind, Modality, Tier


def item(kind, tokens, price):
    unit_price = None if price is None else Decimal(price)
    amount = None if price is None else tokens * Decimal(price)
    return LineItem("gemini-2.5-flash", kind, Modality.TEXT, Tier.STANDARD, tokens, unit_price, amount)


def bill(*items, run_id="run-1"):
    facts = JobFacts("p", "us-central1", f"job-of-{run_id}", spec="nightly", dag_id="nightly", run_id=run_id)
    return Bill(facts, RowCounts(ok=3, failed=1), items)


@pytest.fixture
def table(tmp_path):
    return CostTable(f"sqlite:///{tmp_path / 'costs.db'}")


@pytest.fixture
def printed(table):
    def printed(*bills):
        console = Console(file=io.StringIO(), width=110)
        print_bills(console, table, bills)
        return console.file.getvalue()

    return printed


def test_each_job_has_its_bill_and_all_have_one_sum(printed):
    first = bill(item(Kind.INPUT, 14_901, "0.00000015"))
    second = bill(item(Kind.OUTPUT, 8_000_000, "0.00000125"), run_id="run-2")
    text = printed(first, second)
    assert text.count("The bill of nightly") == 2
    assert "2 jobs: 10.00223515 USD in all" in text


def test_a_sum_with_something_unpriced_in_it_is_a_lower_bound(printed):
    text = printed(bill(item(Kind.INPUT, 1000, "0.000001"), item(Kind.OUTPUT, 5, None)))
    assert "1 job: at least 0.001 USD in all" in text


def test_a_bill_says_what_was_delivered_and_where(printed, table):
    delivery = Delivery(
        dag_id="nightly",
        run_id="run-1",
        task_id="deliver",
        input_rows=4,
        delivered=3,
        exceptions=1,
        reasons={"failed": 1},
        answers_uri="gs://b/answers.parquet",
        exceptions_uri="gs://b/answers.exceptions.parquet",
        manifest_uri="gs://b/answers.parquet._SUCCESS.json",
        usd="0",
        is_complete=True,
        delivered_at=datetime(2026, 11, 28, tzinfo=UTC),
    )
    table.record_delivery(delivery, files_changed=True)
    text = printed(bill(item(Kind.INPUT, 1, "0.000001")))
    assert "4 input rows = 3 delivered + 1 exception (1 failed)" in text
    assert "gs://b/answers.parquet" in text


def test_the_bills_of_the_asked_runs_are_read_and_no_others(table):
    for run_id in ("run-1", "run-2"):
        table.record(bill(item(Kind.INPUT, 1, "0.000001"), run_id=run_id))
    assert [found.job.run_id for found in recorded_bills(table, [("nightly", "run-2")])] == ["run-2"]
