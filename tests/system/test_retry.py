"""Rows are sent again until each has its answer, each is paid for once, and no death doubles a job."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

from msgspec import structs

from local.emulator.admin import Order, Output, RowRule, Scenario, Step
from local.stack.airflow_api import wait_until
from tools.chaos import kill_each_task_once
from vertex_batch.vertex.labels import IDEMPOTENCY_KEY_LABEL

SPEC, RESUMED = "system_retry", "system_resume"
ROWS = 60
A_TENTH_FAILS = [RowRule(contains=f'row {n}"', fails=1, code=503) for n in (3, 14, 25, 36, 47, 58)]
LIVES = Scenario(mix={}, rows=A_TENTH_FAILS, output=Output(order=Order.INPUT))
DIES = structs.replace(LIVES, times=1, end="FAILED", error_code=13, finished=0.5)
RUN_SECONDS = 420


def outputs_of(stack, jobs) -> list[dict]:
    """The answered rows of the jobs, copies of a resumed job once."""
    rows = dict[Any, Any]()
    for job in jobs:
        lines = stack.gcs.get(f"{job.output_directory}/predictions.jsonl").splitlines()
        rows |= {line: json.loads(line) for line in lines}
    return [row for row in rows.values() if not row["status"]]


def texts_of(rows: list[dict]) -> list[str]:
    return sorted(row["request"]["contents"][0]["parts"][0]["text"] for row in rows)


def test_a_death_at_half_and_a_kill_in_each_phase_cost_no_row_twice(stack, nights):
    stack.emulator.add_scenario(DIES)
    stack.emulator.add_scenario(LIVES)
    date = nights.start(SPEC, "retry_killed", rows=ROWS)

    killed = kill_each_task_once(stack, SPEC, "retry_killed", RUN_SECONDS)

    assert stack.airflow.run(SPEC, "retry_killed")["state"] == "success"
    rounds = [f"retry_{n}.{task}" for n in (1, 2) for task in ("submit", "wait", "record_cost")]
    phases = {"submit", "wait", "record_cost", "retry_1.prepare", "retry_2.prepare", *rounds}
    assert phases <= set(killed)
    told = stack.airflow.xcom(SPEC, "retry_killed", "deliver")
    assert (told["input_rows"], told["delivered"], told["exceptions"]) == (ROWS, ROWS, 0)
    answers = [json.loads(line) for line in stack.gcs.get(told["to"]).splitlines()]
    assert [each["row"] for each in answers] == sorted(each["row"] for each in answers)
    assert len({each["row"] for each in answers}) == ROWS

    jobs = nights.jobs(SPEC, "retry_killed")
    assert [job.state for job in jobs] == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    assert max(Counter(job.labels[IDEMPOTENCY_KEY_LABEL] for job in jobs).values()) == 1
    assert texts_of(outputs_of(stack, jobs)) == sorted(f"{SPEC} {date} row {n}" for n in range(ROWS))
    bills = nights.bills(SPEC, "retry_killed")
    assert {bill.job.job_id for bill in bills} == {job.id for job in jobs}
    paid = sum(bill.rows.ok - bill.rows.copied for bill in bills)
    assert paid / ROWS == 1
    assert sum(bill.total.amount for bill in bills) == sum(nights.sum_by_hand(job) for job in jobs) > 0
    tasks = {bill.job.task_id for bill in bills}
    assert tasks == {"submit", "retry_1.submit", "retry_2.submit"}


def test_a_job_that_dies_is_resumed_and_the_rows_that_failed_go_again(stack, nights):
    stack.emulator.add_scenario(DIES)
    stack.emulator.add_scenario(LIVES)
    date = nights.start(RESUMED, "resumed", rows=ROWS)
    assert stack.airflow.wait_for_run(RESUMED, "resumed", timeout_seconds=RUN_SECONDS)["state"] == "success"

    first, second, *rounds = nights.jobs(RESUMED, "resumed")
    source = second.request["inputConfig"]["gcsSource"]["uris"]
    assert source == [f"{first.output_directory}/*.jsonl"]
    assert len(rounds) == 1
    answered = outputs_of(stack, [first, second, *rounds])
    assert texts_of(answered) == sorted(f"{RESUMED} {date} row {n}" for n in range(ROWS))
    bills = nights.bills(RESUMED, "resumed")
    assert sum(bill.rows.copied for bill in bills) > 0
    told = stack.airflow.xcom(RESUMED, "resumed", "deliver")
    assert (told["delivered"], told["exceptions"]) == (ROWS, 0)
    assert sum(bill.rows.ok - bill.rows.copied for bill in bills) == ROWS
    (resumed,) = [bill for bill in bills if bill.rows.copied]
    assert not [flag for flag in resumed.flags if "the input has" in flag]


def test_a_usual_night_is_one_job_and_the_rounds_are_skipped(stack, nights):
    stack.emulator.add_scenario(Scenario(mix={}))
    nights.start(SPEC, "usual", rows=5)
    assert stack.airflow.wait_for_run(SPEC, "usual", timeout_seconds=180)["state"] == "success"
    assert len(nights.jobs(SPEC, "usual")) == 1
    states = nights.tasks(SPEC, "usual")
    assert states["retry_1.prepare"] == "success"
    assert all(name.startswith("retry_") for name, state in states.items() if state == "skipped")


def test_a_run_that_a_person_marks_before_the_rounds_is_red(stack, nights, waiting):
    waiting(SPEC, "marked")
    stack.airflow.set_run_state(SPEC, "marked", "failed")
    assert stack.airflow.wait_for_run(SPEC, "marked", timeout_seconds=180)["state"] == "failed"
    assert [job.state for job in nights.jobs(SPEC, "marked")] == ["CANCELLED"]
    tasks = nights.tasks(SPEC, "marked")
    assert (tasks["wait"], tasks["retry_2.wait"], tasks["check_tasks"]) == ("failed", "skipped", "failed")


def test_rows_of_an_earlier_run_are_delivered_for_its_day(stack, nights):
    fails = [RowRule(contains='row 3"', fails=2, code=503)]  # round 2 is skipped, as round 1 answers none
    stack.emulator.add_scenario(structs.replace(LIVES, rows=fails))
    day = "2031-12-02"
    nights.put_input(SPEC, day, rows=5)
    today = nights.start(SPEC, "of_a_day", conf={"run_date": day})
    assert stack.airflow.wait_for_run(SPEC, "of_a_day")["state"] == "success"
    assert stack.airflow.xcom(SPEC, "of_a_day", "deliver")["exceptions"] == 1
    wrong = {
        "other_day": ({"retry_of": "of_a_day", "run_date": today}, f"Run of_a_day is of {day}"),
        "of_no_run": ({"retry_of": "never"}, "Airflow does not know run never"),
    }
    stack.airflow.trigger(SPEC, dag_run_id="rest", conf={"retry_of": "of_a_day"})
    for run_id, (conf, _) in wrong.items():
        stack.airflow.trigger(SPEC, dag_run_id=run_id, conf=conf)

    assert stack.airflow.wait_for_run(SPEC, "rest")["state"] == "success"
    told = stack.airflow.xcom(SPEC, "rest", "deliver")
    assert (told["run_date"], told["delivered"], told["exceptions"]) == (day, 5, 0)
    assert told["to"].startswith(f"gs://demo-bucket/system_retry_answers/{day}/")
    for run_id, (_, problem) in wrong.items():
        assert stack.airflow.wait_for_run(SPEC, run_id)["state"] == "failed"
        assert problem in stack.airflow.logs(SPEC, run_id, "retry_1.prepare")
        assert not nights.jobs(SPEC, run_id)


def _has_round(stack) -> bool:
    """Whether the scheduler has the DAG with a round. If not, ask for it: Airflow may forget a call."""
    tasks = stack.airflow.call("GET", "/dags/system_rest/tasks")["tasks"]
    if any(task["task_id"] == "retry_1.prepare" for task in tasks):
        return True
    stack.airflow.reparse("system_rest")
    return False


def test_a_cancelled_run_of_a_spec_that_gets_retry_rows_afterwards_pays_only_the_rest(stack, nights):
    """What the page of the run says to do: add `retry_rows` to the spec, and run the command."""
    spec = stack.options.specs / "system_rest.yaml"
    text = (stack.options.specs / f"{SPEC}.yaml").read_text().replace(SPEC, "system_rest")
    without, rounds = text.partition("retry_rows:")[:2]
    generator = stack.options.dags / "vertex_batch_specs.py"
    spec.write_text(without)
    generator.touch()  # else the stack of the tests reads it again in an hour
    stack.emulator.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)], mix={}, times=1))
    nights.start("system_rest", "cut_short", rows=ROWS)
    nights.wait_for_job("system_rest", "cut_short", "RUNNING")
    stack.airflow.wait_for_task("system_rest", "cut_short", "wait", ["deferred"], timeout_seconds=180)
    stack.airflow.set_run_state("system_rest", "cut_short", "failed")
    stack.airflow.wait_for_task(
        "system_rest", "cut_short", "deliver", ["success", "failed"], timeout_seconds=180
    )
    assert [job.state for job in nights.jobs("system_rest", "cut_short")] == ["CANCELLED"]

    spec.write_text(f"{without}{rounds} {{rounds: 1}}\n")
    stack.emulator.add_scenario(Scenario(mix={}))
    # The workers have the new file, and the scheduler the DAG of before.
    command = [sys.executable, "-m", "vertex_batch.cli", "retry-rows", str(spec), "cut_short"]
    how: Any = {"env": {**os.environ, **stack.site.environment()}, "timeout": 120, "text": True}
    refused = subprocess.run(command, check=False, capture_output=True, **how)
    assert refused.returncode == 1
    assert "has not read the latest change of system_rest yet" in refused.stderr
    stack.airflow.trigger("system_rest", dag_run_id="too_early", conf={"retry_of": "cut_short"})
    stack.airflow.wait_for_task(
        "system_rest", "too_early", "plan_inputs", ["up_for_retry"], timeout_seconds=120
    )
    assert "does not have retry_1.record_cost yet" in stack.airflow.logs(
        "system_rest", "too_early", "plan_inputs"
    )
    wait_until(lambda: _has_round(stack), "a round of the DAG", timeout_seconds=120, poll_seconds=3)
    # The run continues once the scheduler has read the change: it pays only the rest, and then delivers.
    assert stack.airflow.wait_for_run("system_rest", "too_early", timeout_seconds=240)["state"] == "success"
    bills = [*nights.bills("system_rest", "cut_short"), *nights.bills("system_rest", "too_early")]
    assert [bill.rows.ok for bill in bills] == [ROWS // 2, ROWS // 2]
    told = stack.airflow.xcom("system_rest", "too_early", "deliver")
    assert (told["input_rows"], told["delivered"], told["exceptions"]) == (ROWS, ROWS, 0)

    done = subprocess.run(command, check=True, capture_output=True, **how)
    (run_id,) = {
        run["dag_run_id"] for run in stack.airflow.call("GET", "/dags/system_rest/dagRuns")["dag_runs"]
    } - {"cut_short", "too_early"}
    assert done.stderr.startswith(f"Triggered {run_id}, watch it at http")
    assert stack.airflow.wait_for_run("system_rest", run_id, timeout_seconds=240)["state"] == "success"
    assert nights.jobs("system_rest", run_id) == []  # each row has its answer
