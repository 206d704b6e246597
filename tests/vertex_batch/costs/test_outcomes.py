"""Rows in no known format, and units beside tokens: kept and summed in both databases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from vertex_batch.billing.making import make_bill
from vertex_batch.costs import CostTable, JobFacts, RowCounts, Total, migrations
from vertex_batch.costs.database import Database
from vertex_batch.pricing import PriceBook, packaged_prices
from vertex_batch.usage import Kind, RowProblem, ScanResult, UsageKey
from vertex_batch.vertex.names import JobId

PLACE = ("demo-project", "us-central1")
OLD_JOB = """
INSERT INTO cost_jobs (project, location, job_id, job_key, job_name, display_name, model, state,
    error_message, spec, team, dag_id, run_id, task_id, map_index, run_type, day, labels, input_uris,
    output_directory, note, rows_ok, rows_failed, rows_unreadable, rows_copied, failed_reasons, problems,
    flags, recorded_at)
VALUES ('demo-project', 'us-central1', '7', '', '', '', '', '', '', 's', 't', '', '', '', -1, '',
    '2026-11-21', '{}', '[]', '', '', 3, 1, 1, 0, '{}', '[]', '[]', '2026-11-22T00:00:00.000000Z')
"""


def test_unrecognized_rows_are_kept_with_their_lines_and_summed_in_every_view(table, bill, line, query):
    sample = RowProblem("predictions.jsonl", 4, "a prediction without usage")
    made = replace(
        bill(items=[line(1000)]),
        rows=RowCounts(ok=6, failed=1, unreadable=1, unrecognized=2, copied=3, input_rows=10),
        unrecognized_samples=(sample,),
    )
    table.record(made)
    assert table.bill(made.job.key) == made
    for view in ("cost_by_job", "cost_by_spec_day", "cost_by_team", "cost_of_rows"):
        [row] = query(f"SELECT * FROM {view}")
        assert (row["rows_unrecognized"], float(row["failed_share"])) == (2, pytest.approx(0.1))
    [group] = table.totals("spec")
    assert group.rows == RowCounts(ok=6, failed=1, unreadable=1, unrecognized=2, copied=3)
    [cost] = table.jobs()
    assert cost.rows == made.rows


def test_bills_of_before_have_no_unrecognized_rows_and_stay_as_they_were(database_url, query, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(migrations, "MIGRATIONS", migrations.MIGRATIONS[:-1])
        before.setattr(migrations, "LATEST", migrations.MIGRATIONS[-2].version)
        migrations.migrate(Database(database_url))
    query(OLD_JOB)
    found = CostTable(database_url).bill(JobId(*PLACE, "7"))
    assert (found.rows, found.unrecognized_samples) == (RowCounts(ok=3, failed=1, unreadable=1), ())
    [row] = query("SELECT rows_unrecognized, failed_share FROM cost_by_job")
    assert (row["rows_unrecognized"], float(row["failed_share"])) == (0, pytest.approx(0.2))


def test_each_unit_has_its_name_in_the_table_and_in_focus_and_only_tokens_are_tokens(table, query):
    tokens = {
        UsageKey("gemini-2.5-flash", Kind.INPUT): 10,
        UsageKey("text-embedding-005", Kind.INPUT_CHARACTER): 4_000_000,
        UsageKey("gemini-2.5-flash", Kind.MAPS_GROUNDING): 2,
    }
    book = PriceBook([packaged_prices()])
    made = make_bill(JobFacts(*PLACE, "9", spec="s"), ScanResult(ok=3, tokens=tokens), book)
    assert made.total == Total(Decimal("0.0800015"), complete=False)
    table.record(made)
    assert table.bill(made.job.key).line_items == made.line_items
    units = {row["kind"]: row["unit"] for row in query("SELECT kind, unit FROM cost_line_items")}
    assert units == {"input": "token", "input_character": "character", "maps_grounding": "prompt"}
    focus = query(
        'SELECT "ConsumedQuantity" AS n, "ConsumedUnit" AS unit, "PricingUnit" AS priced'
        ' FROM focus_1_4 ORDER BY "ConsumedUnit" DESC'
    )
    assert [(Decimal(row["n"]), row["unit"], row["priced"]) for row in focus] == [
        (10, "Tokens", "1000000 Tokens"),
        (4_000_000, "Characters", "1000 Characters"),
    ]
    [job] = query("SELECT tokens FROM cost_by_job")
    assert (job["tokens"], table.jobs()[0].tokens) == (10, 10)


def test_an_unrecognized_row_makes_the_sum_an_at_least_with_a_reason():
    scan = ScanResult(
        ok=1,
        unrecognized=1,
        tokens={UsageKey("gemini-2.5-flash", Kind.INPUT): 1000},
        unrecognized_reasons={"a prediction without usage": 1},
        unrecognized_samples=[RowProblem("f", 2, "a prediction without usage")],
    )
    made = make_bill(JobFacts(*PLACE, "9"), scan, PriceBook([packaged_prices()]), input_rows=2)
    assert made.total == Total(Decimal("0.00015"), complete=False)
    assert made.line_items[-1].reason == "1 unrecognized rows"
    assert made.flags == (
        "1 unrecognized row (f:2): what they cost is not in the amount. a prediction without usage",
    )
    assert made.rows.total == 2
    assert made.day >= date(2026, 11, 27)
