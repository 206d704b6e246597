"""What the overview says went wrong, and that it is never green after a bad night."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from airflow.models.dag import DagTag
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from sqlalchemy import Engine, delete, event, insert, update

from tests.builders import MORNING, a_delivery
from tests.vertex_batch.ui.conftest import HOSTILE, airflows_database
from tests.vertex_batch.ui.test_pages import key, words
from tests.vertex_batch.ui.test_run import DELIVER, REASON, a_run, a_spec
from vertex_batch.budgets import BudgetRequest, Decision, Estimate, Ledger, Ruling
from vertex_batch.costs import RowCounts, Total
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.ui.problems import many_unanswered
from vertex_batch.ui.words import explain_truncated
from vertex_batch.vertex.labels import GROUP_KEY_LABEL, RETRY_LABEL, RETRY_OF_LABEL, SAMPLE_LABEL

ENDED = datetime(2026, 11, 22, 3, 40, tzinfo=UTC)
FREE = Total(Decimal(0), complete=True)
FINE = {"rows": RowCounts(ok=1000, input_rows=1000)}


def a_failed_run(dag_id="nightly", reason=REASON, run_id="tonight"):
    run = {"dag_id": dag_id, "run_id": run_id}
    a_run(
        "failed", [("plan_inputs", "failed", "x")], [("plan_inputs", OUTCOME_XCOM, {"message": reason})], run
    )
    with airflows_database() as connection:
        connection.execute(delete(DagTag.__table__).where(DagTag.__table__.c.dag_id == dag_id))
        connection.execute(insert(DagTag.__table__).values(name="vertex-batch", dag_id=dag_id))
        connection.execute(update(DagRun.__table__).values(end_date=ENDED))


def test_answers_that_were_paid_for_after_the_delivery_are_a_warning(pages):
    run = {"dag_id": "nightly", "run_id": "tonight"}
    facts = {"run_id": "tonight", "task_id": "retry_1.submit", "labels": {RETRY_LABEL: "1"}, "bill": FINE}
    pages.table.record_delivery(a_delivery(**run, delivered=20, exceptions=0), files_changed=True)
    pages.record(**facts, end_time=MORNING - timedelta(1))
    assert "Nothing unusual" in pages.get("/").text
    pages.record(**facts, end_time=MORNING + timedelta(minutes=9))
    pages.record(**{**facts, "bill": FINE}, dag_id="secret", end_time=MORNING + timedelta(minutes=9))
    answer = pages.get("/").text
    assert "1 warning nightly: 1,000 answers were paid for (1.50 USD) after the delivery" in words(answer)
    assert "/run?dag_id=nightly&amp;run_id=tonight" in answer
    delivered = a_delivery(**run, delivered=20, exceptions=0, delivered_at=MORNING + timedelta(1))
    pages.table.record_delivery(delivered, files_changed=True)
    assert "Nothing unusual" in pages.get("/").text


@pytest.mark.parametrize(
    ("second", "is_named"),
    [
        ({}, True),
        ({"run_id": "click 1"}, False),  # a clear
        ({"labels": {RETRY_LABEL: "1"}}, False),
        ({"labels": {RETRY_OF_LABEL: "key"}}, False),
        ({"labels": {SAMPLE_LABEL: "10-of-13"}}, False),
        ({"model": "gemini-2.5-pro"}, False),
        ({"input_uris": ("gs://in/b.jsonl",)}, False),
        ({"task_id": "other.submit"}, False),
        ({"bill": {"rows": RowCounts(failed=13, input_rows=13)}}, False),  # after a failed night
        ({"size": 901}, False),  # the same name, written again
    ],
)
def test_an_input_that_several_runs_of_the_night_have_paid_for_is_a_warning(pages, second, is_named):
    first = {"input_uris": ("gs://in/a.jsonl",), "bill": FINE, "create_time": MORNING, "size": 900}
    for run_id, facts in (("click 1", first), ("click 2", {"run_id": "click 2", **first, **second})):
        size, given = facts["size"], {name: value for name, value in facts.items() if name != "size"}
        job = pages.record(**{"run_id": run_id, **given}).job
        asked = BudgetRequest(
            job.job_id, job.project, job.location, job.model, job.dag_id, job.run_id, "submit"
        )
        estimate = Estimate(FREE, Decimal(0), Decimal(0), rows=13, size=size)
        Ledger(pages.table).claim(asked, estimate, [], lambda _: Decision(Ruling.GO))
        Ledger(pages.table).submitted(job.job_id, job.job_id)
        delivery = a_delivery(run_id=run_id, delivered=20, exceptions=0)
        pages.table.record_delivery(delivery, files_changed=True)
    text = words(pages.get("/").text)
    assert ("nightly: the same input was paid for 2 times, 3.00 USD" in text) is is_named


@pytest.mark.parametrize(
    ("state", "rows", "text"),
    [
        ("CANCELLED", RowCounts(), "nightly: job cancelled, 1.50 USD paid"),
        ("EXPIRED", RowCounts(ok=1), "nightly: job expired"),
        ("SUCCEEDED", RowCounts(ok=7, input_rows=10), "nightly: job succeeded, 3 of 10 rows are missing"),
    ],
)
def test_a_job_without_all_its_rows_is_a_warning_with_its_name(pages, state, rows, text):
    pages.record(bill=FINE)
    assert "Nothing unusual" in pages.get("/").text
    bill = pages.record(bill={"rows": rows}, state=state)
    pages.record(dag_id="secret", spec="secret", bill={"rows": rows}, state=state)
    pages.record(spec="old", day=date(2026, 11, 20), bill={"rows": rows}, state=state)
    answer = pages.get("/").text
    assert "Nothing unusual" not in answer
    assert f"1 warning {text}" in words(answer)
    # The page of a cancelled run says what to do next.
    page = "/run?dag_id=nightly&amp;run_id=" if state == "CANCELLED" else f"job={bill.job.job_id}"
    assert page in answer
    assert "secret" not in answer


@pytest.mark.parametrize(
    ("hours", "again", "is_over"),
    [
        (1, {}, True),
        (1, {"state": "FAILED"}, False),
        (-1, {}, False),
        (1, {"run_id": "another"}, False),
        (1, {"task_id": "other.submit"}, False),
        (1, {"map_index": 3}, False),
    ],
)
def test_a_job_is_no_warning_once_its_run_has_been_cleared_and_has_ended_well(pages, hours, again, is_over):
    at = {"run_id": "tonight", "create_time": ENDED}
    pages.record(bill={"rows": RowCounts(ok=47, input_rows=300)}, state="CANCELLED", **at)
    pages.record(bill=FINE, **{**at, "create_time": ENDED + timedelta(hours=hours), **again})
    text = words(pages.get("/").text)
    assert ("253 of 300 rows are missing" in text or "cancelled" in text) is not is_over


def test_a_job_that_was_cancelled_after_its_run_had_delivered_does_not_deny_the_delivery(pages):
    run = {"run_id": "tonight"}
    good = {"input_rows": 20_000, "delivered": 19_389, "exceptions": 611, "reasons": {"failed": 611}}
    delivery = a_delivery(**run, **good, delivered_at=ENDED)
    first = pages.record(bill=FINE, **run, create_time=ENDED - timedelta(hours=1))
    pages.table.record_delivery(delivery, files_changed=True)
    rows = {"rows": RowCounts(ok=8_615, input_rows=20_000)}
    second = pages.record(bill=rows, **run, state="CANCELLED", create_time=ENDED + timedelta(hours=1))
    text = words(pages.get("/").text)
    stays = (
        f"The 19,389 answers that were delivered before stay at {delivery.answers_uri};"
        " 611 of its rows have no answer."
    )
    assert f"nightly: job cancelled, 1.50 USD paid {stays}" in text
    assert "Last night: 20,000 input rows = 19,389 delivered + 611 exceptions" in text
    assert "11,385" not in text
    assert delivery.answers_uri in pages.get("/bill", **key(first)).text
    assert delivery.answers_uri not in pages.get("/bill", **key(second)).text
    assert "--replace" not in pages.get("/run", dag_id="nightly", **run).text


def test_a_cancelled_run_beside_a_better_delivery_of_its_input_folds_the_command_away(
    pages, tmp_path, monkeypatch
):
    a_spec(tmp_path, monkeypatch)
    good = {"input_rows": 20_000, "delivered": 19_389, "exceptions": 611, "reasons": {"failed": 611}}
    first = a_delivery(**good, delivered_at=ENDED - timedelta(days=2))
    pages.table.record_delivery(first, files_changed=True)
    run = {"dag_id": "nightly", "run_id": "tonight"}
    uri = first.answers_uri.replace(".parquet", ".tonight.parquet")
    bad = {**good, "delivered": 8_615, "exceptions": 11_385, "reasons": {"missing": 11_385}}
    kept = {"kept_at": first.answers_uri, "kept_answers": 19_389}
    pages.table.record_delivery(a_delivery(**run, **bad, **kept, answers_uri=uri), files_changed=True)
    rows = {"rows": RowCounts(ok=8_615, input_rows=20_000)}
    pages.record(bill=rows, **run, state="CANCELLED", input_uris=("gs://demo-bucket/in.jsonl",))
    stays = (
        f"The 19,389 answers that were delivered before stay at {first.answers_uri};"
        " 611 of its rows have no answer."
    )
    text = words(pages.get("/").text)
    assert f"nightly: job cancelled, 1.50 USD paid {stays}" in text
    night = (
        "Last night: 20,000 input rows = 8,615 delivered + 11,385 exceptions (11,385 missing), in 1 delivery"
    )
    assert night in text
    assert "1 delivery was paid for and is beside a better one of the same input, whose answers stay." in text
    assert 'Last night: <span class="bad"' not in pages.get("/").text  # no row lacks its answer
    assert "11,385" not in text.partition("Last night")[0]
    page = pages.get("/run", **run).text
    assert stays in words(page)
    assert "<details><summary>Replace the better answers" in page
    assert "This replaces 19,389 answers with 8,615." in page
    assert "no good answer" not in page


@pytest.mark.parametrize("is_beside", [True, False])
def test_a_run_whose_rest_was_sent_and_delivered_is_resolved_and_no_warning(pages, is_beside):
    cut = {"input_rows": 20, "delivered": 8, "exceptions": 12, "reasons": {"missing": 12}}
    first = a_delivery(run_id="first", delivered_at=ENDED - timedelta(days=2))
    run = {"dag_id": "nightly", "run_id": "tonight"}
    beside = {"answers_uri": "/srv/beside.parquet", "kept_at": first.answers_uri, "kept_answers": 17}
    own = a_delivery(**run, **cut, **(beside if is_beside else {}), delivered_at=ENDED)
    for each in (first, own):
        pages.table.record_delivery(each, files_changed=True)
    rows, at = {"rows": RowCounts(ok=8, input_rows=20)}, {"create_time": ENDED - timedelta(hours=1)}
    pages.record(bill=rows, **run, **at, state="CANCELLED", labels={GROUP_KEY_LABEL: "abc"})
    a_run("failed", [("wait", "failed", "BatchPredictionJobSensor")])
    assert "nightly: job cancelled" in words(pages.get("/").text)
    rest = {"run_id": "the rest", "retry_of": "tonight", "delivered_at": ENDED + timedelta(hours=1)}
    few = a_delivery(**{**cut, **rest})
    pages.table.record_delivery(few, files_changed=True)
    assert "nightly: job cancelled" in words(pages.get("/").text)  # many rows lack answers even now
    all_rows = {"delivered": 20, "exceptions": 0, "reasons": {}}
    pages.table.record_delivery(replace(few, **all_rows), files_changed=True)
    sent = {"rows": RowCounts(ok=12, input_rows=12)}
    pages.record(bill=sent, run_id="the rest", task_id="retry_1.submit", labels={RETRY_OF_LABEL: "abc"})
    assert "job cancelled" not in words(pages.get("/").text)
    text = words(pages.get("/run", **run).text)
    assert "Resolved by run the rest, which has sent the rows without an answer again" in text
    assert "Its delivery has answers to 20 of 20 rows." in text
    assert "stay at" not in text
    assert ("until run the rest replaced them with 20" in text) is is_beside


@pytest.mark.parametrize(("runs", "more"), [(6, "1 more job or run"), (7, "2 more jobs and runs")])
def test_the_runs_that_are_not_shown_are_counted(pages, runs, more):
    for number in range(runs):
        pages.record(bill={"rows": RowCounts(ok=2, input_rows=20)}, run_id=f"run {number}", state="CANCELLED")
    assert more in words(pages.get("/").text)


def test_the_most_frequent_failure_comes_first_and_a_sample_is_called_one(pages):
    role = "Please use a valid role: user, model."
    rows = {"rows": RowCounts(ok=2, failed=8, input_rows=10), "failed_reasons": {role: 8}}
    pages.record(bill=rows, run_id="tonight")
    cut = {"input_rows": 10, "delivered": 2, "exceptions": 8, "reasons": {"failed": 8}}
    place = {"run_id": "tonight", "answers_uri": "gs://demo-bucket/_samples/answers.parquet"}
    pages.table.record_delivery(a_delivery(**place, **cut), files_changed=True)
    said = f"Most frequent failure (8 rows): {role}"
    text = words(pages.get("/").text)
    when = "2026-11-22 04:12 UTC, run tonight:"
    assert f"nightly: in a sample, 8 of 10 rows have no good answer (8 failed) {when} {said}" in text
    reason = {"message": f"8 rows have no good answer; clear `deliver` {HOSTILE}"}
    a_run("failed", [("deliver", "failed", "DeliverResultsOperator")], [("deliver", OUTCOME_XCOM, reason)])
    page = pages.get("/run", dag_id="nightly", run_id="tonight").text
    assert f"Failed at deliver: {said} 8 rows have no good answer; clear deliver" in words(page)
    assert "<code>deliver</code>" in page
    assert "<script>alert" not in page


def test_the_overview_is_never_green_when_many_rows_of_the_night_have_no_answer(pages):
    pages.record(bill=FINE)
    cut = {"delivered": 115, "exceptions": 185, "input_rows": 300, "reasons": {"truncated": 177, "failed": 8}}
    pages.table.record_delivery(a_delivery(**cut), files_changed=True)
    text = words(pages.get("/").text)
    assert "Nothing unusual" not in text
    said = "nightly: 185 of 300 rows have no good answer (177 truncated, 8 failed)"
    assert f"{said} 2026-11-22 04:12 UTC, run night: 177 rows were cut at maxOutputTokens" in text
    assert said not in words(pages.get("/", dag_id="hourly").text)


def test_a_delivery_that_was_put_beside_a_better_one_counts_in_the_night_and_is_a_warning(
    pages, tmp_path, monkeypatch
):
    a_spec(tmp_path, monkeypatch)
    pages.record(bill=FINE, run_id="first")
    pages.table.record_delivery(
        a_delivery(run_id="first", exceptions=0, delivered=20, reasons={}), files_changed=True
    )
    assert "Nothing unusual" in pages.get("/").text
    cut = {"delivered": 94, "exceptions": 206, "input_rows": 300, "reasons": {"truncated": 206}}
    beside = a_delivery(run_id="second", answers_uri="gs://demo-bucket/a b/answers.second.parquet", **cut)
    pages.record(bill=FINE, run_id="second")
    pages.table.record_delivery(beside, files_changed=True)
    answer = pages.get("/").text
    assert "Nothing unusual" not in answer
    assert "1 warning nightly: 206 of 300 rows have no good answer (206 truncated)" in words(answer)
    assert "which has another delivery; the page of the run has the" in answer
    night = "320 input rows = 114 delivered + 206 exceptions (206 truncated)"
    assert f'Last night: <span class="bad">{night}</span>, in 2 deliveries' in answer
    for path, query in (("/jobs", {}), ("/", {"spec": "nightly"})):
        text = pages.get(path, **query).text
        assert text.count(">206 exceptions</small>") == 1
        assert f'title="{beside}"' in text
    of_run = words(pages.get("/run", dag_id="nightly", run_id="second").text)
    assert "206 of 300 rows have no good answer (206 truncated). 206 rows were cut at" in of_run
    assert "no good answer (" not in words(pages.get("/run", dag_id="nightly", run_id="first").text)


def test_the_last_night_is_the_sum_of_its_runs_on_the_page_with_retried_rows_once(pages):
    pages.record(bill=FINE)
    full = {"delivered": 20, "exceptions": 0, "reasons": {}}
    cut = {"delivered": 13, "exceptions": 7, "reasons": {"missing": 7}, "answers_uri": "/srv/a.cut.parquet"}
    for hour, changes in enumerate(
        (
            {**full, "run_id": "full"},
            {**cut, "run_id": "cut", "kept_at": a_delivery().answers_uri, "kept_answers": 20},
            {**full, "run_id": "rest", "retry_of": "cut"},
            {"run_id": "some failed", "answers_uri": "/srv/other.parquet"},
        )
    ):
        found = a_delivery(**changes, delivered_at=ENDED + timedelta(hours=hour))
        pages.table.record_delivery(found, files_changed=True)
    said, _, listed = words(pages.get("/").text).partition("Last night: ")[2].partition("Last night by run")
    numbers = re.compile(r"(\d+) input rows = (\d+) delivered \+ (\d+) exceptions")
    of_runs = [tuple(map(int, each)) for each in numbers.findall(listed)]
    assert sorted(of_runs) == [(20, 17, 3), (20, 20, 0), (20, 20, 0)]
    assert numbers.findall(said) == [tuple(str(sum(column)) for column in zip(*of_runs, strict=True))]
    assert "nightly rest: 20 input rows = 20 delivered + 0 exceptions, with the rows of run cut" in listed
    assert "full: 20 input rows = 20 delivered + 0 exceptions, replaced by run rest" in listed


@pytest.mark.parametrize(
    ("exceptions", "limit", "is_many"), [(1, "0.05", True), (1, "0.06", False), (0, "0", False)]
)
def test_the_limit_of_the_spec_decides_how_many_are_many(exceptions, limit, is_many):
    found = a_delivery(exceptions=exceptions, delivered=20 - exceptions)
    assert bool(list(many_unanswered([found], {"nightly": Decimal(limit)}))) is is_many


def test_truncated_rows_are_explained_and_others_not():
    assert explain_truncated({"failed": 3}) == ""
    assert explain_truncated({"truncated": 1}).startswith("1 row was cut at")


@pytest.mark.parametrize("has_costs", [True, False])
def test_a_run_that_failed_before_it_had_a_job_is_on_the_overview(pages, has_costs):
    if has_costs:
        pages.record(bill=FINE, run_id="another")
    a_failed_run()
    for query in ({}, {"dag_id": "nightly"}):
        answer = pages.get("/", **query)
        assert "nightly: run failed at plan_inputs" in words(answer.text)
        assert REASON in answer.text
        assert "/vertex-batch/run?dag_id=nightly&amp;run_id=tonight" in answer.text
    assert "run failed" not in pages.get("/", dag_id="hourly").text
    pages.may_read_logs = False
    assert REASON not in pages.get("/").text
    pages.may_see = {"hourly"}
    assert "run failed" not in pages.get("/").text


@pytest.mark.parametrize("has_costs", [True, False])
def test_a_broken_spec_is_a_warning_with_its_file_and_line_for_those_who_may_read_it(
    pages, tmp_path, monkeypatch, has_costs
):
    if has_costs:
        pages.record(bill=FINE)
    a_spec(tmp_path, monkeypatch, "retry_rowz: 1", "notez: 2")
    for name in ("secret", "new"):
        (tmp_path / f"{name}.yaml").write_text("model: gemini-2.5-flash\n")
    text = words(pages.get("/").text)
    said = "nightly: the file is broken nightly.yaml:7:1: retry_rowz: is not a known key; did you mean"
    assert f"{'1 warning' if has_costs else 'Warnings'} {said} retry_rows" in text
    assert "(1 more in this file). It does not run until the file is fixed." in text
    assert "secret" not in text
    assert "nightly.yaml" in pages.get("/", dag_id="nightly").text
    assert "nightly.yaml" not in pages.get("/", dag_id="hourly").text
    pages.may_see_import_errors = False
    assert "nightly.yaml" not in pages.get("/").text
    pages.may_see_import_errors, pages.may_see, pages.may_see_any = True, pages.dags, True
    text = words(pages.get("/").text)
    assert all(f"{name}: the file is broken {name}.yaml:1:1" in text for name in ("new", "secret"))


def test_a_run_is_not_listed_beside_its_own_failed_job(pages):
    pages.record(run_id="tonight", state="FAILED")
    a_failed_run()
    text = words(pages.get("/").text)
    assert "nightly: job failed" in text
    assert "run failed" not in text


def test_hostile_reasons_of_failed_runs_stay_text(pages):
    a_failed_run(reason=HOSTILE, run_id=HOSTILE)
    assert "<script>alert" not in pages.get("/").text


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (f"The input is wrong. {'Again and ' * 40}end. Fix it.\nsecond line", "The input is wrong. …"),
        (f"The {'input and ' * 40}end. Fix it.", "and …"),
        ("The input is wrong. Fix it.\nsecond line", "The input is wrong. Fix it. …"),
    ],
)
def test_a_long_reason_is_cut_after_a_sentence_and_leads_to_what_to_do(pages, reason, shown):
    a_failed_run(reason=reason)
    text = pages.get("/").text
    assert f'{reason}">' in text
    told, _, following = text.partition("</span> <a")
    assert told.endswith(shown)
    assert following.startswith(' href="/vertex-batch/run?dag_id=nightly&amp;run_id=tonight">What to do</a>')


def test_a_short_reason_is_whole(pages):
    a_failed_run(reason="The input is wrong. Fix it.")
    text = pages.get("/").text
    assert "The input is wrong. Fix it.</span></small>" in text
    assert "What to do" not in text


def test_the_page_of_a_run_explains_cut_answers_beside_the_failed_rows(pages):
    bill = pages.record()
    cut = a_delivery(run_id=bill.job.run_id, reasons={"truncated": 2, "failed": 1})
    pages.table.record_delivery(cut, files_changed=True)
    text = words(pages.get("/run", dag_id="nightly", run_id=bill.job.run_id).text)
    assert "2 rows were cut at maxOutputTokens" in text
    assert "Failed rows of the bill are those that Google failed" in text


@pytest.mark.parametrize(
    ("event", "extra", "by"),
    [
        ("vertex_batch.cancel", "demo-project/us-central1/{job}", "Cancelled by ann at 2026-11-22 03:40 UTC"),
        ("patch_dag_run", "", "The run was marked as failed by ann at 2026-11-22 03:40 UTC"),
    ],
)
def test_a_cancelled_run_is_one_line_with_who_ended_it(pages, event, extra, by):
    pages.record(bill=FINE, run_id="fine")
    run = {"dag_id": "nightly", "run_id": "tonight"}
    job = pages.record(**run, state="CANCELLED", bill={"rows": RowCounts(ok=1, input_rows=10)}).job
    cut = {"input_rows": 10, "delivered": 1, "exceptions": 9, "reasons": {"missing": 9}}
    pages.table.record_delivery(a_delivery(**run, **cut), files_changed=True)
    a_failed_run()
    said = {"job": extra.format(job=job.job_id)} if extra else {"new_state": "failed"}
    entry = {"event": event, "owner": "ann", "dttm": ENDED, "extra": json.dumps(said)}
    with airflows_database() as connection:
        connection.execute(insert(Log.__table__).values(**entry, **run))
    text = words(pages.get("/").text)
    one = "1 warning nightly: job cancelled, 9 of 10 rows have no good answer (9 missing), 1.50 USD paid"
    assert f"{one} {by}" in text
    pages.may_read_logs = False
    assert one in words(pages.get("/").text)
    assert "ann" not in words(pages.get("/").text).partition("Spend")[0]


def test_a_cancelled_run_with_nothing_to_do_is_not_counted_as_a_warning(pages):
    whole = {"delivered": 20, "exceptions": 0, "reasons": {}, "delivered_at": ENDED - timedelta(days=2)}
    first = a_delivery(run_id="first", **whole)
    pages.table.record_delivery(first, files_changed=True)
    cut = {"delivered": 8, "exceptions": 12, "reasons": {"missing": 12}, "answers_uri": "/srv/b.parquet"}
    kept = {"kept_at": first.answers_uri, "kept_answers": 20}
    pages.table.record_delivery(a_delivery(run_id="tonight", **cut, **kept), files_changed=True)
    pages.record(run_id="tonight", state="CANCELLED", bill={"rows": RowCounts(ok=8, input_rows=20)})
    text = words(pages.get("/").text)
    assert "No warnings, and 1 run with nothing to do nightly: job cancelled, 1.50 USD paid The 20" in text


def test_a_run_whose_delivery_is_still_to_come_says_that_it_is_not_known_what_is_to_do(pages):
    run = {"dag_id": "nightly", "run_id": "tonight"}
    pages.record(**run, state="CANCELLED", bill={"rows": RowCounts(ok=24, input_rows=40)})
    waits = "16 of 40 rows are missing, 1.50 USD paid The run has not ended yet."
    a_run("failed", [("deliver", None, DELIVER)])
    assert waits in words(pages.get("/").text)
    assert "Open this page again when the run has ended." in words(pages.get("/run", **run).text)
    with airflows_database() as connection:
        connection.execute(update(TaskInstance.__table__).values(state="failed"))
    assert waits not in words(pages.get("/").text)
    shown = words(pages.get("/run", **run).text)
    assert "send and pay only the rows without an answer" in shown
    assert re.search(r"read the spec, usually within \d+ s after the file arrives, trigger nightly", shown)
    assert "“Send rows of an earlier run again” in the section “This run” of the form" in shown


def test_the_jobs_and_deliveries_of_a_run_are_added_up(pages):
    for map_index, state in enumerate(("CANCELLED", "CANCELLED", "FAILED")):
        pages.record(run_id="many", state=state, map_index=map_index, bill={"rows": RowCounts()})
        cut = {"input_rows": 10, "delivered": 5, "exceptions": 5, "reasons": {"missing": 4, "failed": 1}}
        delivery = a_delivery(run_id="many", map_index=map_index, answers_uri=f"/{map_index}.csv", **cut)
        pages.table.record_delivery(delivery, files_changed=True)
    answer = pages.get("/").text
    assert "1 warning nightly: job failed, 2 jobs cancelled, 15 of 30 rows have no good answer" in words(
        answer
    )
    assert "(12 missing, 3 failed)" in answer
    assert "/vertex-batch/run?dag_id=nightly&amp;run_id=many" in answer


def test_the_cost_table_is_asked_once_for_all_bad_runs(pages):
    asked = []

    def count(connection, cursor, statement, *_):
        asked.append("cost_" in statement)

    numbers = []
    event.listen(Engine, "before_cursor_execute", count)
    try:
        for number in range(4):
            run = {"run_id": f"run {number}"}
            pages.record(bill={"rows": RowCounts(ok=1, failed=9, input_rows=20)}, **run, state="CANCELLED")
            cut = {"input_rows": 20, "delivered": 1, "exceptions": 19, "reasons": {"failed": 19}}
            uri = f"gs://demo-bucket/{number}.parquet"
            pages.table.record_delivery(a_delivery(**run, **cut, answers_uri=uri), files_changed=True)
            asked.clear()
            assert words(pages.get("/").text).count("nightly: job cancelled") == number + 1
            numbers.append(sum(asked))
    finally:
        event.remove(Engine, "before_cursor_execute", count)
    assert len(set(numbers[1:])) == 1  # the first page also checks the schema
