"""A night on which no row was answered is red: its bill is recorded, and nothing is announced."""

from __future__ import annotations

from local.emulator.admin import Scenario, Trait

SPEC = "system_no_answers"
UNANSWERED = {Trait.FAILED: 1.0}


def end_of(stack, run_id: str) -> str:
    return stack.airflow.wait_for_run(SPEC, run_id, timeout_seconds=180)["state"]


def test_a_job_without_an_answer_fails_the_run_after_its_bill(stack, nights):
    stack.emulator.add_scenario(Scenario(mix=UNANSWERED))
    nights.start(SPEC, "one_job", rows=4)
    assert end_of(stack, "one_job") == "failed"
    (bill,) = nights.bills(SPEC, "one_job")
    assert (bill.rows.ok, bill.rows.failed, bill.total.amount) == (0, 4, 0)
    tasks = nights.tasks(SPEC, "one_job")
    assert (tasks["wait"], tasks["record_cost"]) == ("failed", "failed")
    assert tasks["results"] == "upstream_failed"
    assert len(nights.jobs(SPEC, "one_job")) == 1  # no task submits again by itself
    log = stack.airflow.logs(SPEC, "one_job", "record_cost")
    reason = next(iter(bill.failed_reasons))
    assert f"No row of this run was answered. Job {bill.job} (SUCCEEDED): 4 failed. Reasons: " in log
    assert reason in log


def test_shards_without_an_answer_fail_the_run_together(stack, nights):
    stack.emulator.add_scenario(Scenario(mix=UNANSWERED))
    nights.start(SPEC, "all_shards", rows=10)
    assert end_of(stack, "all_shards") == "failed"
    bills = nights.bills(SPEC, "all_shards")
    assert [(bill.rows.ok, bill.rows.failed) for bill in bills] == [(0, 5), (0, 5)]
    tasks = nights.tasks(SPEC, "all_shards")
    assert (tasks["wait"], tasks["record_cost"]) == ("success", "failed")
    assert tasks["results"] == "upstream_failed"


def test_one_shard_without_an_answer_is_reported_and_leaves_the_run_its_answers(stack, nights):
    stack.emulator.add_scenario(Scenario(mix=UNANSWERED, times=1))
    stack.emulator.add_scenario(Scenario(mix={}))
    nights.start(SPEC, "one_shard", rows=10)
    assert end_of(stack, "one_shard") == "success"
    told = stack.airflow.xcom(SPEC, "one_shard", "record_cost")
    assert sorted(job["ok_rows"] for job in told["jobs"]) == [0, 5]
    (problem,) = told["problems"]
    assert problem.startswith("no row of shard ")
    assert nights.tasks(SPEC, "one_shard")["results"] == "success"
