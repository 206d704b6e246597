"""The page of a run whose job was cancelled: one box says who did it, what was paid, and what can be done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.log import Log
from sqlalchemy import insert

from tests.builders import MORNING, a_delivery
from tests.vertex_batch.ui.conftest import airflows_database, item
from tests.vertex_batch.ui.test_pages import words
from tests.vertex_batch.ui.test_run import DELIVER, RECORD, RUN, a_run, a_spec
from vertex_batch.costs import RowCounts
from vertex_batch.tasks.outcome import OUTCOME_XCOM
from vertex_batch.vertex.labels import GROUP_KEY_LABEL, RETRY_OF_LABEL

WAIT, CHECK = "BatchPredictionJobSensor", "CheckTasksOperator"
AT = datetime(2026, 11, 22, 3, 40, tzinfo=UTC)
CREATED = AT - timedelta(hours=1)
BY = "by ann at 2026-11-22 03:40 UTC"
CANCELLED = "Batch prediction job 7 was cancelled on request, by a person or a task. Finished rows are"
LATE = "Batch prediction job 7 did not end before its deadline. Finished rows are"
ROWS = {"rows": RowCounts(ok=44, failed=3, input_rows=300)}
TASKS = [("wait", "failed", WAIT), ("deliver", "failed", DELIVER), ("check_tasks", "failed", CHECK)]
SAID = [
    ("wait", OUTCOME_XCOM, {"message": CANCELLED}),
    ("deliver", OUTCOME_XCOM, {"message": "256 of 300 input rows have no good answer"}),
    ("check_tasks", OUTCOME_XCOM, {"message": "This failure only follows from wait."}),
]
CUT = {"input_rows": 300, "delivered": 44, "exceptions": 256, "reasons": {"missing": 256}}


def the_log_has(event, extra, at=AT):
    with airflows_database() as connection:
        entry = {"event": event, "owner": "ann", "dttm": at, "extra": json.dumps(extra)}
        connection.execute(insert(Log.__table__).values(**entry, **RUN))


def boxes(pages):
    text = pages.get("/run", **RUN).text
    return [words(each.partition("</div>")[0]) for each in text.split('<div class="alert"')[1:]]


@pytest.mark.parametrize(
    ("who", "why", "headline"),
    [
        ("page", CANCELLED, f"The job was cancelled {BY}."),
        ("mark", "", f"The run was marked as failed {BY}. The job was cancelled for that."),
        ("", CANCELLED, "The job was cancelled at 2026-11-22 03:40 UTC on request, by a person or a task."),
        ("before", LATE, f"The job was cancelled at 2026-11-22 03:40 UTC. {LATE.partition('.')[0]}."),
        ("", LATE, f"The job was cancelled at 2026-11-22 03:40 UTC. {LATE.partition('.')[0]}."),
    ],
)
def test_a_cancelled_run_is_one_box_with_who_did_it_and_what_it_came_to(pages, who, why, headline):
    facts = {"state": "CANCELLED", "run_id": "tonight", "create_time": CREATED, "end_time": AT}
    job = pages.record(item("0.044"), bill=ROWS, **facts).job
    pages.table.record_delivery(a_delivery(**RUN, **CUT), files_changed=True)
    a_run("failed", TASKS, [("wait", OUTCOME_XCOM, {"message": why}), *SAID[1:]])
    if who == "page":
        the_log_has("vertex_batch.cancel", {"job": "/".join(job.key)})
    elif who:  # a person marks the run, or has marked it before it was cleared and submitted this job
        the_log_has("patch_dag_run", {"state": "failed"}, AT if who == "mark" else CREATED - timedelta(1))
    (box,) = boxes(pages)
    rows = "44 of 300 rows were answered, 3 failed, 253 did not run. Paid: 0.0440 USD."
    assert f"{headline} {rows} 44 answers were delivered to gs://demo-bucket/a b/answers.parquet" in box
    assert "Clear wait, or the failed tasks of the run: nothing is sent and nothing is paid." in box
    assert "Clearing submit sends all 300 rows again" in box


def test_a_failure_that_does_not_follow_from_the_cancellation_keeps_its_own_box(pages):
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight")
    said = [("record_cost", OUTCOME_XCOM, {"message": "The output cannot be read."})]
    a_run("failed", [*TASKS, ("record_cost", "failed", RECORD)], [*SAID, *said])
    shown = boxes(pages)
    assert [each.partition(":")[0].split()[-1] for each in shown[1:]] == ["deliver", "record_cost"]
    assert "The output cannot be read." in shown[2]


def test_who_may_not_read_logs_still_sees_which_task_failed_for_another_reason(pages):
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight")
    a_run("failed", [*TASKS, ("record_cost", "failed", RECORD)])
    the_log_has("patch_dag_run", {"state": "failed"})
    pages.may_read_logs = False
    assert "Failed at record_cost" in boxes(pages)[-1]


def test_answers_that_were_put_beside_a_better_delivery_are_in_the_box_with_where_the_command_is(
    pages, tmp_path, monkeypatch
):
    a_spec(tmp_path, monkeypatch)
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight", input_uris=("gs://demo-bucket/in.jsonl",))
    beside = a_delivery(**RUN, **CUT, answers_uri="gs://demo-bucket/answers.tonight.parquet")
    pages.table.record_delivery(beside, files_changed=True)
    note = ("deliver", OUTCOME_XCOM, {"message": "These 44 answers are beside it", "is_note": True})
    a_run("failed", [TASKS[0], ("deliver", "success", DELIVER)], [SAID[0], note])
    (box,) = boxes(pages)
    assert "44 answers were put beside gs://demo-bucket/answers.parquet" in box
    assert "The command that puts them there is below." in box
    assert "--to gs://demo-bucket/answers.parquet" in words(pages.get("/run", **RUN).text)


def test_the_note_of_a_delivery_follows_what_has_become_of_the_better_answers_since(pages):
    to = "gs://demo-bucket/answers.parquet"
    kept = {"kept_at": to, "kept_answers": 290, "answers_uri": "gs://demo-bucket/answers.tonight.parquet"}
    pages.table.record_delivery(a_delivery(**RUN, **CUT, **kept), files_changed=True)
    later = {"run_id": "the rest", "answers_uri": to, "delivered_at": MORNING + timedelta(hours=1)}
    pages.table.record_delivery(a_delivery(**later), files_changed=True)
    note = {"message": "The 44 of this delivery are elsewhere.", "is_note": True}
    tasks = [("deliver", "success", DELIVER), ("submit", "success", "x")]
    said = [
        ("deliver", OUTCOME_XCOM, note),
        ("submit", OUTCOME_XCOM, {**note, "message": "A budget is low."}),
    ]
    a_run("success", tasks, said)
    box, other = boxes(pages)
    assert f"were at {to} until run the rest replaced them with 17; 3 of its rows have no answer." in box
    assert box.endswith("The 44 of this delivery are elsewhere.")
    assert other.endswith("A budget is low.")
    assert "were at" not in other


def test_a_better_delivery_of_before_the_run_was_cleared_stays_and_there_is_nothing_to_do(pages):
    facts = {"state": "CANCELLED", "run_id": "tonight", "create_time": CREATED, "end_time": AT}
    pages.record(bill=ROWS, **facts)
    good = {**CUT, "delivered": 290, "exceptions": 10, "delivered_at": CREATED - timedelta(hours=1)}
    pages.table.record_delivery(a_delivery(**RUN, **good), files_changed=True)
    a_run("failed", TASKS, SAID)
    (box,) = boxes(pages)
    stays = "The 290 answers that were delivered before stay at gs://demo-bucket/a b/answers.parquet"
    assert f"{stays}; 10 of its rows have no answer. The cancelled jobs answered 44 rows." in box
    assert "retry-rows" not in box  # it would pay for rows that have better answers
    assert "replace" not in box


def test_a_run_whose_rest_was_sent_leads_to_the_run_that_sent_it(pages):
    job = pages.record(bill=ROWS, state="CANCELLED", run_id="tonight", labels={GROUP_KEY_LABEL: "abc"}).job
    pages.table.record_delivery(a_delivery(**RUN, **CUT), files_changed=True)
    a_run("failed", TASKS, SAID)
    later = {"task_id": "retry_1.submit", "labels": {RETRY_OF_LABEL: "abc"}}
    pages.record(**{**later, "labels": {RETRY_OF_LABEL: "of another run"}}, run_id="other")
    pages.record(**later, run_id="in vain", bill={"rows": RowCounts(failed=256)})
    assert "To send and pay only" in boxes(pages)[0]
    for ok in (200, 50):
        pages.record(**later, run_id="the rest", bill={"rows": RowCounts(ok=ok)})
    (box,) = boxes(pages)
    assert "Run the rest has sent the rows without an answer again and answered 250 of them." in box
    assert "/run?dag_id=nightly&amp;run_id=the+rest" in pages.get("/run", **RUN).text
    assert "To send and pay only" not in box
    assert "in vain" not in box
    assert "Clearing submit sends all 300 rows again" in box
    bill = words(pages.get("/bill", **dict(zip(("project", "location", "job"), job.key, strict=True))).text)
    assert "Run the rest has sent the rows without an answer again" in bill
    assert "vertex-batch retry-rows" not in bill


def test_answers_that_were_not_delivered_are_in_the_box_with_the_task_to_clear(pages):
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight")
    a_run("failed", [TASKS[0], ("deliver", "skipped", DELIVER)], [SAID[0]])
    (box,) = boxes(pages)
    assert "The answers were not delivered. They are safe in the outputs of the jobs. Clear deliver" in box


def test_clearing_the_failed_tasks_is_not_called_free_where_a_submit_task_failed(pages):
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight")
    a_run("failed", [("submit", "failed", "x"), TASKS[0]], [SAID[0]])
    box = boxes(pages)[0]
    assert "Clear wait, and nothing else: nothing is sent" in box
    assert "Clear the failed tasks of the run: a submit task is one of them, so this sends rows" in box


def test_a_run_of_many_jobs_says_how_many_were_cancelled(pages):
    for map_index, state in enumerate(("CANCELLED", "SUCCEEDED", "CANCELLED")):
        pages.record(bill=ROWS, state=state, run_id="tonight", map_index=map_index)
    a_run("failed")
    (box,) = boxes(pages)
    assert (
        "2 of 3 jobs were cancelled on request, by a person or a task. 132 of 900 rows were answered" in box
    )


def test_a_run_that_goes_on_after_a_cancellation_says_what_failed(pages):
    pages.record(bill=ROWS, state="CANCELLED", run_id="tonight")
    a_run("running", TASKS[:1], SAID[:1])
    assert "Failed at wait" in boxes(pages)[0]
