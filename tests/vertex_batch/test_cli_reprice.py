"""``vertex-batch reprice``."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from vertex_batch.cli import main
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.usage import Kind, UsageKey

DAYS = ["--since", "2026-11-01", "--until", "2026-11-30"]


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/costs.db"
    night = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    usage = {UsageKey("gemini-2.5-flash", Kind.INPUT): 1_000_000}
    job = JobFacts("p", "global", "1", logical_date=night)
    CostTable(url).record(Bill(job, RowCounts(ok=1), (), recorded_at=night, usage=usage))
    return url


@pytest.fixture
def prices(tmp_path):
    path = tmp_path / "map.json"
    path.write_text('{"gemini-2.5-flash": {"input_cost_per_token_batches": 2e-07}}')
    return str(path)


def test_a_dry_run_compares_and_a_run_changes_the_bill(url, prices, capsys):
    words = ["reprice", *DAYS, "--url", url, "--prices", prices, "--json"]
    for dry in (["--dry-run"], []):
        assert main([*words, *dry]) == 0
        [job] = json.loads(capsys.readouterr().out)["jobs"]
        assert (job["job"], job["changed"]) == ("p/global/1", True)
        assert (job["before"]["amount_usd"], job["after"]["amount_usd"]) == ("0", "0.2")
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["jobs"][0]["changed"] is False


def test_the_packaged_prices_are_taken_where_none_are_named(url, capsys):
    assert main(["reprice", *DAYS, "--url", url]) == 0
    printed = capsys.readouterr().out
    assert "p/global/1: 0 USD -> 0.15 USD" in printed
    assert "1 of 1 jobs differ, by 0.15 USD" in printed


def test_days_that_cannot_be_are_refused(url, capsys):
    assert main(["reprice", "--since", "2026-11-02", "--until", "2026-11-01", "--url", url]) == 1
    assert "no day is both" in capsys.readouterr().err
