"""The export in the columns of FOCUS 1.2 passes the official validator of the specification."""

from __future__ import annotations

import csv
import os

import pytest

from tools.focus_validator import NoPythonError, interpreter, validate
from vertex_batch.costs import FocusVersion, JobFilter, stream_csv

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module", autouse=True)
def _python():
    try:
        interpreter()
    except NoPythonError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def exported(table, golden_bills, tmp_path):
    for each in golden_bills:
        table.record(each)
    path = tmp_path / "focus.csv"
    with path.open("w", newline="") as stream:
        stream.writelines(stream_csv(table.focus(JobFilter(), FocusVersion.V1_2)))
    return path


def test_the_export_of_golden_bills_passes(exported):
    report = validate(exported)
    assert report.failures == {}
    assert report.passed > 200


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_missing_cost_is_found(exported, tmp_path):
    """The validator really reads the file, with the criteria that are declared."""
    with exported.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0]["BilledCost"] = ""
    wrong = tmp_path / "wrong.csv"
    with wrong.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    assert any(rule.startswith("BilledCost-") for rule in validate(wrong).failures)
