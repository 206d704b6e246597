"""The days of runs on the pages."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from airflow.models.dagrun import DagRun
from sqlalchemy import insert

from tests.vertex_batch.ui.conftest import airflows_database
from vertex_batch.ui.runs.run_days import run_days

pytestmark = pytest.mark.usefixtures("empty_airflow")
BERLIN = {"nightly": "Europe/Berlin"}


def a_run(run_id: str, **conf: str) -> None:
    """A run that was triggered late on 2026-11-27; in Berlin, that is the next day."""
    moment = datetime(2026, 11, 27, 23, 30, tzinfo=UTC)
    values = {"dag_id": "nightly", "run_id": run_id, "state": "success", "run_type": "manual"}
    values |= {"run_after": moment, "log_template_id": 1, "conf": conf}
    with airflows_database() as connection:
        connection.execute(insert(DagRun.__table__).values(**values))


@pytest.mark.parametrize(
    ("run_id", "timezones", "day"),
    [
        ("usual", BERLIN, "2026-11-28"),
        ("usual", {"nightly": "UTC"}, "2026-11-27"),
        ("dated", BERLIN, "2026-12-02"),
        ("retry", BERLIN, "2026-12-02"),
        ("retry_of_retry", BERLIN, "2026-12-02"),
        ("retry_of_deleted", BERLIN, None),
        ("invalid", BERLIN, None),
        ("gone", BERLIN, None),
        ("usual", {}, None),  # of no spec
    ],
)
def test_a_run_has_the_day_that_its_templates_had(run_id, timezones, day):
    a_run("usual")
    a_run("dated", run_date="2026-12-02")
    a_run("retry", retry_of="dated")
    a_run("retry_of_retry", retry_of="retry")
    a_run("retry_of_deleted", retry_of="gone")
    a_run("invalid", run_date="tomorrow")
    expected = {("nightly", run_id): date.fromisoformat(day)} if day else {}
    assert run_days([("nightly", run_id)], timezones) == expected


def test_pages_name_the_day_of_a_run_where_it_is_not_that_of_the_job(pages, tmp_path, monkeypatch):
    (tmp_path / "nightly.yaml").write_text(
        "model: gemini-2.5-flash\ninputs: gs://demo-bucket/in.jsonl\noutput: gs://demo-bucket/out\n"
    )
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(tmp_path))
    a_run("dated", run_date="2026-12-02")
    a_run("usual")
    for run_id, is_named in (("dated", True), ("usual", False)):
        job = pages.record(run_id=run_id, day=date(2026, 11, 27)).job
        bill = pages.get("/bill", project=job.project, location=job.location, job=job.job_id).text
        assert ("<dt>Run date</dt><dd>2026-12-02</dd>" in bill) is is_named
        assert ("<dt>Run date</dt>" in bill) is is_named
        run = pages.get("/run", dag_id="nightly", run_id=run_id).text
        assert f"Run date: {'2026-12-02' if is_named else '2026-11-27'}" in run
    assert pages.get("/jobs").text.count("run date ") == 1
