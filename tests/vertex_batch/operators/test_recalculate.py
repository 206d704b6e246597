"""Pricing and counting recorded jobs again: the tasks of the operations DAGs, on real outputs."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import create_engine, text

from local.emulator.admin import Scenario
from tests.builders import LOCATION, PROJECT, a_request, input_rows
from tests.vertex_batch.operators.conftest import MODEL
from vertex_batch.cli import main
from vertex_batch.errors import TransientError
from vertex_batch.operators import AggregateTokenUsageOperator, RecountJobsOperator, RepriceJobsOperator
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import JobId
from vertex_batch.vertex.resource import JobReference

ROWS = 6


pytestmark = [
    pytest.mark.vertex(rows=input_rows(*(f"n {i}" for i in range(ROWS)))),
    pytest.mark.usefixtures("table"),
]


@pytest.fixture
def job(vertex, context, prices) -> str:
    """The id of a job that has ended and is recorded."""
    vertex.admin.add_scenario(Scenario(times=1, mix={}))
    model = f"publishers/google/models/{MODEL}"
    request = a_request(display_name="recorded", labels={"team": "search"}, model=model)
    job_id = vertex.create(request)
    vertex.admin.wait_for_jobs(job_id=job_id, state="SUCCEEDED")
    reference = JobReference(PROJECT, LOCATION, job_id, model=request.model)
    AggregateTokenUsageOperator(task_id="record", job=reference.to_dict(), spec="nightly").execute(context)
    return job_id


def output_file(vertex, job) -> str:
    return f"{vertex.admin.job(job).output_directory}/predictions.jsonl"


def history(tmp_path) -> int:
    with create_engine(f"sqlite:///{tmp_path / 'costs.db'}").connect() as connection:
        return connection.execute(text("SELECT COUNT(*) FROM cost_price_history")).scalar_one()


def test_a_corrected_price_is_on_the_bill_and_the_old_one_in_its_history(job, table, prices, tmp_path):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    prices["input_cost_per_token_batches"] = 2e-06
    told = RepriceJobsOperator(task_id="reprice", spec="nightly", only_compare="True").execute({})
    assert (told["jobs"], told["changed"], history(tmp_path)) == (1, 1, 0)
    assert table.bill(JobId(PROJECT, LOCATION, job)) == before
    again = RepriceJobsOperator(task_id="reprice", job_ids=f"x, {job}", only_compare="False").execute({})
    after = table.bill(JobId(PROJECT, LOCATION, job))
    [old], [new] = ([i for i in bill.line_items if i.kind == "input"] for bill in (before, after))
    assert new.amount_usd == 2 * old.amount_usd
    assert Decimal(again["difference_usd"]) == old.amount_usd == Decimal(told["difference_usd"])
    assert history(tmp_path) == len(before.line_items)
    assert RepriceJobsOperator(task_id="reprice", team="search").execute({})["changed"] == 0


def test_a_proxy_without_prices_changes_no_bill_and_the_task_may_try_again(vertex, job, table, monkeypatch):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    monkeypatch.setattr(BatchClient, "price_map", _no_such_page)
    with pytest.raises(TransientError, match="No bill was changed"):
        RepriceJobsOperator(task_id="reprice", spec="nightly").execute({})
    assert table.bill(JobId(PROJECT, LOCATION, job)) == before


def _no_such_page(_):
    raise OSError("503")


def test_an_output_that_was_completed_later_is_counted_again(vertex, job, table, tmp_path):
    path = output_file(vertex, job)
    whole = vertex.gcs.get(path)
    vertex.gcs.put(path, b"".join(whole.splitlines(keepends=True)[:2]))
    lost = RecountJobsOperator(task_id="recount", job_ids=job).execute({})
    part = table.bill(JobId(PROJECT, LOCATION, job))
    assert (lost["changed"], part.rows.ok) == (1, 2)
    assert any("the output holds 2" in flag for flag in part.flags)
    assert part.job.spec == "nightly"  # whose job it is stays
    vertex.gcs.put(path, whole)
    RecountJobsOperator(task_id="recount", since="2020-01-01").execute({})
    assert table.bill(JobId(PROJECT, LOCATION, job)).rows.ok == ROWS
    kept = history(tmp_path)
    assert kept > 0
    assert RecountJobsOperator(task_id="recount", job_ids=job).execute({})["changed"] == 0
    assert history(tmp_path) == kept


def test_counting_again_only_to_compare_writes_nothing(vertex, job, table, tmp_path):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    path = output_file(vertex, job)
    vertex.gcs.put(path, vertex.gcs.get(path).splitlines(keepends=True)[0])
    told = RecountJobsOperator(task_id="recount", job_ids=job, only_compare=True).execute({})
    assert told["changed"] == 1
    assert (table.bill(JobId(PROJECT, LOCATION, job)), history(tmp_path)) == (before, 0)


def test_a_bill_whose_output_is_gone_stays_and_fails_the_task(vertex, job, table):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    vertex.gcs.delete(output_file(vertex, job))
    with pytest.raises(AirflowFailException, match="1 of 1 bills were kept: the output of job"):
        RecountJobsOperator(task_id="recount", job_ids=job).execute({})
    assert table.bill(JobId(PROJECT, LOCATION, job)) == before


def test_a_job_that_was_deleted_at_vertex_is_counted_from_its_recorded_output(vertex, job, table):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    vertex.admin.delete_job(job)
    assert RecountJobsOperator(task_id="recount", job_ids=job).execute({})["changed"] == 0
    after = table.bill(JobId(PROJECT, LOCATION, job))
    assert (after.rows, after.total, after.job) == (before.rows, before.total, before.job)


def test_a_bill_stays_if_its_output_has_lost_rows_and_vertex_has_no_counts_of_them(vertex, job, table):
    before = table.bill(JobId(PROJECT, LOCATION, job))
    path = output_file(vertex, job)
    vertex.gcs.put(path, b"".join(vertex.gcs.get(path).splitlines(keepends=True)[:2]))
    vertex.admin.delete_job(job)
    with pytest.raises(AirflowFailException, match="holds 4 rows fewer than its bill"):
        RecountJobsOperator(task_id="recount", job_ids=job).execute({})
    assert table.bill(JobId(PROJECT, LOCATION, job)) == before


def test_answers_that_the_output_has_lost_stay_unknown_when_vertex_has_no_counts_any_more(vertex, job, table):
    path = output_file(vertex, job)
    vertex.gcs.put(path, vertex.gcs.get(path).splitlines(keepends=True)[0])
    RecountJobsOperator(task_id="recount", job_ids=job).execute({})
    before = table.bill(JobId(PROJECT, LOCATION, job))
    assert not before.total.complete
    vertex.admin.delete_job(job)
    assert RecountJobsOperator(task_id="recount", job_ids=job).execute({})["changed"] == 0
    assert table.bill(JobId(PROJECT, LOCATION, job)).total == before.total


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "No jobs were selected"),
        ({"since": "yesterday"}, "not a valid day"),
        ({"since": "2026-11-02", "until": "2026-11-01"}, "is after the last"),
    ],
)
def test_a_form_that_cannot_be_meant_is_refused(vertex, fields, message):
    for operator in (RepriceJobsOperator, RecountJobsOperator):
        with pytest.raises(AirflowFailException, match=message):
            operator(task_id="again", **fields).execute({})


def test_the_command_line_counts_again_without_a_proxy(vertex, job, table, tmp_path, capsys):
    words = ["recount", "--job", job, "--url", f"sqlite:///{tmp_path / 'costs.db'}", "--packaged", "--json"]
    path = output_file(vertex, job)
    whole = vertex.gcs.get(path)
    vertex.gcs.put(path, whole + whole.splitlines(keepends=True)[0])
    assert main(words) == 0
    [told] = json.loads(capsys.readouterr().out)["jobs"]
    assert (told["before"]["rows"]["ok"], told["after"]["rows"]["ok"], told["changed"]) == (
        ROWS,
        ROWS + 1,
        True,
    )
    vertex.gcs.put(path, whole)
    assert main(words[:-1]) == 1
    assert "1 row fewer than its bill, and the row counts of Vertex are not known" in capsys.readouterr().out
    vertex.gcs.delete(path)
    assert main(words[:-1]) == 1
    assert "the bill was kept: the output of job" in capsys.readouterr().out
    assert table.bill(JobId(PROJECT, LOCATION, job)).rows.ok == ROWS + 1
