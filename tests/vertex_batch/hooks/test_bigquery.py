"""Outputs in BigQuery, read over its REST API as Google's client does it."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from vertex_batch.billing.making import make_bill
from vertex_batch.billing.outputs import OutputReader
from vertex_batch.costs import JobFacts
from vertex_batch.errors import (
    ConfigurationError,
    OutputMissingError,
    StorageAccessError,
    StorageUnavailableError,
)
from vertex_batch.hooks.bigquery import read_table
from vertex_batch.pricing import PriceBook, packaged_prices
from vertex_batch.vertex.resource import BatchPredictionJob

TABLE = "bq://demo-project.batches.predictions_1"
FLASH = "gemini-2.5-flash"
FIELDS = [("request", "JSON"), ("response", "JSON"), ("status", "STRING"), ("processed_time", "TIMESTAMP")]


def answer(**usage) -> str:
    return json.dumps({"candidates": [{}], "modelVersion": FLASH, "usageMetadata": usage})


OK = ("{}", answer(promptTokenCount=1000, candidatesTokenCount=100), "", "1763778000000000")
FAILED = ("{}", "{}", 'Bad Request: {"error": {"code": 400, "message": "no"}}', None)
ODD = ("{}", answer(promptTokenCount=-5), "", None)


def _table():
    fields = [{"name": name, "type": kind, "mode": "NULLABLE"} for name, kind in FIELDS]
    reference = {"projectId": "demo-project", "datasetId": "batches", "tableId": "predictions_1"}
    return {"tableReference": reference, "schema": {"fields": fields}, "type": "TABLE"}


def _page(rows, query):
    names = query.get("selectedFields", ",".join(name for name, _ in FIELDS)).split(",")
    order = [index for index, (name, _) in enumerate(FIELDS) if name in names]
    start = int(query.get("pageToken", "0"))
    shown = [{"f": [{"v": row[index]} for index in order]} for row in rows[start : start + 2]]
    more = {"pageToken": str(start + 2)} if start + 2 < len(rows) else {}
    return {"rows": shown, "totalRows": str(len(rows)), **more}


@pytest.fixture
def bigquery(proxy, reply, monkeypatch):
    """A BigQuery with one table, two rows a page; its rows and what it was asked."""
    state = {"rows": [], "asked": [], "status": 200}

    def answer(call):
        state["asked"].append((call.path, call.params))
        place = "/projects/demo-project/datasets/batches/tables/predictions_1"
        known = call.path.removesuffix("/data").endswith(place)
        status = state["status"] if known else 404
        if status != 200:
            error = {"code": status, "message": "no", "errors": [{"reason": "notFound"}]}
            return reply.of({"error": error}, status)
        return reply.of(_page(state["rows"], call.params) if call.path.endswith("/data") else _table())

    proxy.route(answer)
    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True}}
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", json.dumps(connection))
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", proxy.url)
    return state


def facts(table=TABLE) -> JobFacts:
    return JobFacts("demo-project", "us-central1", "1", model=FLASH, output_directory=table)


def test_a_table_is_billed_row_by_row_over_its_pages(bigquery):
    bigquery["rows"] = [OK, FAILED, OK, ODD, OK]
    read = OutputReader(lambda: None, read_table=read_table).read(facts(), {})
    bill = make_bill(facts(), read.scan, PriceBook([packaged_prices()]))
    assert (bill.rows.ok, bill.rows.failed, bill.rows.unreadable) == (3, 1, 1)
    # 3 rows of 1,000 tokens at 0.15 and 100 at 1.25 USD per million
    assert bill.total.amount == 3 * (Decimal("0.00015") + Decimal("0.000125"))
    assert not bill.total.complete
    assert [(problem.file, problem.line) for problem in bill.problems] == [(TABLE, 4)]
    assert read.problem is None


def test_only_the_columns_that_a_bill_needs_are_fetched(bigquery):
    bigquery["rows"] = [OK]
    assert [set(row) for row in read_table(TABLE)] == [{"processed_time", "response", "status"}]
    pages = [query for path, query in bigquery["asked"] if path.endswith("/data")]
    assert [page["selectedFields"] for page in pages] == ["response,status,processed_time"]


def test_a_table_that_is_not_there_is_a_missing_output(bigquery):
    read = OutputReader(lambda: None, read_table=read_table).read(facts(f"{TABLE}x"), {})
    assert isinstance(read.problem, OutputMissingError)
    assert read.unknown == ("the table does not exist",)


@pytest.mark.parametrize(("status", "error"), [(403, StorageAccessError), (400, StorageUnavailableError)])
def test_a_refusal_is_told_apart_from_a_failure(bigquery, status, error):
    bigquery["status"] = status
    with pytest.raises(error):
        list(read_table(TABLE))


def test_what_is_no_table_is_refused(bigquery):
    with pytest.raises(ConfigurationError, match="is not a valid output table"):
        list(read_table("bq://demo-project"))
    assert bigquery["asked"] == []


def test_an_empty_table_is_a_flag(bigquery):
    read = OutputReader(lambda: None, read_table=read_table).read(facts(), {})
    assert "the output holds no rows" in read.scan.flags


def test_without_a_reader_the_cost_is_not_known():
    read = OutputReader(lambda: None).read(facts(), {})
    assert read.unknown == (f"the output is the BigQuery table {TABLE}, which cannot be read here",)


@pytest.mark.parametrize(
    ("dataset", "table"),
    [
        ("bq://demo-project.batches", "predictions_1"),
        ("bq://demo-project.batches", TABLE),
        ("bq://demo-project.batches", "batches.predictions_1"),
        (None, TABLE),
    ],
)
def test_the_table_of_a_job_is_found_in_what_vertex_says(dataset, table):
    info = {"bigqueryOutputDataset": dataset, "bigqueryOutputTable": table}
    job = BatchPredictionJob.model_validate({"name": "projects/1/x/1", "outputInfo": info})
    assert job.output_table == TABLE
    assert job.output_directory is None
