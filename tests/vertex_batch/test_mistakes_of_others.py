"""What operators of this kind are known to get wrong, each as a test of ours."""

from __future__ import annotations

import asyncio
import json

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from local.emulator.admin import Fault, FaultKind, Operation, Step
from vertex_batch.lifecycle.waiting import JobReading, Verdict
from vertex_batch.sensors import BatchPredictionJobSensor

RUNS = {"timeline": [Step(state="RUNNING", seconds=None)]}


def a_wait(reference, **arguments) -> BatchPredictionJobSensor:
    fields = {"poll_interval_seconds": 0.05, "resubmits": 0, **arguments}
    return BatchPredictionJobSensor(task_id="wait", job=reference.to_dict(), **fields)


def the_trigger(reference, context):
    with pytest.raises(TaskDeferred) as deferred:
        a_wait(reference).execute(context)
    return deferred.value.trigger


def ended(vertex, state: str, **scenario):
    reference = vertex.submit(end=state, **scenario)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state=state)
    return reference


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_job_that_expired_is_no_success(vertex, context, deferrable):
    with pytest.raises(AirflowFailException, match="expired"):
        a_wait(ended(vertex, "EXPIRED"), deferrable=deferrable).execute(context)


def test_a_job_that_succeeded_in_part_is_not_polled_for_ever(vertex, context):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=300)], end="PARTIALLY_SUCCEEDED")

    async def event():
        return await asyncio.wait_for(anext(the_trigger(reference, context).run()), 20)

    assert JobReading.from_dict(asyncio.run(event()).payload).verdict is Verdict.PARTIALLY_SUCCEEDED


@pytest.mark.parametrize("deferrable", [True, False])
@pytest.mark.parametrize("code", [1, 3, 7, 9, 13])
def test_a_batch_whose_job_failed_is_no_success(vertex, context, deferrable, code):
    with pytest.raises(AirflowFailException, match=rf"failed \(code {code}\)"):
        a_wait(ended(vertex, "FAILED", error_code=code), deferrable=deferrable).execute(context)


def test_a_trigger_that_a_triggerer_starts_again_creates_no_job(vertex, context):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=300)])
    trigger = the_trigger(reference, context)
    for _ in range(2):
        asyncio.run(anext(type(trigger)(**trigger.serialize()[1]).run()))
    assert len(vertex.admin.requests(Operation.CREATE)) == 1


def test_a_proxy_that_does_not_answer_holds_up_no_other_trigger(vertex, context):
    trigger = the_trigger(vertex.submit(**RUNS), context)
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.HOLD))

    async def others_go_on() -> bool:
        waiting = asyncio.create_task(anext(trigger.run()))
        await asyncio.to_thread(vertex.admin.wait_for_held, Operation.GET)
        # Only a loop that is free comes here while the poll is held: a blocked one has to wait for its end.
        still_held = len(await asyncio.to_thread(vertex.admin.wait_for_held, Operation.GET)) == 1
        waiting.cancel()
        return still_held

    assert asyncio.run(others_go_on())
    vertex.admin.release_held()


def test_no_key_is_in_what_the_database_keeps_of_a_waiting_task(vertex, context):
    _, kept = the_trigger(vertex.submit(**RUNS), context).serialize()
    assert vertex.direct.api_key not in json.dumps(kept)
    assert kept["litellm_conn_id"] == "litellm_default"
