import io
from decimal import Decimal

from rich.console import Console

from local.receipt import print_bills, recorded_bills
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.pricing import LineItem
from vertex_batch.usage import Kind, Modality, Tier


def item(kind, tokens, price):
    unit_price = None if price is None else Decimal(price)
    amount = None if price is None else tokens * Decimal(price)
    return LineItem("gemini-2.5-flash", kind, Modality.TEXT, Tier.STANDARD, tokens, unit_price, amount)


def bill(*items, run_id="run-1"):
    facts = JobFacts("p", "us-central1", f"job-of-{run_id}", spec="nightly", dag_id="nightly", run_id=run_id)
    return Bill(facts, RowCounts(ok=3, failed=1), items)


def printed(*bills):
    console = Console(file=io.StringIO(), width=110)
    print_bills(console, bills)
    return console.file.getvalue()


def test_each_job_has_its_bill_and_all_have_one_sum():
    first = bill(item(Kind.INPUT, 14_901, "0.00000015"))
    second = bill(item(Kind.OUTPUT, 8_000_000, "0.00000125"), run_id="run-2")
    text = printed(first, second)
    assert text.count("The bill of nightly") == 2
    assert "2 jobs: 10.00223515 USD in all" in text


def test_a_sum_with_something_unpriced_in_it_is_a_lower_bound():
    text = printed(bill(item(Kind.INPUT, 1000, "0.000001"), item(Kind.OUTPUT, 5, None)))
    assert "1 job: at least 0.001 USD in all" in text


def test_the_bills_of_the_asked_runs_are_read_and_no_others(tmp_path):
    table = CostTable(f"sqlite:///{tmp_path / 'costs.db'}")
    for run_id in ("run-1", "run-2"):
        table.record(bill(item(Kind.INPUT, 1, "0.000001"), run_id=run_id))
    assert [found.job.run_id for found in recorded_bills(table, [("nightly", "run-2")])] == ["run-2"]
