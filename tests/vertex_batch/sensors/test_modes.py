"""Deferred, in the worker, or rescheduled: the same job ends the task in the same way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    TaskDeferred,
)

from local.emulator.admin import Cancel, Fault, FaultKind, Operation, Step
from vertex_batch.lifecycle.waiting import TaskEnd
from vertex_batch.sensors import BatchPredictionJobSensor

FOR_EVER = {"timeline": [Step(state="RUNNING", seconds=None)]}
MODES = ["deferred", "poke", "reschedule"]


def end_of(mode: str, reference, context: dict[str, Any], **arguments: Any) -> TaskEnd:
    """Bring a task to its end as Airflow does: each deferral and each reschedule is another process."""
    fields = {"task_id": "wait", "job": reference.to_dict(), "poll_interval_seconds": 0.05, **arguments}
    fields |= {"deferrable": mode == "deferred", "mode": "reschedule" if mode == "reschedule" else "poke"}
    event = None
    while True:
        sensor = BatchPredictionJobSensor(**fields)
        try:
            if event is None:
                sensor.execute(context)
            else:
                sensor.execute_complete(context, event)
        except TaskDeferred as deferred:
            event = asyncio.run(anext(deferred.trigger.run())).payload
        except AirflowRescheduleException:
            continue
        except AirflowFailException:
            return TaskEnd.FAILED
        except AirflowException:
            return TaskEnd.RETRIED
        else:
            return TaskEnd.SUCCESS


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("state", "code", "end"),
    [
        ("SUCCEEDED", 0, TaskEnd.SUCCESS),
        ("PARTIALLY_SUCCEEDED", 0, TaskEnd.SUCCESS),
        ("FAILED", 3, TaskEnd.FAILED),
        ("FAILED", 7, TaskEnd.FAILED),
        ("FAILED", 9, TaskEnd.FAILED),
        ("FAILED", 13, TaskEnd.FAILED),
        ("FAILED", 1, TaskEnd.FAILED),
        ("CANCELLED", 0, TaskEnd.FAILED),
        ("EXPIRED", 0, TaskEnd.FAILED),
    ],
)
def test_every_terminal_state(vertex, context, mode, state, code, end):
    timeline = [Step(state="QUEUED", seconds=50), Step(state="PAUSED", seconds=50)]
    reference = vertex.submit(timeline=timeline, end=state, error_code=code)
    assert end_of(mode, reference, context) is end


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("state", ["PAUSED", "UPDATING", "FROM_THE_FUTURE"])
def test_a_state_that_is_no_end_is_waited_through(vertex, context, mode, state):
    reference = vertex.submit(timeline=[Step(state=state, seconds=200)])
    assert end_of(mode, reference, context) is TaskEnd.SUCCESS


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_is_being_cancelled_is_waited_for_and_may_yet_succeed(vertex, context, mode):
    reference = vertex.submit(**FOR_EVER, cancel=Cancel(seconds=200, end="SUCCEEDED"))
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="RUNNING")
    vertex.cancel(reference)
    assert end_of(mode, reference, context) is TaskEnd.SUCCESS


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_somebody_deletes_meanwhile(vertex, context, mode):
    reference = vertex.submit(**FOR_EVER)
    vertex.admin.delete_job(reference.job_id)
    assert end_of(mode, reference, context) is TaskEnd.FAILED


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cancels", [True, False])
def test_a_missed_deadline(vertex, context, mode, cancels):
    reference = vertex.submit(**FOR_EVER)
    end = end_of(mode, reference, context, deadline_seconds=0.2, cancel_on_deadline=cancels)
    assert end is TaskEnd.FAILED
    assert bool(vertex.admin.job(reference.job_id).cancel_calls) is cancels


@pytest.mark.parametrize("mode", MODES)
def test_too_many_failed_rows(vertex, context, mode):
    reference = vertex.submit(stats={"successfulCount": 3, "failedCount": 1})
    assert end_of(mode, reference, context, max_failed_ratio=0.2) is TaskEnd.FAILED


@pytest.mark.parametrize("mode", MODES)
def test_as_many_failed_polls_in_a_row_as_are_borne(vertex, context, mode):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=300)])
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=3))
    assert end_of(mode, reference, context, tolerated_failures=20) is TaskEnd.SUCCESS


@pytest.mark.parametrize("mode", MODES)
def test_more_failed_polls_in_a_row_than_are_borne(vertex, context, mode):
    reference = vertex.submit(**FOR_EVER)
    vertex.admin.wait_for_jobs(job_id=reference.job_id, state="RUNNING")
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=None))
    assert end_of(mode, reference, context, tolerated_failures=2) is TaskEnd.RETRIED
    assert vertex.admin.job(reference.job_id).cancel_calls == []
    # The next try bears as many again.
    vertex.admin.clear_faults()
    context["ti"].try_number = 2
    vertex.admin.release_job(reference.job_id)
    assert end_of(mode, reference, context, tolerated_failures=0) is TaskEnd.SUCCESS


@pytest.mark.parametrize("mode", MODES)
def test_a_job_that_failed_for_a_passing_reason_is_submitted_again(vertex, context, mode):
    reference = replace(vertex.submit(end="FAILED", error_code=14), job_key="k")
    assert end_of(mode, reference, context, resubmits=1) is TaskEnd.SUCCESS
    assert len(vertex.admin.jobs()) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("state", "code"), [("EXPIRED", 0), ("FAILED", 14)])
def test_a_job_that_died_ends_well_if_its_rest_is_sent_again(vertex, context, mode, state, code):
    reference = vertex.submit(end=state, error_code=code, finished=0.5)
    assert end_of(mode, reference, context, rest_is_sent_again=True, resubmits=0) is TaskEnd.SUCCESS
    assert len(vertex.admin.jobs()) == 1
