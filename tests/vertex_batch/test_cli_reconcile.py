"""``vertex-batch reconcile``: against the proxy's spend logs, a billing export and another price map."""

from __future__ import annotations

import base64
import csv
import json
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import create_engine, text

from vertex_batch.cli import main
from vertex_batch.costs import Bill, CostTable, JobFacts, RowCounts
from vertex_batch.costs.reconciling import logged_job
from vertex_batch.lifecycle import JOB_KEY_LABEL
from vertex_batch.pricing import LiteLLMPrices, PriceBook, price
from vertex_batch.usage import Kind, UsageKey

NIGHT = datetime(2026, 11, 20, 2, 30, tzinfo=UTC)
DAYS = ["--since", "2026-11-01", "--until", "2026-11-30"]
FLASH = {
    "input_cost_per_token_batches": "1.5e-07",
    "output_cost_per_token_batches": "1.25e-06",
    "cache_read_input_token_cost": "3e-08",
}
BOOK = PriceBook([LiteLLMPrices({"gemini-2.5-flash": FLASH}, "list", date(2026, 11, 20))])
USAGE = {
    UsageKey("gemini-2.5-flash", Kind.INPUT): 600_000,
    UsageKey("gemini-2.5-flash", Kind.CACHED_INPUT): 400_000,
    UsageKey("gemini-2.5-flash", Kind.OUTPUT): 100_000,
}
OURS = "0.227"  # 0.09 + 0.012 + 0.125


@pytest.fixture
def url(tmp_path):
    url = f"sqlite:///{tmp_path}/costs.db"
    table = CostTable(url)
    for job_id in ("1001", "1002", "1003"):
        job = JobFacts(
            "p",
            "global",
            job_id,
            model="publishers/google/models/gemini-2.5-flash",
            labels={JOB_KEY_LABEL: f"key-{job_id}"},
            logical_date=NIGHT,
            create_time=NIGHT,
        )
        items = tuple(price(USAGE, BOOK, "global"))
        table.record(Bill(job, RowCounts(ok=1), items, recorded_at=NIGHT, usage=USAGE))
    return url


def unified(job_id: str) -> str:
    plain = f"litellm_proxy;model_id:abc;llm_batch_id:{job_id}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=") + "_batch_cost"


@pytest.fixture
def spend_logs(proxy, reply, monkeypatch):
    """Let the proxy have a database with these spend logs, one a page, or answer with an error."""
    connection = json.dumps({"conn_type": "litellm", "host": proxy.url, "password": "sk-test"})
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", connection)

    def keep(rows, error=None):
        def answer(call):
            page = int(call.params["page"])
            status, data = error or (200, {"data": rows[page - 1 : page], "total_pages": len(rows)})
            return reply.of(data, status)

        proxy.route(answer)

    return keep


