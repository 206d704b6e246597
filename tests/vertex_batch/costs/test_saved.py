"""What batch saved, the failed share and the price of a thousand rows, in SQLite and PostgreSQL."""

from __future__ import annotations

from decimal import Decimal

import pytest

from vertex_batch.costs import CostTable, CostTableSetupError, RowCounts, Total, migrations
from vertex_batch.costs.database import Database
from vertex_batch.pricing import Basis
from vertex_batch.usage import Kind
from vertex_batch.vertex.names import JobId

PLACE = ("demo-project", "us-central1")


def with_standard(line, price, **changes):
    """A line of 1,000 tokens at 0.15 USD per million, with this standard rate."""
    unit = Decimal(price)
    return line(
        standard_unit_price_usd=unit, standard_amount_usd=1000 * unit, standard_source="list", **changes
    )


def test_line_items_keep_their_standard_rate(table, bill, line):
    made = bill(items=[with_standard(line, "3e-07"), line(7, kind=Kind.OUTPUT)])
    table.record(made)
    assert table.bill(JobId(*PLACE, "101")) == made
    assert made.saved == Total(Decimal("0.00015"), complete=False)


def test_sums_of_what_was_saved_are_exact_and_say_at_least(table, bill, line):
    fine = with_standard(line, "0.000000300001")
    table.record(bill("1", items=[fine]))
    table.record(bill("2", items=[fine, line(9, model="other")]))
    expected = Decimal("0.000300002")
    for by in ("spec", "day", "team", "dag", "project", "state", "spec_day"):
        [group] = table.totals(by)
        assert group.saved == Total(expected, complete=False), by
        assert group.rows == RowCounts(ok=18, failed=2, unreadable=2, copied=4)
    flash, other = table.totals("model")
    assert (flash.saved, other.saved) == (Total(expected, complete=True), Total(Decimal(0), complete=False))
    assert flash.rows is None
    assert {cost.job.job_id: cost.saved.complete for cost in table.jobs()} == {"1": True, "2": False}


def test_the_views_say_the_same(table, bill, line, query):
    table.record(bill("1", items=[with_standard(line, "3e-07")]))
    table.record(bill("2", items=[with_standard(line, "3e-07"), line(9, None, model="other")]))
    for view in ("cost_by_spec_day", "cost_by_team"):
        [row] = query(f"SELECT * FROM {view}")
        assert (row["saved_picousd"], bool(row["saved_is_complete"])) == (300_000_000, False)
        assert Decimal(str(row["saved_usd"])) == Decimal("0.0003")
        assert float(row["failed_share"]) == pytest.approx(2 / 22)
        assert float(row["usd_per_thousand_rows"]) == pytest.approx(0.3 / 14)
    [group] = table.totals("spec")
    assert group.rows.ok - group.rows.copied == 14
    assert group.per_thousand_rows == Total(Decimal("0.021429"), complete=False)
    jobs = query("SELECT * FROM cost_by_job ORDER BY job_id")
    assert [bool(row["saved_is_complete"]) for row in jobs] == [True, False]
    assert float(jobs[0]["usd_per_thousand_rows"]) == pytest.approx(0.15 / 7)
    models = query("SELECT * FROM cost_by_model ORDER BY model")
    assert [row["saved_picousd"] for row in models] == [300_000_000, 0]
    [unpriced] = query("SELECT * FROM cost_lines WHERE amount_usd IS NULL")
    assert (unpriced["saved_usd"], unpriced["standard_amount_usd"]) == (None, None)


def test_nothing_is_divided_by_no_rows(table, bill, query):
    table.record(bill("1", items=[]))
    query("UPDATE cost_jobs SET rows_ok = 0, rows_copied = 0, rows_failed = 0, rows_unreadable = 0")
    for view in ("cost_by_job", "cost_by_spec_day", "cost_by_team", "cost_of_rows"):
        [row] = query(f"SELECT * FROM {view}")
        assert (row["failed_share"], row["usd_per_thousand_rows"]) == (None, None)
    [group] = table.totals("spec")
    assert (group.rows.failed_share, group.per_thousand_rows) == (None, None)


OLD_JOB = """
INSERT INTO cost_jobs (project, location, job_id, job_key, job_name, display_name, model, state,
    error_message, spec, team, dag_id, run_id, task_id, map_index, run_type, day, labels, input_uris,
    output_directory, note, rows_ok, rows_failed, rows_unreadable, rows_copied, failed_reasons, problems,
    flags, recorded_at)
VALUES ('demo-project', 'us-central1', '101', '', '', '', '', '', '', 's', 't', '', '', '', -1, '',
    '2026-11-21', '{}', '[]', '', '', 1, 0, 0, 0, '{}', '[]', '[]', '2026-11-22T00:00:00.000000Z')
"""


def test_an_older_table_is_upgraded_with_what_its_rates_imply(database_url, query, monkeypatch):
    """Bills of before keep their amounts; a derived rate and a cache rate tell the standard one."""
    with monkeypatch.context() as before:
        before.setattr(migrations, "MIGRATIONS", tuple(m for m in migrations.MIGRATIONS if m.version < 4))
        before.setattr(migrations, "LATEST", 3)
        migrations.migrate(Database(database_url))
    query(OLD_JOB)
    for kind, price, basis in (
        ("input", 150_000, Basis.BATCH_RATE),
        ("output", 1_250_000, Basis.DERIVED_HALF_OF_STANDARD),
        ("cached_input", 30_000, Basis.STANDARD_CACHE_RATE),
    ):
        query(
            "INSERT INTO cost_line_items VALUES ('demo-project', 'us-central1', '101', 'm', "
            f"'{kind}', 'text', 'standard', '', 10, 'token', {price}, {10 * price}, '{basis}', 'map',"
            " NULL, '')"
        )
    found = CostTable(database_url).bill(JobId(*PLACE, "101"))
    assert [(item.kind, item.standard_amount_usd, item.saved_usd) for item in found.line_items] == [
        ("input", None, None),
        ("cached_input", Decimal("3e-7"), 0),
        ("output", Decimal("0.000025"), Decimal("0.0000125")),
    ]
    assert found.saved == Total(Decimal("0.0000125"), complete=False)
    [row] = query("SELECT saved_picousd, is_complete FROM cost_by_job")
    assert (row["saved_picousd"], bool(row["is_complete"])) == (12_500_000, True)


def test_the_database_itself_refuses_a_standard_amount_that_is_not_tokens_times_rate(table, bill, line):
    wrong = line(standard_unit_price_usd=Decimal("3e-07"), standard_amount_usd=Decimal("0.0004"))
    with pytest.raises(CostTableSetupError):
        table.record(bill(items=[wrong]))
