"""The numbers of deliveries in the cost table, on both databases."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy.dialects import sqlite

from tests.builders import DELIVERED_TO, MORNING, a_delivery
from vertex_batch.costs import (
    CostTable,
    CostTableSetupError,
    JobCost,
    JobFacts,
    JobFilter,
    RowCounts,
    Total,
    migrations,
)
from vertex_batch.costs.database import Database
from vertex_batch.costs.deliveries import DeliverySums, paid_after
from vertex_batch.costs.delivery_queries import select_sent_again
from vertex_batch.vertex.labels import RETRY_LABEL

NIGHT_RUN = JobFilter(dag_id="nightly", run_id="night")


def test_a_delivery_comes_back_as_it_was_written(table):
    table.record_delivery(a_delivery(), files_changed=True)
    assert table.deliveries(NIGHT_RUN) == [a_delivery()]
    assert table.deliveries(JobFilter(dag_id="nightly", run_id="other")) == []


def test_delivering_the_same_again_changes_nothing_not_even_the_time(table):
    table.record_delivery(a_delivery(), files_changed=True)
    later = replace(a_delivery(), delivered_at=MORNING + timedelta(hours=1))
    table.record_delivery(later, files_changed=False)
    assert table.deliveries(NIGHT_RUN) == [a_delivery()]


@pytest.mark.parametrize("changes", [{"delivered": 18, "exceptions": 2}, {"reasons": {"failed": 3}}])
def test_other_numbers_replace_the_row_also_without_changed_files(table, changes):
    table.record_delivery(a_delivery(), files_changed=True)
    later = a_delivery(**changes, delivered_at=MORNING + timedelta(hours=1))
    table.record_delivery(later, files_changed=False)
    assert table.deliveries(NIGHT_RUN) == [later]


def test_files_that_were_written_again_have_the_new_time(table):
    table.record_delivery(a_delivery(), files_changed=True)
    later = a_delivery(delivered_at=MORNING + timedelta(hours=1))
    table.record_delivery(later, files_changed=True)
    assert table.deliveries(NIGHT_RUN) == [later]


ROUND = {RETRY_LABEL: "1"}


@pytest.mark.parametrize(
    ("jobs", "after"),
    [
        ([("a.submit", -9, {}, 5), ("a.retry_1.submit", -1, ROUND, 5)], []),
        ([("a.submit", -9, {}, 5), ("a.retry_1.submit", 1, ROUND, 5)], ["a.retry_1.submit"]),
        ([("a.retry_1.submit", 1, ROUND, 0)], []),  # nothing was answered
        ([("b.retry_1.submit", 1, ROUND, 5)], []),  # another job of the spec, with its own delivery
        # Cleared since: the delivery was decided on again, and the better one stays.
        ([("a.submit", 1, {}, 5), ("a.retry_1.submit", 2, ROUND, 5)], []),
    ],
)
def test_rows_that_were_sent_again_and_ended_after_the_delivery_are_not_in_it(jobs, after):
    made = [
        JobCost(
            JobFacts(
                "p", "l", task_id, task_id=task_id, labels=labels, end_time=MORNING + timedelta(hours=hours)
            ),
            RowCounts(ok=ok),
            Total(Decimal(1), complete=True),
            1,
            (),
        )
        for task_id, hours, labels, ok in jobs
    ]
    found = paid_after([a_delivery(task_id="a.deliver")], made)
    assert [each.job.task_id for each in found] == after
    assert paid_after([], made) == []
    again = a_delivery(task_id="a.deliver", delivered_at=MORNING + timedelta(1))
    assert paid_after([again], made) == []


def test_the_numbers_of_a_better_delivery_stay_where_it_is(table):
    worse = a_delivery(delivered=1, exceptions=19, answers_uri="/srv/answers.night.parquet")
    better = {"files_changed": True, "unless_at": a_delivery().answers_uri}
    table.record_delivery(worse, **better)
    assert table.deliveries(NIGHT_RUN) == [worse]
    table.record_delivery(a_delivery(), files_changed=True)
    table.record_delivery(worse, **better)
    assert table.deliveries(NIGHT_RUN) == [a_delivery()]


@pytest.mark.parametrize(
    ("task_id", "hours", "is_of", "was_before"),
    [("a.submit", -1, True, False), ("a.submit", 1, False, True), ("b.submit", 1, False, False)],
)
def test_a_delivery_has_no_answers_of_a_job_that_was_created_later(task_id, hours, is_of, was_before):
    created = MORNING + timedelta(hours=hours)
    job = JobFacts("demo-project", "us-central1", "1", task_id=task_id, create_time=created)
    delivery = a_delivery(task_id="a.deliver")
    assert (delivery.is_of(job), delivery.was_before(job)) == (is_of, was_before)


def test_numbers_that_do_not_add_up_are_refused_by_the_database(table):
    with pytest.raises(CostTableSetupError):
        table.record_delivery(a_delivery(input_rows=21), files_changed=True)
    assert table.deliveries(NIGHT_RUN) == []


def test_a_delivery_whose_file_was_replaced_names_the_latest_run_that_did_it(table):
    table.record_delivery(a_delivery(), files_changed=True)
    for hour, run_id in ((1, "again"), (2, "and again")):
        again = a_delivery(run_id=run_id, delivered_at=MORNING + timedelta(hours=hour))
        table.record_delivery(again, files_changed=True)
    other = a_delivery(dag_id="secret", run_id="secret", delivered_at=MORNING + timedelta(hours=3))
    table.record_delivery(other, files_changed=True)
    found = table.deliveries(JobFilter(dag_id="nightly"))
    assert [(each.run_id, each.replaced_by, each.replaces) for each in found] == [
        ("again", "and again", "night"),
        ("and again", "", "again"),
        ("night", "and again", ""),
    ]


def test_what_is_at_an_address_is_the_latest_of_many_with_what_it_replaced(table):
    for n in range(3):
        at = MORNING + timedelta(hours=n)
        table.record_delivery(a_delivery(run_id=f"run {n}", delivered_at=at), files_changed=True)
    address = ("nightly", DELIVERED_TO)
    found = table.current_deliveries([address, ("nightly", "gs://b/nothing.csv"), ("weekly", DELIVERED_TO)])
    assert {key: (each.run_id, each.replaces) for key, each in found.items()} == {address: ("run 2", "run 1")}
    assert table.current_deliveries([]) == {}


def test_the_jobs_that_sent_rows_again_are_found_by_their_index(tmp_path):
    """A busy DAG has 100,000 jobs, and the pages of each of its runs ask for these."""
    CostTable(f"sqlite:///{tmp_path}/costs.db").migrate()
    asked = select_sent_again("nightly", ["key"]).compile(
        dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}
    )
    with sqlite3.connect(tmp_path / "costs.db") as connection:
        (step, *_) = connection.execute(f"EXPLAIN QUERY PLAN {asked}").fetchall()
    assert "cost_jobs_retries" in step[-1]


def test_the_last_night_adds_up_what_was_paid_for_wherever_it_was_put(table):
    assert DeliverySums.of(table.deliveries_of_night(JobFilter())) is None
    table.record_delivery(a_delivery(), files_changed=True)
    for hours, changes in (
        (-13, {"run_id": "night before", "answers_uri": "gs://demo-bucket/21.parquet"}),
        (1, {"run_id": "again", "delivered": 19, "exceptions": 1}),
        (2, {"dag_id": "hourly", "spec": "hourly", "team": "ads"}),
    ):
        found = a_delivery(**changes, delivered_at=MORNING + timedelta(hours=hours))
        table.record_delivery(found, files_changed=True)
    of_all = {"transient": 3, "failed": 6}
    assert DeliverySums.of(table.deliveries_of_night(JobFilter())) == DeliverySums(
        3, 60, 53, 7, of_all, MORNING + timedelta(hours=2)
    )
    last = DeliverySums(2, 40, 36, 4, {"transient": 2, "failed": 4}, MORNING + timedelta(hours=1))
    for where in (JobFilter(dag_ids=frozenset({"nightly"})), JobFilter(team="search")):
        assert DeliverySums.of(table.deliveries_of_night(where)) == last
    assert str(last) == "40 input rows = 36 delivered + 4 exceptions (4 failed, 2 transient)"
    assert table.deliveries_of_night(JobFilter(dag_ids=frozenset())) == []


FULL = {"run_id": "full", "delivered": 20, "exceptions": 0, "reasons": {}}
SOME_FAILED = {"run_id": "failed", "delivered": 17, "exceptions": 3, "reasons": {"transient": 3}}
CUT = {"run_id": "cut", "delivered": 13, "exceptions": 7, "reasons": {"missing": 7}}
BESIDE = {**CUT, "answers_uri": "/srv/answers.cut.parquet", "kept_at": DELIVERED_TO, "kept_answers": 20}
REST = {**FULL, "run_id": "rest", "retry_of": "cut"}
SAMPLE = {
    "run_id": "sample",
    "input_rows": 4,
    "delivered": 4,
    "exceptions": 0,
    "reasons": {},
    "answers_uri": "/srv/_samples/a.parquet",
}


@pytest.mark.parametrize(
    ("night", "counted"),
    [
        ([FULL], "full"),
        ([SOME_FAILED, {**REST, "retry_of": "failed"}], "rest"),
        ([CUT, REST], "rest"),
        ([FULL, BESIDE], "cut full"),
        ([FULL, BESIDE, REST], "full rest"),
        (
            [
                FULL,
                BESIDE,
                REST,
                {**BESIDE, "run_id": "cut_2"},
                {**REST, "run_id": "rest_2", "retry_of": "cut_2"},
            ],
            "full rest rest_2",
        ),
        ([FULL, {**FULL, "run_id": "again"}], "again full"),  # replaced, and paid twice
        (
            [
                CUT,
                {**CUT, "run_id": "rest", "retry_of": "cut", "delivered": 18, "exceptions": 2},
                {**REST, "run_id": "more", "retry_of": "rest"},
            ],
            "more",
        ),
        ([CUT, REST, {**FULL, "run_id": "too", "retry_of": "cut"}], "too"),
        ([REST, {**BESIDE, "kept_at": DELIVERED_TO}], "rest"),  # delivered again after its rest
        ([{**FULL, "hours": -13}, REST], "rest"),
        (
            [
                {**CUT, "hours": -13},
                {**CUT, "run_id": "rest", "retry_of": "cut", "hours": -12.5},
                {**REST, "run_id": "more", "retry_of": "rest"},
                FULL,
            ],
            "full more",
        ),
        ([FULL, SAMPLE], "full sample"),
        (
            [
                {**CUT, "task_id": "a.deliver"},
                {**FULL, "run_id": "cut", "task_id": "b.deliver"},
                {**REST, "task_id": "a.deliver"},
                {**REST, "task_id": "b.deliver"},
            ],
            "rest rest",
        ),
        ([CUT, {**FULL, "dag_id": "other", "run_id": "cut"}, {**REST, "dag_id": "other"}], "cut rest"),
    ],
)
def test_each_input_of_the_night_counts_once_whatever_became_of_its_run(table, night, counted):
    for hour, each in enumerate(night):
        at = MORNING + timedelta(hours=each.get("hours", hour))
        facts = {name: value for name, value in each.items() if name != "hours"}
        table.record_delivery(a_delivery(**facts, delivered_at=at), files_changed=True)
    found = table.deliveries_of_night(JobFilter())
    sums = DeliverySums.of(found)
    assert sorted(each.run_id for each in found) == counted.split()
    assert sums.input_rows == sums.delivered + sums.exceptions == sum(each.input_rows for each in found)
    assert sums.exceptions == sums.reasons.total()


def test_the_last_night_has_a_paid_run_beside_a_better_delivery_that_was_paid_before(table):
    better = a_delivery(delivered_at=MORNING - timedelta(days=2))
    worse = {
        "delivered": 1,
        "exceptions": 19,
        "reasons": {"missing": 19},
        "answers_uri": "/srv/beside.parquet",
    }
    beside = a_delivery(run_id="again", **worse, kept_at=better.answers_uri, kept_answers=17)
    table.record_delivery(beside, files_changed=True)
    assert table.deliveries_of_night(JobFilter()) == [beside]
    table.record_delivery(better, files_changed=True)
    assert table.deliveries_of_night(JobFilter()) == [beside]
    uris = {name: f"/srv/moved/{name}" for name in ("answers_uri", "exceptions_uri", "manifest_uri")}
    table.move_delivery(better.dag_id, better.run_id, better.answers_uri, uris)
    assert table.deliveries(JobFilter(run_id="again")) == [replace(beside, kept_at=uris["answers_uri"])]


def test_a_table_of_before_gets_the_deliveries_when_it_is_upgraded(database_url, table, bill, monkeypatch):
    with monkeypatch.context() as before:
        older = tuple(each for each in migrations.MIGRATIONS if each.version < 13)
        before.setattr(migrations, "MIGRATIONS", older)
        before.setattr(migrations, "LATEST", 12)
        migrations.migrate(Database(database_url))
        table.record(bill("1"))
    again = type(table)(database_url)
    assert not again.is_ready()
    again.record_delivery(a_delivery(), files_changed=True)
    assert again.deliveries(NIGHT_RUN) == [a_delivery()]
    assert len(again.jobs()) == 1


@pytest.mark.parametrize(
    ("deliver_task", "submit_task", "is_of"),
    [
        ("deliver", "submit", True),
        ("a.deliver", "a.submit", True),
        ("a.deliver", "a.shards.submit", True),
        ("a.deliver", "ab.submit", False),
        ("a.deliver", "b.submit", False),
    ],
)
def test_a_delivery_belongs_to_the_jobs_of_its_task_group(deliver_task, submit_task, is_of):
    job = JobFacts("demo-project", "us-central1", "1", task_id=submit_task)
    assert a_delivery(task_id=deliver_task).is_of(job) is is_of


@pytest.mark.parametrize(
    ("reasons", "text"),
    [
        ({}, "20 input rows = 17 delivered + 3 exceptions"),
        (
            {"transient": 1, "failed": 2},
            "20 input rows = 17 delivered + 3 exceptions (2 failed, 1 transient)",
        ),
        (
            {name: n for n, name in enumerate("gfedcba", 1)},
            "20 input rows = 17 delivered + 3 exceptions (7 a, 6 b, 5 c, 4 d, 3 e, 3 for other reasons)",
        ),
    ],
)
def test_the_numbers_are_written_with_the_most_frequent_reasons(reasons, text):
    assert str(a_delivery(reasons=reasons)) == text