def reconcile(capsys, *words) -> dict:
    assert main(["reconcile", *DAYS, *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("written", [unified("42"), "42_batch_cost", "42", f"{unified('batches/42')}"])
def test_the_job_of_a_cost_row_is_read_from_its_id(written):
    assert logged_job(written) == "42"


def test_the_proxys_figures_stand_beside_ours_with_what_makes_the_difference(url, spend_logs, proxy, capsys):
    """The first is as the proxy reckons: cached tokens at the input rate; the second is equal; the third is
    missing there, and a fourth is none of ours."""
    rows = [
        {"request_id": unified("1001"), "spend": 0.275, "total_tokens": 1_100_000},
        {"request_id": unified("1002"), "spend": 0.22700000000000004, "total_tokens": 1_100_000},
        {"request_id": unified("9999"), "spend": 1.5, "total_tokens": 3},
    ]
    spend_logs(rows)
    found = reconcile(capsys, "--url", url)
    first, second, third = found["jobs"]
    assert first["ours"] == {"amount_usd": OURS, "complete": True}
    assert (first["theirs"]["amount_usd"], first["difference_usd"]) == ("0.275", "0.048")
    assert first["why"] == ["it charges cached tokens as input where no batch cache rate is listed"]
    assert (second["differs"], second["why"]) == (False, [])
    assert (third["theirs"], third["difference_usd"]) == (None, None)
    assert "litellm-vertex-files" in third["why"][0]
    assert found["unmatched"] == {"9999": "1.5"}
    [model] = found["models"]
    assert (model["jobs"], model["ours_usd"]) == (2, "0.454")
    assert Decimal(model["difference_usd"]) == Decimal("0.04800000000000004")
    assert [call.path for call in proxy.calls] == ["/spend/logs/v2"] * 3
    assert proxy.calls[0].params["start_date"] == "2026-11-20 00:00:00"
    assert proxy.calls[0].params["span_type"] == "batch"


def test_other_tokens_and_a_second_record_are_named(url, spend_logs, capsys):
    row = {"request_id": unified("1001"), "spend": 0.2, "total_tokens": 1}
    spend_logs([row, row])
    first = reconcile(capsys, "--url", url)["jobs"][0]
    assert first["theirs"]["amount_usd"] == "0.4"
    assert first["why"][:2] == ["tokens: 1,100,000 here, 2 there", "the proxy has recorded it 2 times"]


@pytest.mark.parametrize(
    ("status", "words"), [(401, "Prisma Client is not initialized"), (400, "No connected db.")]
)
def test_a_proxy_without_a_database_says_that_it_has_no_figures(url, spend_logs, capsys, status, words):
    error = {"error": {"message": words, "type": "internal_error", "param": "None", "code": str(status)}}
    spend_logs([], error=(status, error))
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    assert "has no database, so it has no figures of its own" in capsys.readouterr().err


def test_a_proxy_that_is_silent_is_no_proxy_without_a_database(url, monkeypatch, capsys):
    connection = json.dumps({"conn_type": "litellm", "host": "http://127.0.0.1:9", "password": "sk-test"})
    monkeypatch.setenv("AIRFLOW_CONN_LITELLM_DEFAULT", connection)
    assert main(["reconcile", *DAYS, "--url", url]) == 1
    assert "only with a database" in capsys.readouterr().err


def test_another_price_map_is_compared_rate_by_rate_and_nothing_is_written(url, tmp_path, capsys):
    other = tmp_path / "october.json"
    other.write_text(json.dumps({"gemini-2.5-flash": FLASH | {"input_cost_per_token_batches": "2e-07"}}))
    before = CostTable(url).bill("p", "global", "1001")
    found = reconcile(capsys, "--url", url, "--prices", str(other), "--job", "1001")
    [job] = found["jobs"]
    assert (job["theirs"]["amount_usd"], job["difference_usd"]) == ("0.257", "0.03")
    assert job["why"] == [
        "gemini-2.5-flash input: 0.15 USD per million (list) -> 0.20 USD per million (october.json)"
    ]
    assert CostTable(url).bill("p", "global", "1001") == before


def test_a_billing_export_is_matched_by_resource_and_by_label(url, tmp_path, capsys):
    """Rows of one job add up; credits are negative; what is Vertex AI's and no job's is told beside them."""
    rows = [
        {"ResourceId": "projects/9/locations/global/batchPredictionJobs/1001", "ListCost": "0.102"},
        {"Tags": json.dumps({JOB_KEY_LABEL: "key-1001"}), "ListCost": "0.125", "BilledCost": "0.1"},
        {"Tags": json.dumps([{"key": JOB_KEY_LABEL, "value": "key-1002"}]), "BilledCost": "0.3"},
        {"Tags": json.dumps({JOB_KEY_LABEL: "key-1002"}), "BilledCost": "-0.05"},
        {"ServiceName": "Vertex AI", "ChargeDescription": "Online prediction", "ListCost": "7"},
        {"ServiceName": "BigQuery", "ChargeDescription": "Storage", "ListCost": "5"},
    ]
    path = tmp_path / "focus.csv"
    fields = ["ResourceId", "Tags", "ListCost", "BilledCost", "ServiceName", "ChargeDescription"]
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fields, restval="")
        writer.writeheader()
        writer.writerows(rows)
    found = reconcile(capsys, "--url", url, "--billing", str(path))
    first, second, third = found["jobs"]
    assert (first["theirs"]["amount_usd"], first["differs"]) == (OURS, False)
    assert (second["theirs"]["amount_usd"], second["difference_usd"]) == ("0.25", "0.023")
    assert third["theirs"] is None
    assert found["unmatched"] == {"Online prediction": "7"}
    assert main(["reconcile", *DAYS, "--url", url, "--billing", str(path)]) == 0
    out = capsys.readouterr().out
    assert "0.227 USD here, 0.25 USD there, a difference of 0.023 USD" in out
    assert "2 of 3 jobs differ" in out


def test_our_own_focus_view_reconciles_with_our_bills(url, tmp_path, capsys):
    with create_engine(url).connect() as connection:
        rows = [
            dict(row) for row in connection.execute(text("SELECT * FROM focus_cost_and_usage")).mappings()
        ]
    for row in rows:
        row["ListCost"] = f"{Decimal(row['x_BilledPicoUsd']).scaleb(-12):f}"
    path = tmp_path / "ours.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    found = reconcile(capsys, "--url", url, "--billing", str(path))
    assert [job["difference_usd"] for job in found["jobs"]] == ["0", "0", "0"]


def test_a_file_that_is_no_export_is_refused(url, tmp_path, capsys):
    path = tmp_path / "wrong.csv"
    path.write_text("a,b\n1,2\n")
    assert main(["reconcile", *DAYS, "--url", url, "--billing", str(path)]) == 1
    assert "neither ListCost nor BilledCost" in capsys.readouterr().err


def test_a_bill_that_is_an_at_least_says_so(url, tmp_path, capsys):
    table = CostTable(url)
    bill = table.bill("p", "global", "1001")
    usage = {**bill.usage, UsageKey("gemini-2.5-flash", Kind.SEARCH_QUERY): 3}
    table.record(replace(bill, usage=usage, line_items=tuple(price(usage, BOOK, "global"))))
    other = tmp_path / "same.json"
    other.write_text(json.dumps({"gemini-2.5-flash": FLASH}))
    [job] = reconcile(capsys, "--url", url, "--prices", str(other), "--job", "1001")["jobs"]
    assert (job["ours"]["complete"], job["theirs"]["complete"], job["differs"]) == (False, False, False)
