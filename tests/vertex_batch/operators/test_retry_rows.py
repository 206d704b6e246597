"""The rounds of a run, task by task, with the emulated Vertex and a real object store."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException
from msgspec import structs

from local.emulator.admin import Match, Order, Output, RowRule, Scenario, Step, Trait
from tests.builders import copy_first_job
from vertex_batch.costs import JobFilter
from vertex_batch.errors import StillRunningError
from vertex_batch.operators import (
    AggregateTokenUsageOperator,
    DeliverResultsOperator,
    PrepareRetryOperator,
    SubmitBatchPredictionJobOperator,
)
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.rounds import RoundTasks, RowsTakenError

_FOLDERS = itertools.count()
TASKS = RoundTasks("submit", ("retry_1.submit", "retry_2.submit"))
QUICK = [Step(state="PENDING", seconds=0), Step(state="RUNNING", seconds=0)]
FIRST = "scheduled__2026-11-22"
DEATH = {"end": "FAILED", "error_code": 13}


def row(number: int, text: str = "row") -> dict[str, Any]:
    text = f"{text} {number}."
    return {"id": f"r{number}", "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}


pytestmark = pytest.mark.vertex(inputs=())


@pytest.fixture
def run(vertex, context, airflow_runs):
    airflow_runs.add(context["ti"].run_id, context["dag_run"].run_after, run_date="2026-12-02")
    return Run(vertex, context, f"gs://demo-bucket/retry{next(_FOLDERS)}")


class Run:
    """One run of a spec with two rounds."""

    def __init__(self, vertex, context: dict[str, Any], folder: str) -> None:
        self.vertex, self.context, self.folder = vertex, context, folder
        self.stores: dict[tuple[str, int], Any] = {}
        self.first_run = context["ti"].run_id
        self.resubmits = 0
        self.inputs = f"{folder}/in.jsonl"
        self.location: str | None = None
        self.ours = Match(labels={"airflow_dag": "nightly"})

    def turn_to(self, task_id: str, index: int = -1) -> None:
        """Make the context that of another task."""
        ti, store = self.context["ti"], self.context["task_state_store"]
        kept = self.stores.setdefault((task_id, index), type(store)())
        self.context["ti"] = replace(ti, task_id=task_id, map_index=index, xcoms=ti.xcoms)
        self.context["task_state_store"] = kept

    def begin_retry_of_this_run(self) -> None:
        """A person triggers another run, which sends rows of this one again."""
        ti = self.context["ti"]
        self.context["params"] = {"retry_of": self.first_run}
        if ti.run_id == self.first_run:
            ti.other_runs[self.first_run] = dict(ti.xcoms)
        self.context["ti"] = replace(ti, run_id=f"manual__{next(_FOLDERS)}", xcoms={})
        self.stores.clear()

    def clear(self, *task_ids: str, **states: str | None) -> None:
        """A person clears tasks of this run, or it has tasks in these states."""
        self.context["ti"].max_tries += 4
        self.context["ti"].states = {**dict.fromkeys(task_ids), **states}

    def put(self, count: int, first: int = 0, text: str = "row") -> None:
        numbers = range(first, first + count)
        lines = "".join(f"{json.dumps(row(number, text))}\n" for number in numbers)
        self.vertex.gcs.put(f"{self.folder}/in.jsonl", lines.encode())

    def script(self, **scenario: Any) -> None:
        """How the jobs live that are created from now on."""
        self.vertex.admin.clear_scenarios()
        self.vertex.admin.add_scenario(Scenario(**{"timeline": QUICK, "mix": {}, **scenario}))

    def submit(self, task_id: str = "submit", index: int = -1, part: dict[str, Any] | None = None) -> None:
        self.turn_to(task_id, index)
        arguments: dict[str, Any] = {"part": part} if part else {}
        with DAG("nightly", schedule=None):
            task = SubmitBatchPredictionJobOperator(
                task_id=task_id,
                model="gemini-3.8-flash",
                inputs=self.inputs,
                output_uri=f"{self.folder}/out/",
                location=self.location,
                **arguments,
            )
        task.round_task_ids = () if part else TASKS.retries
        task.render_template_fields(self.context)
        job = task.execute(self.context)
        self.context["ti"].xcom_push("return_value", job)
        self.turn_to(task_id.replace("submit", "wait"), index)
        waited = BatchPredictionJobSensor(
            task_id="wait",
            job=job,
            deferrable=False,
            poll_interval_seconds=0.05,
            resubmits=self.resubmits,
            fail_without_answers=False,
            rest_is_sent_again=True,
        ).execute(self.context)
        self.context["ti"].xcom_push("return_value", waited)

    def start_job(self, task_id: str, part: dict[str, Any] | None = None, index: int = 0) -> None:
        """Submit a part, or the whole input, without waiting for its job."""
        self.turn_to(task_id, index if part else -1)
        arguments: dict[str, Any] = {"part": part} if part else {}
        with DAG("nightly", schedule=None):
            task = SubmitBatchPredictionJobOperator(
                task_id=task_id,
                model="gemini-3.8-flash",
                inputs=self.inputs,
                output_uri=f"{self.folder}/out/",
                location=self.location,
                **arguments,
            )
        task.round_task_ids = () if part else TASKS.retries
        task.render_template_fields(self.context)
        self.context["ti"].xcom_push("return_value", task.execute(self.context))

    def prepare(self, number: int = 1, **changes: Any) -> list[dict[str, Any]]:
        self.turn_to(f"retry_{number}.prepare")
        with DAG("nightly", schedule=None):
            task = PrepareRetryOperator(
                **{
                    "task_id": f"retry_{number}.prepare",
                    "round": number,
                    "rounds": TASKS,
                    "reasons": ["transient"],
                    "key": "id",
                    "model": "gemini-3.8-flash",
                    "output_uri": f"{self.folder}/out/",
                    "location": self.location,
                    **changes,
                }
            )
        task.render_template_fields(self.context)
        return task.execute(self.context)

    def send(self, number: int, parts: list[dict[str, Any]]) -> None:
        for index, part in enumerate(parts):
            self.submit(f"retry_{number}.submit", index, part)

    def record(self, group: str = "") -> None:
        self.turn_to(f"{group}record_cost")
        with DAG("nightly", schedule=None):
            task = AggregateTokenUsageOperator(
                task_id=f"{group}record_cost",
                submit_task_id=f"{group}submit",
                resubmit_task_ids=[f"{group}wait"],
                prices={"gemini-2.5-flash": {"input": 100, "output": 1000, "cached_input": 10}},
                fail_without_answers=False,
            )
        self.context["ti"].xcom_push("return_value", task.execute(self.context))

    def round(self, number: int) -> None:
        """A whole round."""
        parts = self.prepare(number)
        self.send(number, parts)
        self.turn_to(f"retry_{number}.record_cost")
        self.context["ti"].xcoms.pop((f"retry_{number}.record_cost", "return_value"), None)
        if parts:
            self.record(f"retry_{number}.")

    def deliver(self, to: str = "answers.jsonl") -> dict[str, Any]:
        self.turn_to("deliver")
        with DAG("nightly", schedule=None):
            task = DeliverResultsOperator(
                task_id="deliver",
                to=f"{self.folder}/{to}",
                key="id",
                record_task_id="record_cost",
                retry_record_task_ids=["retry_1.record_cost", "retry_2.record_cost"],
                prices={"gemini-2.5-flash": {"input": 100, "output": 1000, "cached_input": 10}},
            )
        task.render_template_fields(self.context)
        return task.execute(self.context)

    def ids(self, parts: list[dict[str, Any]]) -> list[str]:
        """The ids of the rows that are sent again, in order."""
        found = [self.vertex.gcs.get(uri).splitlines() for part in parts for uri in part["uris"]]
        return [json.loads(line)["id"] for lines in found for line in lines]

    def answered(self) -> list[str]:
        """The ids of all answered rows of all outputs: what was paid for."""
        jobs = self.vertex.admin.jobs(self.ours)
        found = []
        for job in jobs:
            for name in self.vertex.gcs.list(f"{job.output_directory}/") if job.output_directory else ():
                rows = [json.loads(line) for line in self.vertex.gcs.get(name).splitlines()]
                found += [each["id"] for each in rows if not each["status"]]
        return sorted(found)


def test_only_the_failed_rows_run_again_and_each_row_is_paid_for_once(run):
    run.put(20)
    twice = [RowRule(contains=f"row {number}.", fails=2, code=429) for number in (3, 11)]
    run.script(rows=[*twice, RowRule(contains="", share=0.3, fails=1, code=503)])
    run.submit()
    first = run.prepare(1)
    failed = run.ids(first)
    assert 2 < len(failed) < 20
    assert failed == sorted(failed, key=lambda each: int(each[1:]))
    run.send(1, first)
    second = run.prepare(2)
    assert run.ids(second) == ["r3", "r11"]
    run.send(2, second)
    assert run.answered() == sorted(f"r{number}" for number in range(20))


@pytest.mark.parametrize("finished", [0.1, 0.5, 0.9])
def test_rows_that_a_dead_job_did_not_reach_run_again_alone(run, finished):
    run.put(20)
    run.script(finished=finished, **DEATH)
    run.submit()
    parts = run.prepare(1)
    assert len(run.ids(parts)) == 20 - 20 * finished
    run.script()
    run.send(1, parts)
    assert run.prepare(2) == []
    assert run.answered() == sorted(f"r{number}" for number in range(20))


def test_a_usual_night_reads_nothing_and_submits_nothing(run):
    run.put(5)
    run.script()
    run.submit()
    assert run.prepare(1) == []
    assert run.prepare(2) == []
    assert len(run.vertex.admin.jobs(Match(labels={"airflow_dag": "nightly"}))) >= 1
    assert "_shards" not in "".join(run.vertex.gcs.list(f"{run.folder}/"))


@pytest.mark.parametrize(
    ("rule", "reasons", "again"),
    [
        ({"fails": 9, "code": 400}, ["transient"], False),
        ({"fails": 9, "code": 403}, ["transient"], False),
        ({"fails": 9, "code": 429}, ["transient"], True),
        ({"fails": 9, "code": 4}, ["transient"], True),
        ({"traits": [Trait.SAFETY]}, ["transient", "truncated", "invalid"], False),
        ({"traits": [Trait.BLOCKED_PROMPT]}, ["transient", "truncated", "invalid"], False),
        ({"traits": [Trait.MAX_TOKENS]}, ["transient"], False),
        ({"traits": [Trait.MAX_TOKENS]}, ["truncated"], True),
        ({"copies": 0}, ["transient"], False),  # Vertex counted it, and may bill it
        ({"cut": True}, ["transient"], False),
        ({"never": True}, ["transient"], True),
    ],
)
def test_only_rows_with_a_chosen_reason_run_again(run, rule, reasons, again):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", **rule)])
    run.submit()
    assert run.ids(run.prepare(1, reasons=reasons)) == (["r2"] if again else [])


def test_why_a_row_is_not_sent_again_is_in_the_log(run, capsys):
    run.put(4)
    rules = [RowRule(contains="row 2.", fails=9, code=400), RowRule(contains="row 3.", fails=9, code=503)]
    run.script(rows=rules)
    run.submit()
    run.prepare(1)
    logged = capsys.readouterr().out
    assert "Sending 1 rows again: 1 transient" in logged
    assert "1 rows have no good answer and are not sent again: 1 failed. 1 of them failed for a" in logged


def test_a_round_without_a_new_answer_is_the_last(run, capsys):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=9, code=503)])
    run.submit()
    run.send(1, run.prepare(1))
    assert run.prepare(2) == []
    assert "Round 1 brought no new answer" in capsys.readouterr().out


def test_paid_rows_that_a_round_did_not_improve_are_not_paid_for_a_third_time(run, capsys):
    reasons = ["transient", "truncated"]
    run.put(6)
    truncated = [RowRule(contains=f"row {number}.", traits=[Trait.MAX_TOKENS]) for number in (2, 3)]
    run.script(rows=[*truncated, *(RowRule(contains=f"row {n}.", fails=n - 3, code=503) for n in (4, 5))])
    run.submit()
    first = run.prepare(1, reasons=reasons)
    assert run.ids(first) == ["r2", "r3", "r4", "r5"]
    assert [(part["truncated"], part["of_rows"]) for part in first] == [(2, 4)]  # for the estimate
    assert "2 of the rows that are sent again were answered before and are on a bill (2 truncated)" in (
        capsys.readouterr().out
    )
    run.send(1, first)
    second = run.prepare(2, reasons=reasons)
    assert run.ids(second) == ["r5"]  # which is still transient, and was never paid for
    logged = capsys.readouterr().out
    assert "Round 1 sent 2 truncated rows again, and paid for them again, but 2 are still truncated" in logged
    assert "were answered before" not in logged
    assert "1 rows have no good answer" not in logged
    assert "2 rows have no good answer and are not sent again: 2 truncated" in logged


def test_a_job_that_failed_for_good_is_not_sent_again(run, capsys):
    run.put(4)
    run.script(end="FAILED", error_code=3, finished=0.5)
    with pytest.raises(AirflowFailException):
        run.submit()
    assert run.prepare(1) == []
    run.begin_retry_of_this_run()
    assert run.prepare(1) == []
    assert "it failed for a reason that stays until a person fixes it (code 3)" in capsys.readouterr().out


def test_a_second_try_writes_the_same_object_and_its_job_is_the_same(run):
    run.put(8)
    run.script(finished=0.5, **DEATH)
    run.submit()
    first = run.prepare(1)
    run.script(timeline=[Step(state="PENDING", seconds=None)])
    again = run.prepare(1)
    assert again == first
    before = len(run.vertex.admin.jobs())
    for _ in range(2):  # SIGKILL between the POST and the store: the next try finds the job by its key
        run.turn_to("retry_1.submit", 0)
        run.stores.clear()
        with DAG("nightly", schedule=None):
            task = SubmitBatchPredictionJobOperator(
                task_id="retry_1.submit",
                model="gemini-3.8-flash",
                inputs="gs://demo-bucket/not-read.jsonl",
                output_uri=f"{run.folder}/out/",
                part=again[0],
            )
        task.render_template_fields(run.context)
        task.execute(run.context)
    jobs = run.vertex.admin.jobs()[before:]
    assert len(jobs) == 1
    assert jobs[0].request["inputConfig"]["gcsSource"]["uris"] == first[0]["uris"]
    assert jobs[0].labels["airflow_retry_round"] == "1"
    assert jobs[0].display_name.endswith(", retry 1 of 4 rows")


def test_a_cleared_round_does_not_pay_for_what_its_first_job_has_answered(run):
    run.put(8)
    run.script(rows=[RowRule(contains="", fails=1, code=503), RowRule(contains="row 2.", fails=3, code=503)])
    run.submit()
    first = run.prepare(1)
    assert len(run.ids(first)) == 8
    run.vertex.admin.clear_scenarios()
    run.script(rows=[RowRule(contains="row 2.", fails=3, code=503)])
    run.send(1, first)
    assert run.ids(run.prepare(1)) == ["r2"]  # a person has cleared it


def test_too_many_rows_for_one_job_are_split(run):
    run.put(7)
    run.script(finished=0, **DEATH)
    run.submit()
    parts = run.prepare(1, max_rows=3)
    assert [(part["number"], part["of"], part["rows"]) for part in parts] == [(1, 3, 3), (2, 3, 3), (3, 3, 1)]
    assert run.ids(parts) == [f"r{number}" for number in range(7)]
    run.script()
    run.send(1, parts)
    assert len(run.answered()) == 7


def test_shards_are_looked_at_one_by_one_and_their_rows_share_a_job(run):
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503), RowRule(contains="row 5.", never=True)])
    for index, numbers in enumerate((range(4), range(4, 8))):
        uri = f"{run.folder}/shard{index}.jsonl"
        run.vertex.gcs.put(uri, "".join(f"{json.dumps(row(n))}\n" for n in numbers).encode())
        part = {"kind": "shard", "uris": [uri], "number": index + 1, "of": 2, "rows": 4, "of_rows": 8}
        run.submit("submit", index, part)
    (part,) = run.prepare(1)
    assert run.ids([part]) == ["r2", "r5"]


def test_the_retry_of_a_sample_stays_among_the_samples(run):
    uri = f"{run.folder}/sample.jsonl"
    run.vertex.gcs.put(uri, "".join(f"{json.dumps(row(n))}\n" for n in range(4)).encode())
    run.script(rows=[RowRule(contains="row 2.", fails=2, code=503)])
    run.submit(
        part={"kind": "sample", "uris": [uri], "rows": 4, "of_rows": 90, "seed": 0, "number": 1, "of": 1}
    )
    first = run.prepare(1)
    run.send(1, first)
    job = run.vertex.admin.jobs()[-1]
    assert job.output_directory.startswith(f"{run.folder}/out/_samples/")
    assert "airflow_sample" in job.labels


def test_what_a_person_stopped_is_not_started_again(run):
    run.put(4)
    run.script(finished=0.5, **DEATH)
    run.submit()
    del run.context["ti"].xcoms["wait", "return_value"]  # the waiting task was marked
    assert run.prepare(1) == []


def test_a_person_sends_the_rest_of_an_earlier_run_again_once(run):
    run.put(8)
    run.script(
        rows=[RowRule(contains="row 2.", fails=2, code=503), RowRule(contains="row 5.", fails=4, code=503)]
    )
    run.submit()
    run.send(1, run.prepare(1))
    run.begin_retry_of_this_run()
    parts = run.prepare(1)
    assert run.ids(parts) == ["r2", "r5"]
    run.send(1, parts)
    assert "airflow_retry_of" in run.vertex.admin.jobs()[-1].labels
    run.begin_retry_of_this_run()
    assert run.ids(run.prepare(1)) == ["r5"]  # r2 has its answer from the run before


def start_a_round(run):
    """Bring a run to a first round, whose job does not end."""
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    parts = run.prepare(1)
    run.script(timeline=[Step(state="PENDING", seconds=None)])
    run.start_job("retry_1.submit", parts[0])


def test_rows_that_still_run_in_an_earlier_run_are_not_sent_again(run):
    start_a_round(run)
    run.begin_retry_of_this_run()
    with pytest.raises(StillRunningError):
        run.prepare(1)


@pytest.mark.parametrize(("state", "calls"), [(None, 1), ("removed", 1), ("deferred", 0), ("success", 0)])
def test_a_job_of_a_round_ends_when_its_run_is_cleared_and_not_when_its_task_waits_for_it(run, state, calls):
    start_a_round(run)
    of_round = run.vertex.admin.jobs()[-1].id
    run.script()
    run.context["ti"].max_tries += 4  # a person clears the submit task
    run.context["ti"].states = {"retry_1.submit_0": state, "retry_2.submit": None}
    run.submit()
    assert len(run.vertex.admin.job(of_round).cancel_calls) == calls


@pytest.mark.parametrize(
    ("case", "minutes", "retry_of", "state", "is_taken"),
    [
        ("it has prepared its rows, and has no job yet", -1, FIRST, "running", True),
        ("it sends rows of another run", -1, "manual__another", "running", False),
        ("it is an ordinary run", -1, "", "running", False),
        ("it is over", -1, FIRST, "success", False),
        ("this run started before it", 1, FIRST, "running", False),
    ],
)
def test_of_two_runs_only_the_first_sends_the_rows_of_a_run(
    run, airflow_runs, case, minutes, retry_of, state, is_taken
):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.begin_retry_of_this_run()
    moment = run.context["dag_run"].start_date + timedelta(minutes=minutes)
    airflow_runs.add("manual__other", moment, state=state, retry_of=retry_of)
    run.context["ti"].states_of_runs["manual__other"] = {"retry_1.submit": "awaiting_input"}
    if is_taken:
        with pytest.raises(RowsTakenError, match="Run manual__other of this DAG is not over"):
            run.prepare(1)
    else:
        assert run.ids(run.prepare(1)) == ["r2"], case


def test_rows_of_a_run_that_is_not_over_are_not_sent_again(run, airflow_runs):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.begin_retry_of_this_run()
    moment = run.context["dag_run"].start_date - timedelta(hours=1)
    airflow_runs.add(FIRST, moment, state="running", run_date="2026-12-02")
    run.context["ti"].states_of_runs[FIRST] = {
        "submit": "success",
        "retry_1.prepare": "success",
        "deliver": None,
    }
    with pytest.raises(RowsTakenError, match=f"Run {FIRST} of this DAG is not over"):
        run.prepare(1)


def test_a_cleared_round_does_not_send_rows_that_another_run_sends(run):
    """Its own submit task does not find the job of the other run."""
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    first = run.context["ti"]
    run.begin_retry_of_this_run()
    parts = run.prepare(1)
    run.script(timeline=[Step(state="PENDING", seconds=None)])
    run.start_job("retry_1.submit", parts[0])
    run.context |= {"ti": first, "params": {}}
    with pytest.raises(StillRunningError):
        run.prepare(1)


@pytest.mark.parametrize(
    ("params", "problem"),
    [
        ({"retry_of": "scheduled__never"}, "Airflow does not know run scheduled__never"),
        (
            {"retry_of": "scheduled__never", "run_date": "2026-12-02"},
            "Run scheduled__never of this DAG has no job",
        ),
        ({"run_date": "2026-11-28"}, "is of 2026-12-02, but the run date 2026-11-28 was entered"),
    ],
)
def test_a_retry_of_another_day_or_of_an_unknown_run_submits_nothing(run, params, problem):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.begin_retry_of_this_run()
    run.context["params"] |= params
    with pytest.raises(AirflowFailException, match=problem):
        run.prepare(1)


def test_rows_of_an_earlier_run_are_delivered_to_the_file_of_its_day(run):
    run.put(6)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.record()
    run.begin_retry_of_this_run()  # without a date, on another day
    run.context["dag_run"].run_after += timedelta(days=6)
    run.round(1)
    told = run.deliver("{{ run_date }}.jsonl")
    assert (told["to"], told["run_date"]) == (f"{run.folder}/2026-12-02.jsonl", "2026-12-02")
    assert told["delivered"] == 6
    assert run.vertex.admin.jobs()[-1].display_name == "nightly 2026-12-02 0, retry 1 of 1 rows"
    run.context["params"]["run_date"] = "2026-11-28"
    with pytest.raises(AirflowFailException, match="Nothing was delivered"):
        run.deliver("{{ run_date }}.jsonl")


def test_the_delivery_has_what_each_round_has_answered_and_their_bills(run, table):
    run.put(12)
    twice = [RowRule(contains="row 3.", fails=2, code=429), RowRule(contains="row 4.", fails=9, code=400)]
    run.script(rows=[*twice, RowRule(contains="", share=0.5, fails=1, code=503)])
    run.submit()
    run.record()
    run.round(1)
    run.round(2)
    told = run.deliver()
    numbers = (told["input_rows"], told["delivered"], told["exceptions_by_reason"])
    assert numbers == (12, 11, {"failed": 1})
    lines = [json.loads(line) for line in run.vertex.gcs.get(told["to"]).splitlines()]
    assert [line["key"] for line in lines] == [f"r{n}" for n in range(12) if n != 4]
    assert {line["attempt"] for line in lines} == {0, 1, 2}
    bills = [table.bill(cost.job.key) for cost in table.jobs(JobFilter(dag_id="nightly"))]
    assert len(bills) == 3
    assert sum(bill.total.amount for bill in bills) == Decimal(told["rows_cost_usd"]) > 0


def test_a_retry_of_an_earlier_run_delivers_all_answers_of_both(run, table):
    run.put(6)
    run.script(rows=[RowRule(contains="row 2.", fails=3, code=503)])
    run.submit()
    run.record()
    run.round(1)
    assert run.deliver()["delivered"] == 5
    for _ in range(2):  # the first one does not answer it
        run.begin_retry_of_this_run()
        run.round(1)
        told = run.deliver()
    assert (told["input_rows"], told["delivered"]) == (6, 6)
    assert len(table.jobs(JobFilter(dag_id="nightly"))) == 4
    (night,) = table.deliveries_of_night(JobFilter())
    assert (night.retry_of, night.input_rows, night.exceptions) == (run.first_run, 6, 0)


def test_answers_of_an_earlier_retry_are_delivered_however_many_jobs_were_recorded_since(run, table):
    run.put(3)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.record()
    run.begin_retry_of_this_run()
    run.round(1)
    copy_first_job(table, 1001, labels={}, day=date(2100, 1, 1))
    run.begin_retry_of_this_run()
    assert run.prepare(1) == []
    assert run.deliver()["delivered"] == 3


def test_a_resumed_job_and_a_round_are_delivered_and_billed_once(run, table):
    run.put(10)
    run.resubmits = 1
    fails = [RowRule(contains=f"row {n}.", fails=1, code=503) for n in (2, 7)]
    lives = Scenario(timeline=QUICK, mix={}, rows=fails, output=Output(order=Order.INPUT))
    run.vertex.admin.clear_scenarios()
    run.vertex.admin.add_scenario(structs.replace(lives, times=1, finished=0.5, **DEATH))
    run.vertex.admin.add_scenario(lives)
    run.submit()
    run.record()
    run.round(1)
    told = run.deliver()
    assert (told["input_rows"], told["delivered"], told["copied_rows"]) == (10, 10, 4)
    bills = [table.bill(cost.job.key) for cost in table.jobs(JobFilter(dag_id="nightly"))]
    assert len(bills) == 3
    assert sum(bill.rows.ok - bill.rows.copied for bill in bills) == 10
    assert sum(bill.total.amount for bill in bills) == Decimal(told["rows_cost_usd"]) > 0
    (resumed,) = [bill for bill in bills if bill.rows.copied]
    assert not [flag for flag in resumed.flags if "the input has" in flag]


def test_rows_that_were_added_after_the_job_are_neither_sent_nor_counted(run, monkeypatch):
    monkeypatch.setattr("vertex_batch.storage.objects.CLOCK_MARGIN", timedelta(0))
    run.put(4)
    run.inputs = f"{run.folder}/*.jsonl"
    run.script(end="FAILED", error_code=13, finished=0.5)
    run.submit()
    run.vertex.gcs.put(f"{run.folder}/a.jsonl", json.dumps(row(9)).encode())
    run.record()
    run.script()
    parts = run.prepare()
    assert len(run.ids(parts)) == 2
    assert "r9" not in run.ids(parts)
    run.round(1)
    delivered = run.deliver()
    assert (delivered["input_rows"], delivered["delivered"], delivered["added_objects"]) == (4, 4, 1)


def test_a_job_that_a_cleared_task_has_adopted_keeps_the_job_that_resumed_it(run):
    """A person clears the submit task while its job runs, which then fails and is resumed."""
    run.put(10)
    run.resubmits = 1
    fails = [RowRule(contains="row 2.", fails=9, code=503)]
    lives = Scenario(timeline=QUICK, mix={}, rows=fails, output=Output(order=Order.INPUT))
    held = [Step(state="RUNNING", seconds=None)]
    run.vertex.admin.clear_scenarios()
    run.vertex.admin.add_scenario(structs.replace(lives, times=1, timeline=held, finished=0.5, **DEATH))
    run.vertex.admin.add_scenario(lives)
    run.start_job("submit")
    run.clear()
    run.start_job("submit")  # adopts it
    (adopted,) = run.vertex.admin.wait_for_jobs(run.ours, state="RUNNING")
    run.vertex.admin.release_job(adopted.id)
    run.submit()
    assert len(run.vertex.admin.jobs(run.ours)) == 2
    assert run.ids(run.prepare(1)) == ["r2"]
    run.begin_retry_of_this_run()
    assert run.ids(run.prepare(1)) == ["r2"]


def test_a_cleared_round_ends_the_job_of_a_later_round_that_runs_its_rows(run):
    """A person clears the first round while the second one runs."""
    run.put(6)
    run.script(rows=[RowRule(contains=f"row {n}.", fails=n, code=503) for n in (1, 2)])
    run.submit()
    run.send(1, run.prepare(1))
    second = run.prepare(2)
    run.script(timeline=[Step(state="PENDING", seconds=None)])
    run.start_job("retry_2.submit", second[0])
    run.clear("retry_1.submit_0", "retry_2.submit_0")
    assert run.ids(run.prepare(1)) == ["r2"]
    assert run.vertex.admin.jobs()[-1].state == "CANCELLED"


@pytest.mark.parametrize("state", [None, "up_for_retry", "success"])
def test_a_cleared_round_ends_its_own_jobs_first_however_many_it_has_then(run, state):
    """Its first job is done, so only the rows of the second one are left, which becomes the first one."""
    run.put(6)
    run.script(finished=0, **DEATH)
    run.submit()
    parts = run.prepare(1, max_rows=3)
    run.script()
    run.submit("retry_1.submit", 0, parts[0])
    run.script(timeline=[Step(state="PENDING", seconds=None)])
    run.start_job("retry_1.submit", parts[1], 1)
    run.clear("retry_1.submit_0", **{"retry_1.submit_1": state})
    assert run.ids(run.prepare(1, max_rows=3)) == ["r3", "r4", "r5"]
    # A task that was not cleared still waits for it.
    assert run.vertex.admin.jobs()[-1].state == ("PENDING" if state == "success" else "CANCELLED")


def test_what_other_runs_have_answered_in_another_location_is_not_sent_again(run):
    run.put(4)
    run.script(rows=[RowRule(contains="row 2.", fails=1, code=503)])
    run.submit()
    run.location = "europe-west4"  # a person moves the spec out of a full region
    run.begin_retry_of_this_run()
    run.send(1, run.prepare(1))
    assert "/europe-west4/" in run.vertex.admin.jobs()[-1].name
    run.begin_retry_of_this_run()
    assert run.prepare(1) == []


def test_a_job_of_a_round_ends_in_the_location_that_its_spec_had(run):
    """Also if the list does not show it yet."""
    start_a_round(run)
    of_round = run.vertex.admin.jobs()[-1].id
    run.vertex.admin.set_settings(list_lag_seconds=3600)
    run.script()
    run.location = "europe-west4"
    run.clear("retry_1.submit_0")
    run.start_job("submit")
    assert run.vertex.admin.job(of_round).cancel_calls


@pytest.mark.parametrize(
    ("first", "text", "sent"),
    [
        (0, "row", 4),  # it was only written again
        (100, "row", None),  # such as that of the next night
        (0, "new row", None),
    ],
)
def test_rows_of_an_input_that_was_replaced_are_not_sent_as_the_rest_of_a_run(
    run, monkeypatch, first, text, sent
):
    monkeypatch.setattr("vertex_batch.storage.objects.CLOCK_MARGIN", timedelta(0))
    run.put(8)
    run.script(finished=0.5, **DEATH)
    run.submit()
    run.put(8, first, text)
    run.begin_retry_of_this_run()
    if sent:
        assert len(run.ids(run.prepare(1))) == sent
        return
    with pytest.raises(AirflowFailException, match=r"in\.jsonl cannot be used: it was replaced after job"):
        run.prepare(1)
