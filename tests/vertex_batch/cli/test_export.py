"""``vertex-batch export``: the cost table in the columns of FOCUS, in a file or in a pipe."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from vertex_batch.cli import main
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.pricing import Basis, LineItem
from vertex_batch.usage import Kind, Modality, Tier


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/costs.db"
    for job, kind, price in (("1", Kind.INPUT, "1.5e-07"), ("2", Kind.SEARCH_QUERY, None)):
        known = None if price is None else Decimal(price)
        item = LineItem(
            "gemini-3.6-flash",
            kind,
            Modality.TEXT,
            Tier.STANDARD,
            3,
            known,
            None if known is None else 3 * known,
            Basis.BATCH_RATE if known else None,
            source="packaged" if known else "",
            price_date=date(2026, 11, 22) if known else None,
            reason="" if known else "it has free allowances",
        )
        facts = JobFacts(
            "p", "global", job, spec=f"spec-{job}", create_time=datetime(2026, 11, 26, tzinfo=UTC)
        )
        CostTable(url).record(Bill(facts, RowCounts(ok=1), (item,)))
    return url


def test_all_jobs_are_written_and_what_has_no_price_is_reported(url, capsys):
    assert main(["export", "--url", url]) == 0
    done = capsys.readouterr()
    [row] = csv.DictReader(io.StringIO(done.out))
    assert (row["BilledCost"], row["ProviderName"], row["x_Spec"]) == ("0.00000045", "Google Cloud", "spec-1")
    assert "usage without a price is not in the export" in done.err
    assert "gemini-3.6-flash search_query: 3 in 1 job: it has free allowances" in done.err


def test_a_file_is_complete_or_absent_and_its_version_is_chosen(url, tmp_path, capsys):
    path = tmp_path / "focus.csv"
    assert main(["export", "--url", url, "--focus", "1.4", "--spec", "spec-1", "--output", str(path)]) == 0
    with path.open(newline="") as stream:
        [row] = csv.DictReader(stream)
    assert row["ServiceProviderName"] == row["HostProviderName"] == "Google Cloud"
    assert not {"ProviderName", "PublisherName"} & row.keys()
    assert capsys.readouterr() == ("", "")
    assert sorted(tmp_path.glob("focus*")) == [path]


def test_a_file_that_cannot_be_written_is_named(url, tmp_path, capsys):
    assert main(["export", "--url", url, "--output", str(tmp_path / "no" / "focus.csv")]) == 1
    assert f"{tmp_path}/no/focus.csv cannot be written: No such file or directory." in capsys.readouterr().err


def test_a_selection_without_jobs_is_a_file_with_names_only(url, capsys):
    assert main(["export", "--url", url, "--since", "2030-01-01"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
