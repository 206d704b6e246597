"""Print what the demo's jobs cost, from the cost table."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from rich.console import Console

from vertex_batch.cli.tables import render_bill, total_text
from vertex_batch.costs import Bill, CostTable, JobFilter, Total


def recorded_bills(table: CostTable, runs: Sequence[tuple[str, str]]) -> list[Bill]:
    """Return the bills of the runs, given as DAG id and run id."""
    bills = []
    for dag_id, run_id in runs:
        for cost in table.jobs(JobFilter(dag_id=dag_id, run_id=run_id)):
            bill = table.bill(cost.job.key)
            if bill is not None:
                bills.append(bill)
    return bills


def print_bills(console: Console, table: CostTable, bills: Sequence[Bill]) -> None:
    """Print the bill of each job as ``vertex-batch cost --job`` does, and the sum of all."""
    for bill in bills:
        console.print(f"\n[bold]The bill of {bill.job.spec}[/]", highlight=False)
        console.print(render_bill(bill, deliveries=table.deliveries_of(bill.job)), highlight=False)
    whole = Total(
        amount=sum((bill.total.amount for bill in bills), Decimal(0)),
        complete=all(bill.total.complete for bill in bills),
    )
    console.print(
        f"\n[bold]{len(bills)} {'job' if len(bills) == 1 else 'jobs'}: {total_text(whole)} USD in all[/]\n"
        "These are real prices, but nothing was spent: Vertex AI is emulated here.",
        highlight=False,
    )
