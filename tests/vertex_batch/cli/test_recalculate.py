"""``vertex-batch reprice``."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from vertex_batch.cli import main
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.usage import Kind, UsageKey
from vertex_batch.vertex.names import JobId

DAYS = ["--since", "2026-11-01", "--until", "2026-11-30"]


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/costs.db"
    night = datetime(2026, 11, 22, 2, 30, tzinfo=UTC)
    usage = {UsageKey("gemini-2.5-flash", Kind.INPUT): 1_000_000}
    job = JobFacts("p", "global", "1", spec="nightly", logical_date=night)
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


def test_the_packaged_prices_can_be_asked_for(url, capsys):
    assert main(["reprice", *DAYS, "--url", url, "--packaged"]) == 0
    printed = capsys.readouterr().out
    assert "p/global/1: 0.00 USD -> 0.15 USD" in printed
    assert "1 of 1 jobs differ, by 0.15 USD" in printed


def test_days_that_cannot_be_are_refused(url, capsys):
    assert (
        main(["reprice", "--since", "2026-11-02", "--until", "2026-11-01", "--url", url, "--packaged"]) == 1
    )
    assert "is after --until" in capsys.readouterr().err


def test_every_job_is_never_meant_by_accident(url, capsys):
    assert main(["reprice", "--url", url, "--packaged"]) == 1
    assert "No jobs were selected" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "found"), [(["--job", "p/global/1"], 1), (["--job", "2"], 0), (["--spec", "other"], 0)]
)
def test_jobs_can_be_named_instead_of_days(url, capsys, words, found):
    assert main(["reprice", *words, "--url", url, "--packaged", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["jobs"]) == found


@pytest.fixture
def environment(tmp_path, monkeypatch, proxy, reply):
    """The folders and the connection that a recording would have, the proxy's price list served."""
    specs = tmp_path / "include" / "jobs"
    specs.mkdir(parents=True)
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(specs))
    deployment = {
        "model_name": "gemini-2.5-flash",
        "litellm_params": {"model": "vertex_ai/gemini-2.5-flash"},
        "model_info": {"input_cost_per_token_batches": 3e-07},
    }
    known = {"/model/info": {"data": [deployment]}, "/public/litellm_model_cost_map": {}}
    proxy.route(lambda call: reply.of(known.get(call.path, {})))
    connection = {"conn_type": "litellm", "host": proxy.url, "password": "sk-test"}
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", json.dumps(connection))
    return tmp_path / "include"


def amount(capsys, *words) -> str:
    assert main(["reprice", *DAYS, *words, "--json", "--dry-run"]) == 0
    return json.loads(capsys.readouterr().out)["jobs"][0]["after"]["amount_usd"]


def test_the_prices_are_those_of_a_recording_of_today(url, environment, capsys):
    """The proxy's, then before them a file of the folder, then before it the spec's."""
    assert amount(capsys, "--url", url) == "0.3"
    (environment / "pricing").mkdir()
    agreed = environment / "pricing" / "agreed.yaml"
    agreed.write_text("gemini-2.5-flash: {input_cost_per_token_batches: 4e-07}\n")
    assert amount(capsys, "--url", url) == "0.4"
    (environment / "jobs" / "nightly.yaml").write_text(
        "model: gemini-2.5-flash\ninputs: gs://bucket/in.jsonl\noutput: gs://bucket/out/\n"
        "prices: {gemini-2.5-flash: {input: 0.5}}\n"
    )
    assert amount(capsys, "--url", url) == "0.5"


def test_a_proxy_that_is_silent_changes_no_bill(url, environment, monkeypatch, capsys):
    connection = {"conn_type": "litellm", "host": "http://127.0.0.1:9", "password": "sk-test"}
    monkeypatch.setenv("AIRFLOW_CONN_SILENT", json.dumps(connection))
    assert main(["reprice", *DAYS, "--url", url, "--proxy", "silent"]) == 1
    assert "No bill was changed" in capsys.readouterr().err
    assert CostTable(url).bill(JobId("p", "global", "1")).total.amount == 0


def test_a_connection_that_is_not_defined_is_told_with_the_way_out(url, capsys):
    assert main(["reprice", *DAYS, "--url", url, "--proxy", "nowhere"]) == 1
    assert "AIRFLOW_CONN_NOWHERE" in capsys.readouterr().err


def test_each_job_of_a_spec_has_the_prices_that_it_states(url, environment, capsys):
    """The recorded job is that of a spec without groups, then the one of a group."""
    (environment / "jobs" / "nightly.yaml").write_text(
        "model: gemini-2.5-flash\noutput: gs://bucket/out/\njobs:\n"
        "  cheap: {inputs: gs://bucket/a.jsonl, prices: {gemini-2.5-flash: {input: 0.1}}}\n"
        "  dear: {inputs: gs://bucket/b.jsonl, prices: {gemini-2.5-flash: {input: 0.9}}}\n"
    )
    table = CostTable(url)
    for name in ("cheap", "dear"):
        bill = table.bill(JobId("p", "global", "1"))
        assert bill
        job = replace(bill.job, job_id=name, task_id=f"{name}.submit")
        table.record(replace(bill, job=job))
    for name, expected in (("cheap", "0.1"), ("dear", "0.9"), ("1", "0.3")):
        assert amount(capsys, "--url", url, "--job", name) == expected
