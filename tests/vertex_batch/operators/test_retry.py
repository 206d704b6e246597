"""The rounds of a run, task by task, with the emulated Vertex and a real object store."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

from local.emulator.admin import Match, RowRule, Scenario, Step, Trait
from vertex_batch.operators import PrepareRetryOperator, SubmitBatchPredictionJobOperator
from vertex_batch.results import ResultSettings
from vertex_batch.sensors import BatchPredictionJobSensor
from vertex_batch.tasks.rounds import RoundTasks

_FOLDERS = itertools.count()
TASKS = RoundTasks(("submit", "shards.submit"), ("retry_1.shards.submit", "retry_2.shards.submit"))
QUICK = [Step(state="PENDING", seconds=0), Step(state="RUNNING", seconds=0)]
DEATH = {"end": "FAILED", "error_code": 13}


def row(number: int) -> dict[str, Any]:
    text = f"row {number}."
    return {"id": f"r{number}", "request": {"contents": [{"role": "user", "parts": [{"text": text}]}]}}


pytestmark = pytest.mark.vertex(inputs=())


@pytest.fixture
def run(vertex, context):
    return Run(vertex, context, f"gs://demo-bucket/retry{next(_FOLDERS)}")


class Run:
    """One run of a spec with two rounds."""

    def __init__(self, vertex, context: dict[str, Any], folder: str) -> None:
        self.vertex, self.context, self.folder = vertex, context, folder
        self.stores: dict[tuple[str, int], Any] = {}
        self.settings = ResultSettings(key="id")

    def turn_to(self, task_id: str, index: int = -1) -> None:
        """Make the context that of another task."""
        ti, store = self.context["ti"], self.context["task_state_store"]
        kept = self.stores.setdefault((task_id, index), type(store)())
        self.context["ti"] = replace(ti, task_id=task_id, map_index=index, xcoms=ti.xcoms)
        self.context["task_state_store"] = kept

    def put(self, count: int) -> None:
        lines = "".join(f"{json.dumps(row(number))}\n" for number in range(count))
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
                model="gemini-2.5-flash",
                inputs=f"{self.folder}/in.jsonl",
                output_uri=f"{self.folder}/out/",
                **arguments,
            )
        task.render_template_fields(self.context)
        job = task.execute(self.context)
        self.context["ti"].xcom_push("return_value", job)
        self.turn_to(task_id.replace("submit", "wait"), index)
        BatchPredictionJobSensor(
            task_id="wait",
            job=job,
            deferrable=False,
            poll_interval_seconds=0.05,
            resubmits=0,
            fail_without_answers=False,
            rest_is_sent_again=True,
        ).execute(self.context)

    def prepare(self, number: int = 1, **changes: Any) -> list[dict[str, Any]]:
        self.turn_to(f"retry_{number}.prepare")
        with DAG("nightly", schedule=None):
            task = PrepareRetryOperator(
                **{
                    "task_id": f"retry_{number}.prepare",
                    "round": number,
                    "rounds": TASKS,
                    "reasons": ["transient"],
                    "settings": self.settings,
                    "model": "gemini-2.5-flash",
                    "output_uri": f"{self.folder}/out/",
                    **changes,
                }
            )
        task.render_template_fields(self.context)
        return task.execute(self.context)

    def send(self, number: int, parts: list[dict[str, Any]]) -> None:
        for index, part in enumerate(parts):
            self.submit(f"retry_{number}.shards.submit", index, part)

    def ids(self, parts: list[dict[str, Any]]) -> list[str]:
        """The ids of the rows that are sent again, in order."""
        found = [self.vertex.gcs.get(uri).splitlines() for part in parts for uri in part["uris"]]
        return [json.loads(line)["id"] for lines in found for line in lines]

    def answered(self) -> list[str]:
        """The ids of all answered rows of all outputs: what was paid for."""
        jobs = self.vertex.admin.jobs(Match(labels={"airflow_dag": "nightly"}))
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


def test_a_job_that_failed_for_good_is_not_sent_again(run, capsys):
    run.put(4)
    run.script(end="FAILED", error_code=3, finished=0.5)
    with pytest.raises(AirflowFailException):
        run.submit()
    assert run.prepare(1) == []  # by a person, who starts it although the waiting task has failed
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
        run.turn_to("retry_1.shards.submit", 0)
        run.stores.clear()
        with DAG("nightly", schedule=None):
            task = SubmitBatchPredictionJobOperator(
                task_id="retry_1.shards.submit",
                model="gemini-2.5-flash",
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
        run.submit("shards.submit", index, part)
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
