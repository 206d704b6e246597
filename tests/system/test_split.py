"""An input that is too large for one job: one job for each shard, and one bill. A sample of it: one job."""

from __future__ import annotations

import json
from decimal import Decimal

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from tools.chaos import kill, talking_to_proxy

SPEC = "system_split"
FINE = Scenario(mix={})


def inputs_of(stack, jobs) -> list[str]:
    """The rows that the jobs have read, from the store."""
    uris = [uri for job in jobs for uri in job.request["inputConfig"]["gcsSource"]["uris"]]
    lines = [line for uri in uris for line in stack.gcs.get(uri).splitlines()]
    return [json.loads(line)["request"]["contents"][0]["parts"][0]["text"] for line in lines]


def test_a_split_run_that_is_killed_comes_to_one_job_a_shard_and_one_bill(stack, nights):
    stack.emulator.add_scenario(FINE)
    stack.emulator.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.HOLD, after=True))
    date = nights.start(SPEC, "split_killed", rows=12)
    (held,) = stack.emulator.wait_for_held(Operation.CREATE, timeout_seconds=120)
    kill(talking_to_proxy(stack))
    stack.emulator.release_held()

    assert stack.airflow.wait_for_run(SPEC, "split_killed", timeout_seconds=180)["state"] == "success"

    jobs = sorted(nights.jobs(SPEC, "split_killed"), key=lambda job: job.labels["airflow_shard"])
    assert [job.labels["airflow_shard"] for job in jobs] == ["1-of-3", "2-of-3", "3-of-3"]
    assert held.job in {job.id for job in jobs}
    assert inputs_of(stack, jobs) == [f"{SPEC} {date} row {number}" for number in range(12)]
    bills = nights.bills(SPEC, "split_killed")
    assert {bill.job.job_id for bill in bills} == {job.id for job in jobs}
    assert sorted((bill.job.map_index, bill.rows.ok) for bill in bills) == [(0, 5), (1, 5), (2, 2)]
    by_hand = sum(nights.sum_by_hand(job) for job in jobs)
    told = stack.airflow.xcom(SPEC, "split_killed", "record_cost")
    assert Decimal(told["amount_usd"]) == sum(bill.total.amount for bill in bills) == by_hand > 0
    assert (told["shards"], told["rows"], told["problems"]) == (3, 12, [])


def test_a_shard_that_fails_leaves_the_others_alone_and_is_run_again_by_itself(stack, nights):
    failing = [Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=20)]
    stack.emulator.add_scenario(
        Scenario(timeline=failing, end="FAILED", error_code=9, finished=0, mix={}, times=1)
    )
    stack.emulator.add_scenario(FINE)
    nights.start(SPEC, "split_failed", rows=10)
    assert stack.airflow.wait_for_run(SPEC, "split_failed", timeout_seconds=180)["state"] == "failed"

    jobs = nights.jobs(SPEC, "split_failed")
    assert sorted(job.state for job in jobs) == ["FAILED", "SUCCEEDED"]
    assert [job.cancel_calls for job in jobs] == [[], []]
    (failed,) = [job for job in jobs if job.state == "FAILED"]
    index = int(failed.labels["airflow_map_index"])
    stack.emulator.clear_scenarios()
    stack.emulator.add_scenario(FINE)
    names = [["submit", index], ["wait", index], "record_cost"]
    stack.airflow.clear_tasks(SPEC, "split_failed", names, include_downstream=True)

    assert stack.airflow.wait_for_run(SPEC, "split_failed", timeout_seconds=180)["state"] == "success"
    jobs = nights.jobs(SPEC, "split_failed")
    assert sorted(job.state for job in jobs) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    bills = nights.bills(SPEC, "split_failed")
    assert {bill.job.job_id for bill in bills} == {job.id for job in jobs}
    assert sum(bill.rows.ok for bill in bills) == 10
    told = stack.airflow.xcom(SPEC, "split_failed", "record_cost")
    assert told["problems"] == []
    assert Decimal(told["amount_usd"]) == sum(
        nights.sum_by_hand(job) for job in jobs if job.state == "SUCCEEDED"
    )


def test_a_sample_is_one_small_job_and_says_what_the_whole_would_cost(stack, nights):
    stack.emulator.add_scenario(FINE)
    nights.start(SPEC, "sampled", rows=40, conf={"sample": 8, "sample_seed": 3})
    assert stack.airflow.wait_for_run(SPEC, "sampled", timeout_seconds=180)["state"] == "success"

    (job,) = nights.jobs(SPEC, "sampled")
    (bill,) = nights.bills(SPEC, "sampled")
    assert job.labels["airflow_sample"] == "8-of-40"
    assert job.request["displayName"].startswith("SAMPLE of 8 rows: ")
    assert len(set(inputs_of(stack, [job]))) == 8
    assert bill.rows.ok == 8
    assert bill.job.note == "Only a sample of 8 of 40 rows, seed 3."
    told = stack.airflow.xcom(SPEC, "sampled", "record_cost")
    assert bill.total.amount == nights.sum_by_hand(job) > 0
    projected = Decimal(told["projection"]["amount_usd"])
    assert abs(projected - 5 * bill.total.amount) < Decimal("0.00001")  # each kind is rounded to 0.000001
    assert "All 40 rows would cost" in stack.airflow.logs(SPEC, "sampled", "record_cost")
