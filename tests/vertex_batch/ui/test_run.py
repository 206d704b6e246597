"""The page of a run: while it runs, after it failed, after a dry run."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.sdk.exceptions import AirflowFailException
from sqlalchemy import insert, update

from tests.builders import MORNING, a_delivery, copy_first_job
from tests.vertex_batch.ui.conftest import HOSTILE, airflows_database, item
from tests.vertex_batch.ui.test_pages import words
from vertex_batch.budgets import Estimate
from vertex_batch.costs import JobFacts, PaysAgain, RowCounts, Total
from vertex_batch.lifecycle.identity import Intent
from vertex_batch.tasks.context import INTENT_XCOM
from vertex_batch.tasks.forms import refuse_unknown_params
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.ui import run_routes
from vertex_batch.ui.runs.run_report import TaskLog, record_log
from vertex_batch.vertex.labels import RETRY_LABEL, SAMPLE_LABEL

RUN = {"dag_id": "nightly", "run_id": "tonight"}
REASON = "No such bucket: gs://demo-bukket. Nothing was submitted."
RECORD, DELIVER = "AggregateTokenUsageOperator", "DeliverResultsOperator"


pytestmark = pytest.mark.usefixtures("empty_airflow")


def a_run(state, tasks=(), said=(), run=RUN):
    """Write a run.

    :param tasks: id, state and operator. :param said: task id, key and value.
    """
    now = datetime.now(UTC)
    with airflows_database() as connection:
        values = {**run, "state": state, "run_type": "manual", "run_after": now, "log_template_id": 1}
        made = connection.execute(insert(DagRun.__table__).values(**values)).inserted_primary_key[0]
        for task_id, task_state, operator in tasks:
            task = {"id": uuid.uuid4(), "task_id": task_id, "state": task_state, "operator": operator}
            task |= {**run, "map_index": -1, "try_number": 1, "max_tries": 1, "pool": "p", "pool_slots": 1}
            task |= {"queue": "q", "priority_weight": 1, "executor_config": b"", "end_date": now}
            task |= {"hostname": "", "unixname": "", "custom_operator_name": ""}
            connection.execute(insert(TaskInstance.__table__).values(**task))
        for task_id, key, value in said:
            xcom = {"dag_run_id": made, "task_id": task_id, "map_index": -1, "key": key, "value": value}
            connection.execute(insert(XComModel.__table__).values(**xcom, **run, timestamp=now))


def test_a_run_that_goes_on_shows_its_jobs_live_before_anything_is_recorded(pages):
    a_run("running")
    text = pages.get("/run", **RUN).text
    assert 'data-live="/vertex-batch/running?part=1&amp;dag_id=nightly&amp;run_id=tonight"' in text
    assert "nothing to pay" not in text


@pytest.mark.parametrize("run_state", ["failed", "running"])
def test_a_run_says_where_and_why_it_failed(pages, run_state):
    a_run(run_state, [("plan_inputs", "failed", "x")], [("plan_inputs", OUTCOME_XCOM, {"message": REASON})])
    text = pages.get("/run", **RUN).text
    assert f"<b>Failed at plan_inputs:</b> {REASON}" in text
    assert "/dags/nightly/runs/tonight/tasks/plan_inputs" in text
    assert ("nothing to pay" in text) is (run_state == "failed")


def test_what_failed_before_a_run_was_cleared_is_over_while_it_runs_again(pages):
    a_run(
        "running",
        [("wait", "failed", "x"), ("deliver", None, DELIVER)],
        [
            ("wait", OUTCOME_XCOM, {"message": REASON}),
            ("deliver", OUTCOME_XCOM, {"message": "x beside", "is_note": True}),
        ],
    )
    cleared_at = update(DagRun.__table__).values
    for hours, is_shown in ((-1, True), (1, False)):
        with airflows_database() as connection:
            connection.execute(cleared_at(queued_at=datetime.now(UTC) + timedelta(hours=hours)))
        text = pages.get("/run", **RUN).text
        assert ("Failed at wait" in text) is is_shown
        assert "x beside" not in text


def test_a_run_of_a_thousand_shards_has_the_sum_of_all_and_lists_some(pages):
    paid = pages.record(run_id="tonight").total.amount
    copy_first_job(pages.table, 999)
    a_run("success")
    page = pages.get("/run", **RUN)
    shown = words(page.text)
    assert f"{1000 * paid:,.0f} USD for 1,000 jobs" in shown
    assert "The first 200 of 1,000 jobs." in shown
    assert len(page.content) < 300_000


def test_a_reason_is_shown_to_those_alone_who_may_read_the_log(pages):
    dry = {"message": "Dry run", "request": "{}", "rows": 1, "expected": None}
    said = [("plan_inputs", OUTCOME_XCOM, {"message": REASON}), ("submit", OUTCOME_XCOM, dry)]
    a_run("failed", [("plan_inputs", "failed", "x")], said)
    pages.may_read_logs = False
    text = pages.get("/run", **RUN).text
    assert "Failed at plan_inputs" in text
    assert "bukket" not in text
    assert "Dry run" not in text
    pages.may_see = set()
    assert pages.get("/run", **RUN).status_code == 404


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ({"job_id": "7"}, "A job of this run was submitted and has no bill yet"),
        ({}, "The job may run and cost money"),
        ({"refused": True}, "nothing to pay"),
    ],
)
def test_only_a_run_that_surely_submitted_no_job_is_called_free(pages, state, shown):
    intent = asdict(Intent(0, "key", "print", "p", "l", declared_at="", **state))
    a_run("failed", [("record_cost", "failed", RECORD)], [("submit", INTENT_XCOM, intent)])
    text = pages.get("/run", **RUN).text
    assert shown in text
    assert ("nothing to pay" in text) is (shown == "nothing to pay")


def test_the_sum_of_a_run_is_a_lower_bound_while_a_job_of_it_has_no_bill(pages):
    """`record_cost` failed at one of two jobs."""
    bill = pages.record(item("2"), run_id="tonight")
    intents = [
        (task_id, INTENT_XCOM, asdict(Intent(0, "key", "print", "p", "l", declared_at="", job_id=job_id)))
        for task_id, job_id in (("a.submit", bill.job.job_id), ("b.submit", "77"))
    ]
    a_run("failed", [("record_cost", "failed", RECORD)], intents)
    assert "≥ 2.00 USD for 1 job; 1 has no bill yet" in words(pages.get("/run", **RUN).text)
    pages.record(item("3"), run_id="tonight", job_id="77")
    assert "Run tonight 5.00 USD for 2 jobs" in words(pages.get("/run", **RUN).text)


def test_a_dry_run_shows_its_rows_its_cost_and_its_request(pages):
    estimate = Estimate(Total(Decimal("0.077"), True), Decimal("0.05"), Decimal("0.2"), 60, method="60 rows")
    said = {"message": "Dry run", "request": '{"displayName": "x"}', "rows": 60}
    a_run("success", said=[("submit", OUTCOME_XCOM, {**said, "expected": estimate.to_dict()})])
    text = pages.get("/run", **RUN).text
    assert "nothing was submitted" in text
    assert "<dd>60</dd>" in text
    assert '<dd title="0.077 USD"><p>about 0.077 USD (0.05 to 0.20); 60 rows, 0 tokens in, 0 out</p>' in text
    assert "{&#34;displayName&#34;: &#34;x&#34;}" in text


def test_a_dry_run_shows_what_a_plan_shows_and_each_line_of_its_jobs_once(pages, tmp_path, monkeypatch):
    a_spec(tmp_path, monkeypatch, "retry_rows: {rounds: 2, reasons: [truncated]}")
    estimate = Estimate(Total(Decimal("0.25"), True), Decimal("0.25"), Decimal("0.25"), 60, 0, 1200, 3000)
    doubt, again = "in.jsonl:1: no `maxOutputTokens` (may be wrong)", "Answered before by run x"
    shown = "in.jsonl:1: no <code>maxOutputTokens</code> (may be wrong)"
    lines = {
        "found": ["60 rows in 1 object", doubt, HOSTILE],
        "answered": [again],
        "answers": ["to gs://b/a.csv"],
    }
    said = {"message": "", "request": "{}", "rows": 60, "priced_on": "2026-11-22", "lines": lines}
    said["expected"] = estimate.to_dict()
    other = {**said, "lines": {**lines, "found": ["7 rows in 1 object", doubt]}}
    a_run("success", said=[(task, OUTCOME_XCOM, each) for task, each in (("a", said), ("b", other))])
    text = pages.get("/run", **RUN).text
    assert "<p>60 rows in 1 object</p><p>7 rows in 1 object</p>" in text
    assert text.count(shown) == text.count(again) == text.count("to gs://b/a.csv") == 1
    assert f'<p class="warn">{shown}</p>' in text
    cost = "about 0.50 USD at the prices of 2026-11-22; 120 rows, 2,400 tokens in, 6,000 out"
    assert cost in text
    assert "truncated rows are paid for each time: up to 1.00 USD more" in text
    assert "<script>alert" not in text


def a_spec(folder, monkeypatch, *more):
    """The spec of the DAG, where the pages read it."""
    (folder / "nightly.yaml").write_text(
        "project: demo-project\nlocation: us-central1\nmodel: gemini-2.5-flash\n"
        "inputs: gs://demo-bucket/in.jsonl\noutput: gs://demo-bucket/out\n"
        "results: {to: gs://demo-bucket/answers.parquet, key: id}\n" + "\n".join(more)
    )
    monkeypatch.setenv("VERTEX_BATCH_SPECS_FOLDER", str(folder))


@pytest.mark.parametrize("unknown", [{"rows": None, "expected": None}, {"rows": 5, "expected": None}])
def test_what_a_dry_run_does_not_know_is_not_zero(pages, unknown):
    a_run("success", said=[("submit", OUTCOME_XCOM, {"message": "", "request": "{}", **unknown})])
    text = pages.get("/run", **RUN).text
    assert "unknown; the log of the task says why" in text
    assert ("not counted" in text) is (unknown["rows"] is None)


def test_a_run_without_a_job_says_why(pages):
    message = "Skipped job titles: this run was limited to summaries."
    a_run("success", [("submit", "skipped", "x")], [("submit", OUTCOME_XCOM, {"message": message})])
    assert (
        f"This run submitted no job, so there is nothing to pay. {message}" in pages.get("/run", **RUN).text
    )


def test_hostile_reasons_stay_text(pages):
    run = {"dag_id": "nightly", "run_id": HOSTILE}
    said = {"message": HOSTILE, "request": HOSTILE, "rows": 1, "expected": None}
    a_run("failed", [("submit", "failed", "x")], [("submit", OUTCOME_XCOM, said)], run)
    text = pages.get("/run", **run).text
    assert "alert(1)" in text
    assert "<script>alert" not in text


def test_a_bill_leads_to_the_log_of_the_task_that_recorded_it(pages):
    groups = ("a.", "a.retry_1.", "")
    a_run("success", [(f"{group}record_cost", "success", RECORD) for group in groups])
    for task_id, log in [
        ("a.submit", "a.record_cost"),
        ("a.shards.submit", "a.record_cost"),
        ("a.retry_1.shards.submit", "a.retry_1.record_cost"),
        ("b.submit", "record_cost"),
    ]:
        assert record_log(JobFacts("p", "l", "7", task_id=task_id, **RUN)) == TaskLog(log)
    bill = pages.record(**RUN, task_id="a.submit")
    address = {"project": bill.job.project, "location": bill.job.location, "job": bill.job.job_id}
    assert "/dags/nightly/runs/tonight/tasks/a.record_cost" in pages.get("/bill", **address).text


def test_a_bill_shows_the_nights_before(pages):
    nights = [datetime(2026, 11, day, 2, tzinfo=UTC) for day in (20, 21, 22)]
    bills = [pages.record(logical_date=night, create_time=night) for night in nights]
    pages.record(task_id="another", logical_date=nights[0], create_time=nights[0])
    sample = {SAMPLE_LABEL: "9-of-300"}
    pages.record(labels=sample, logical_date=nights[0], create_time=nights[0])
    other = pages.record(labels=sample, logical_date=nights[2], create_time=nights[2], model="gemini-2.5-pro")
    address = {"project": "demo-project", "location": "us-central1"}
    text = pages.get("/bill", **address, job=bills[1].job.job_id).text
    assert "2026-11-21 <small>this bill</small>" in text
    assert ">2026-11-20</a>" in text
    assert text.count("job=") == 1
    assert "The nights before" not in pages.get("/bill", **address, job=bills[0].job.job_id).text
    text = words(pages.get("/bill", **address, job=other.job.job_id).text)
    assert "2026-11-20 02:00 UTC sample gemini-" in text  # its model is another one
    assert "sample" in words(pages.get("/jobs").text)


NOT_DELIVERED = "were paid for and not delivered"


@pytest.mark.parametrize("state", ["skipped", "success", "failed", "upstream_failed", None])
def test_a_run_whose_answers_were_not_delivered_says_so_and_what_to_do(pages, state):
    places = {"input_uris": ("gs://b/in.jsonl",), "output_directory": "gs://b/out/1"}
    pages.record(run_id="tonight", task_id="a.submit", **places)
    tasks = [(f"{group}.deliver", state, DELIVER) for group in "ab"]
    a_run("success", tasks)
    text = pages.get("/run", **RUN).text
    assert text.count(NOT_DELIVERED) == 1
    assert "Clear the task <code>a.deliver</code>" in text
    assert "vertex-batch results gs://b/out/1 --input gs://b/in.jsonl --to answers.jsonl" in text
    pages.table.record_delivery(a_delivery(**RUN, task_id="a.deliver"), files_changed=True)
    assert NOT_DELIVERED not in pages.get("/run", **RUN).text


def test_a_run_that_paid_for_rows_after_its_delivery_says_so_and_what_to_do(pages):
    """The scheduler got to know a round only after the delivery."""
    check = ("check_tasks", "failed", "CheckTasksOperator")
    a_run("failed", [("deliver", "success", DELIVER), check])
    pages.table.record_delivery(
        a_delivery(**RUN, delivered=7, exceptions=13, delivered_at=MORNING), files_changed=True
    )
    pages.record(
        run_id="tonight",
        task_id="retry_1.submit",
        labels={RETRY_LABEL: "1"},
        create_time=MORNING + timedelta(minutes=1),
        end_time=MORNING + timedelta(minutes=9),
        bill={"rows": RowCounts(ok=5, input_rows=5)},
    )
    text = words(pages.get("/run", **RUN).text)
    assert "5 answers were paid for (1.50 USD) after the delivery, so they are not delivered." in text
    assert "Clear the task deliver with its downstream tasks to deliver them; it costs nothing." in text
    assert "each row has its answer" not in text
    assert "check_tasks" not in text  # it has failed for this
    pages.table.record_delivery(a_delivery(**RUN, delivered_at=MORNING + timedelta(1)), files_changed=True)
    assert "after the delivery" not in pages.get("/run", **RUN).text


def test_a_run_past_its_timeout_names_the_task_without_which_nothing_is_delivered(pages):
    pages.record(run_id="tonight", task_id="a.submit")
    a_run("failed", [("a.record_cost", "skipped", RECORD), ("a.deliver", "skipped", DELIVER)])
    text = pages.get("/run", **RUN).text
    assert text.count(NOT_DELIVERED) == 1
    assert "Clear the task <code>a.record_cost</code> with its downstream tasks" in text


def test_a_run_that_has_no_answers_or_is_not_over_is_not_called_undelivered(pages):
    a_run("failed", [("deliver", "skipped", DELIVER)])
    assert NOT_DELIVERED not in pages.get("/run", **RUN).text
    pages.record(run_id="later")
    later = {**RUN, "run_id": "later"}
    a_run("running", [("deliver", None, DELIVER)], run=later)
    assert NOT_DELIVERED not in pages.get("/run", **later).text


def test_a_task_that_only_checks_others_is_not_listed_beside_the_one_that_failed(pages):
    check = ("check_tasks", "failed", "CheckTasksOperator")
    a_run("failed", [("deliver", "failed", DELIVER), check])
    text = pages.get("/run", **RUN).text
    assert "Failed at deliver" in text
    assert "Failed at check_tasks" not in text


def test_a_delivery_that_is_beside_a_better_one_is_named(pages):
    said = {"message": f"These 10 answers are beside it {HOSTILE}", "is_note": True}
    a_run("success", [("deliver", "success", DELIVER)], [("deliver", OUTCOME_XCOM, said)])
    text = pages.get("/run", **RUN).text
    assert "These 10 answers are beside it" in text
    assert "<script>alert" not in text


def test_a_failed_delivery_says_its_reason_and_where_its_files_are_now_and_folds_the_rest(pages):
    said = {"message": f"3 of 20 rows failed. The first one is in.jsonl:2.\nSee `to` {HOSTILE}\nthird"}
    a_run("failed", [("deliver", "failed", DELIVER)], [("deliver", OUTCOME_XCOM, said)])
    delivery = a_delivery(run_id="tonight", answers_uri="gs://demo-bucket/a b.parquet")
    pages.table.record_delivery(delivery, files_changed=True)
    moved = {
        name: f"gs://demo-bucket/moved {name}" for name in ("answers_uri", "exceptions_uri", "manifest_uri")
    }
    pages.table.move_delivery("nightly", "tonight", delivery.answers_uri, moved)
    text = pages.get("/run", **RUN).text
    box, _, rest = text.partition("<details>")
    assert "3 of 20 rows failed. The first one is in.jsonl:2." in box
    assert "its input line, in <code>gs://demo-bucket/moved exceptions_uri</code>" in box
    assert "See <code>to</code>" in rest
    assert "2 more lines" in rest
    assert "<script>alert" not in text
    assert delivery.answers_uri not in text
    for name in ("answers_uri", "exceptions_uri"):
        assert f"vertex-batch get &#39;gs://demo-bucket/moved {name}&#39; ." in rest
    replacing = {"run_id": "later", "answers_uri": moved["answers_uri"]}
    later = a_delivery(**replacing, delivered_at=delivery.delivered_at + timedelta(hours=1))
    pages.table.record_delivery(later, files_changed=True)
    text = pages.get("/run", **RUN).text  # the files are those of another run
    assert "What to do" not in text
    assert "vertex-batch get" not in text


@pytest.mark.parametrize(
    ("state", "job_id", "pays"),
    [
        ("running", "7", "this run pays for them again"),
        ("success", "7", "this run has paid for them again"),
        ("failed", "7", "this run has paid for them again"),
        ("failed", "", "this run would have paid for them again"),
    ],
)
def test_what_was_answered_before_is_said_in_the_tense_of_the_run(pages, state, job_id, pays):
    intent = asdict(Intent(0, "key", "print", "p", "l", declared_at="", job_id=job_id))
    note = {"message": f"These inputs were answered before; {PaysAgain.PAYS}.", "is_note": True}
    said = [("submit", INTENT_XCOM, intent), ("submit", OUTCOME_XCOM, note)]
    a_run(state, [("submit", "success", "x")], said)
    assert f"These inputs were answered before; {pays}." in pages.get("/run", **RUN).text


@pytest.mark.parametrize(("may_read", "by"), [(True, " by ann at 2026-11-22 03:40 UTC"), (False, "")])
def test_a_run_that_a_person_marked_as_failed_says_so_and_by_whom(pages, may_read, by):
    pages.may_read_logs = may_read
    a_run("failed", [("wait", "failed", "x")])
    when = datetime(2026, 11, 22, 3, 40, tzinfo=UTC)
    noise = {"event": "patch_dag_run", "owner": "bob", "extra": '{"note": "failed?"}'}
    marked = {"event": "patch_dag_run", "owner": "ann", "extra": '{"state": "failed", "method": "PATCH"}'}
    with airflows_database() as connection:
        for entry in (marked, noise):
            connection.execute(insert(Log.__table__).values(**entry, **RUN, dttm=when))
    text = pages.get("/run", **RUN).text
    assert f"The run was marked as failed{by}." in text if may_read else "marked" not in text


def test_a_misspelled_key_is_a_reason_on_the_page_too():
    kept = {}
    context = {
        "dag": SimpleNamespace(params={"sample": 1}),
        "task": SimpleNamespace(params={}),
        "dag_run": SimpleNamespace(conf={"sampel": 1}),
        "ti": SimpleNamespace(task_id="submit", xcom_push=lambda key, value: kept.update({key: value})),
    }
    with pytest.raises(AirflowFailException):
        refuse_unknown_params(context)
    assert "`sampel`; did you mean `sample`?" in kept[OUTCOME_XCOM]["message"]


def test_a_sample_says_what_the_whole_input_would_cost(pages):
    projection = {"text": "All 300 rows would cost 0.1398 USD", "rows": 10}
    value = {"sample": "a sample of 10 of 300 rows", "projection": projection}
    a_run("success", said=[("record_cost", "return_value", value)])
    said = "This was a sample of 10 of 300 rows. All 300 rows would cost 0.1398 USD"
    assert said in pages.get("/run", **RUN).text
    pages.may_read_logs = False
    assert said not in pages.get("/run", **RUN).text


def test_a_run_without_a_job_says_so_once(pages):
    message = "Task submit submitted no job, so there is nothing to bill."
    a_run(
        "failed", [("record_cost", "skipped", RECORD)], [("record_cost", OUTCOME_XCOM, {"message": message})]
    )
    assert pages.get("/run", **RUN).text.count("submitted no job") == 1


@pytest.mark.parametrize("may_read", [True, False])
def test_a_bill_says_who_cancelled_the_job(pages, may_read):
    pages.may_read_logs = may_read
    job = pages.record(**RUN, state="CANCELLED", error_message="CANCELED").job
    entry = {
        "event": "vertex_batch.cancel",
        "owner": "admin",
        "dttm": datetime(2026, 11, 22, 3, 40, tzinfo=UTC),
    }
    extra = json.dumps({"job": "/".join(job.key)})
    with airflows_database() as connection:
        connection.execute(insert(Log.__table__).values(**entry, **RUN, extra=extra))
    address = {"project": job.project, "location": job.location, "job": job.job_id}
    for text in (pages.get("/run", **RUN).text, pages.get("/bill", **address).text):
        assert ("by admin at 2026-11-22 03:40 UTC" in text) is may_read


def test_rows_are_offered_again_only_where_the_spec_sends_them(pages, tmp_path, monkeypatch):
    rows = RowCounts(ok=5, failed=3)
    job = pages.record(bill={"rows": rows, "failed_reasons": {"INVALID_ARGUMENT": 2, "UNAVAILABLE": 1}}).job
    address = {"project": job.project, "location": job.location, "job": job.job_id}
    assert "retry-rows" not in pages.get("/bill", **address).text
    a_spec(tmp_path, monkeypatch, "retry_rows: {rounds: 1}")
    text = pages.get("/bill", **address).text
    assert f"vertex-batch retry-rows nightly {job.run_id}" in text
    assert "Send the row that may be answered again" in text


@pytest.mark.parametrize("is_spec", [True, False])
def test_a_run_without_its_id_leads_to_the_runs_of_its_spec(pages, monkeypatch, is_spec):
    monkeypatch.setattr(run_routes, "failed_limits", lambda: {"nightly": 1} if is_spec else {})
    answer = pages.client.get("/run", params={"dag_id": "nightly"}, follow_redirects=False)
    address = "/vertex-batch/?spec=nightly" if is_spec else "/vertex-batch/jobs?dag_id=nightly"
    assert (answer.status_code, answer.headers["location"]) == (303, address)
    assert pages.get("/run", dag_id="secret").status_code == 404
    assert "needs dag_id" in pages.get("/run", run_id="tonight").text


def test_a_night_that_was_cleared_and_run_again_is_one_line_that_leads_to_its_run(pages):
    created = datetime(2026, 11, 22, 2, 31, tzinfo=UTC)
    for state, hours in (("CANCELLED", 0), ("SUCCEEDED", 1)):
        pages.record(state=state, create_time=created + timedelta(hours=hours), run_id="scheduled")
    pages.record(create_time=created + timedelta(hours=2), run_id="manual")
    text = pages.get("/", spec="nightly").text.partition('id="runs"')[2].partition("</section>")[0]
    assert text.count("Sun 22 Nov 2026") == 2
    one = "/vertex-batch/run?dag_id=nightly&amp;run_id=scheduled"
    assert f'<a href="{one}">Sun 22 Nov 2026</a> <small>02:31 UTC</small>' in text
    assert '1 succeeded, 1 <span class="state plain">cancelled</span>' in text


def test_a_run_whose_delivery_was_replaced_says_where_its_answers_are_and_how_to_get_them_back(
    pages, tmp_path, monkeypatch
):
    a_spec(tmp_path, monkeypatch)
    pages.record(run_id="tonight", input_uris=("gs://demo-bucket/in.jsonl",))
    for run_id, hour in (("tonight", 3), ("later", 4)):
        made = {"delivered_at": datetime(2026, 11, 22, hour, tzinfo=UTC), "run_id": run_id}
        delivery = a_delivery(**made, answers_uri="gs://demo-bucket/answers.parquet")
        pages.table.record_delivery(delivery, files_changed=True)
    text = pages.get("/run", **RUN).text
    assert "<code>gs://demo-bucket/out</code> <small>the outputs of its jobs still have the answers" in text
    command = "vertex-batch results gs://demo-bucket/out --input gs://demo-bucket/in.jsonl"
    assert f"{command} --to gs://demo-bucket/answers.parquet --key id" in text
    assert "Replaces" not in text
    later = pages.get("/run", **{**RUN, "run_id": "later"}).text
    assert "<dt>Replaces</dt><dd>the delivery of run tonight</dd>" in later
    assert "vertex-batch results" not in later
