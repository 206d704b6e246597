"""What a scenario can ask of single rows, and what a job that resumes another one reads."""

from __future__ import annotations

import json

import httpx
import pytest

from local.emulator.admin import Order, Output, RowRule, Scenario
from local.emulator.script import ROW_ERRORS

DEATH = {"end": "FAILED", "error_code": 13}


@pytest.fixture
def run(api, admin, create):
    def live(scenario=None, end="SUCCEEDED", **fields):
        admin.clear_scenarios()
        if scenario is not None:
            admin.add_scenario(scenario)
        job_id = create(**fields)
        (job,) = admin.wait_for_jobs(job_id=job_id, state=end)
        return job, api.get(job_id).json()

    return live


@pytest.fixture
def lines(store):
    def read(job, name="predictions.jsonl"):
        return store.get(f"{job.output_directory}/{name}").splitlines()

    return read


def ids(lines):
    return [json.loads(line)["custom_id"] for line in lines]


@pytest.mark.parametrize("code", ROW_ERRORS)
def test_a_row_fails_so_often_with_this_code_and_is_then_answered(run, lines, put_rows, code):
    uri = put_rows([{"custom_id": "a", "request": {"contents": [{"parts": [{"text": f"code {code}"}]}]}}])
    scenario = Scenario(rows=[RowRule(contains="", fails=2, code=code)])
    found = [json.loads(lines(run(scenario, uri=uri)[0])[0]) for _ in range(3)]
    errors = [json.loads(row["status"].partition(": ")[2])["error"] for row in found[:2]]
    assert [error["code"] for error in errors] == [code, code]
    assert errors[0]["status"] == ROW_ERRORS[code][1]
    assert [row["response"] for row in found[:2]] == [{}, {}]
    assert found[2]["status"] == ""
    assert found[2]["response"]["candidates"]


def test_a_row_that_its_job_did_not_reach_has_not_failed_yet(run, lines, put_rows):
    uri = put_rows([{"custom_id": "a", "request": {"contents": [{"parts": [{"text": "unreached"}]}]}}])
    fails = [RowRule(contains="", fails=1, code=429)]
    run(Scenario(rows=fails, finished=0, **DEATH), end="FAILED", uri=uri)
    first, second = (json.loads(lines(run(Scenario(rows=fails), uri=uri)[0])[0]) for _ in range(2))
    assert "RESOURCE_EXHAUSTED" in first["status"]
    assert second["status"] == ""


def test_a_share_picks_the_same_rows_whatever_the_echo_did_to_them(run, lines):
    rule = RowRule(contains="", share=0.3, fails=100, code=503)
    first, _ = run(Scenario(rows=[rule], output=Output(null_members=True)), rows=60)
    failed = {row["custom_id"] for row in map(json.loads, lines(first)) if row["status"]}
    assert 5 < len(failed) < 35
    second, _ = run(Scenario(rows=[rule]), uri=f"{first.output_directory}/predictions.jsonl")
    assert {row["custom_id"] for row in map(json.loads, lines(second)) if row["status"]} == failed


def test_a_row_that_never_finishes_is_incomplete_and_has_no_line(run, lines):
    job, view = run(Scenario(rows=[RowRule(contains="Prompt 3.", never=True)]), rows=5)
    assert view["completionStats"] == {"successfulCount": "4", "incompleteCount": "1"}
    assert job.rows == 5
    assert len(lines(job)) == 4


def test_dropped_repeated_and_cut_lines(run, lines):
    rules = [
        RowRule(contains="Prompt 1.", copies=0),
        RowRule(contains="Prompt 2.", copies=3),
        RowRule(contains="Prompt 4.", cut=True),
    ]
    scenario = Scenario(rows=rules, output=Output(order=Order.INPUT))
    job, view = run(scenario, rows=6)
    written = lines(job)
    assert view["completionStats"] == {"successfulCount": "6"}
    assert len(written) == 7
    whole = [line for line in written if line.endswith(b"}")]
    assert len(whole) == 6
    assert whole[1] == whole[2] == whole[3]
    assert len(set(whole)) == 4


@pytest.mark.parametrize("order", [Order.INPUT, Order.REVERSED])
def test_the_order_of_an_output_can_be_chosen(run, lines, order):
    found = ids(lines(run(Scenario(output=Output(order=order)), rows=20)[0]))
    assert (
        found
        == sorted(found, key=lambda each: int("".join(filter(str.isdigit, each))))[
            :: 1 if order is Order.INPUT else -1
        ]
    )


def test_a_resumed_job_runs_what_its_predecessor_left_incomplete(run, lines):
    rule = RowRule(contains="Prompt 7.", never=True)
    first, _ = run(Scenario(rows=[rule], finished=0.5, **DEATH), end="FAILED", rows=40)
    before = set(lines(first))
    second, view = run(uri=f"{first.output_directory}/predictions.jsonl")
    after = lines(second)
    assert len(before) == 19
    assert view["completionStats"] == {"successfulCount": "40"}
    assert before < set(after)
    assert len(set(ids(after))) == 40


def test_a_resumed_job_that_died_is_resumed_in_its_turn(run, lines):
    first, _ = run(Scenario(finished=0.5, **DEATH), end="FAILED", rows=40)
    folder = f"{first.output_directory}/*.jsonl"
    second, _ = run(Scenario(finished=0.75, **DEATH), end="FAILED", uri=folder)
    third, _ = run(uri=f"{second.output_directory}/predictions.jsonl")
    assert len(set(ids(lines(third)))) == len(lines(third)) == 40


def test_a_resume_that_finds_no_incomplete_rows_can_be_asked_for(run, admin):
    first, _ = run(Scenario(finished=0.5, **DEATH), end="FAILED", rows=40)
    admin.set_settings(resume_incomplete=False)
    _, view = run(uri=f"{first.output_directory}/predictions.jsonl")
    assert view["completionStats"] == {"successfulCount": "20"}


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ({"contains": "", "fails": 1}, "belong together"),
        ({"contains": "", "code": 503}, "belong together"),
        ({"contains": "", "fails": 1, "code": 418}, "not a code of a failed row"),
        ({"contains": "", "never": True, "cut": True}, "no output to describe"),
        ({"contains": "", "fail": 1}, "unknown field"),
        ({"contains": "", "copies": -1}, ">= 0"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(emulator, admin, rule, problem):
    answer = httpx.post(f"{emulator.url}/_admin/scenarios", json={"rows": [rule]}, trust_env=False)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]
