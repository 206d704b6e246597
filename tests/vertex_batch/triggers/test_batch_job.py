"""The trigger, run in an event loop as the triggerer does."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time.comms import GetTaskStates, TaskStatesResult
from airflow.triggers.base import TriggerEvent

from local.emulator.admin import Fault, FaultKind, Operation, Step
from tests.builders import ROW, a_request
from vertex_batch.lifecycle.identity import TaskIdentity
from vertex_batch.lifecycle.waiting import JobReading, Verdict
from vertex_batch.log import LineBudget
from vertex_batch.triggers import BatchPredictionJobTrigger
from vertex_batch.vertex.resource import JobReference

PROJECT, LOCATION = "demo-project", "us-central1"
OWNER = {"dag_id": "nightly", "run_id": "r", "task_id": "wait", "map_index": -1}


pytestmark = pytest.mark.vertex(rows=ROW)


def a_trigger(reference: JobReference, **changes: Any) -> BatchPredictionJobTrigger:
    order = {
        "job": reference.to_dict(),
        "owner": OWNER,
        "litellm_conn_id": "litellm_default",
        "deadline_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "poll_interval_seconds": 0.05,
    }
    return BatchPredictionJobTrigger(**{**order, **changes})


def event_of(trigger: BatchPredictionJobTrigger) -> JobReading:
    async def first() -> JobReading:
        async for event in trigger.run():
            return JobReading.from_dict(event.payload)
        raise AssertionError("the trigger ended without an event")

    return asyncio.run(first())


def test_is_made_again_from_what_it_serialises(vertex):
    trigger = a_trigger(vertex.submit())
    classpath, arguments = trigger.serialize()
    assert BatchPredictionJobTrigger(**arguments).serialize() == (classpath, arguments)
    # In a rolling upgrade, a worker may be newer than the triggerer.
    newer = BatchPredictionJobTrigger(**arguments, of_a_later_version=1)
    assert newer.serialize() == (classpath, arguments)


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED"])
def test_ends_on_every_terminal_state(vertex, state):
    timeline = [Step(state="PENDING", seconds=100), Step(state="RUNNING", seconds=100)]
    seen = event_of(a_trigger(vertex.submit(timeline=timeline, end=state)))
    assert seen.state == f"{state}"


@pytest.mark.parametrize("state", ["QUEUED", "PAUSED", "UPDATING", "FROM_THE_FUTURE"])
def test_waits_through_every_other_state(vertex, state):
    seen = event_of(a_trigger(vertex.submit(timeline=[Step(state=state, seconds=300)])))
    assert seen.verdict is Verdict.SUCCEEDED


def test_bears_a_proxy_that_is_away_for_a_while(vertex):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=100)])
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.RESET_BEFORE, times=6))
    assert event_of(a_trigger(reference)).verdict is Verdict.SUCCEEDED


def test_says_so_when_it_could_not_read_for_too_long(vertex):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=None))
    seen = event_of(a_trigger(reference, tolerated_failures=1))
    assert seen.verdict is Verdict.POLLING_FAILED


def test_keeps_its_deadline_by_the_wall_clock(vertex):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert event_of(a_trigger(reference, deadline_at=past)).verdict is Verdict.DEADLINE


def test_keeps_its_deadline_even_while_no_poll_answers(vertex):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.HOLD, times=None))
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert event_of(a_trigger(reference, deadline_at=past)).verdict is Verdict.DEADLINE


class Airflow:
    """The triggerer's supervisor, which gives these answers in turn: a task's state, or no answer."""

    def __init__(self, *answers: str | None) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def asend(self, question: object) -> TaskStatesResult | None:
        if not isinstance(question, GetTaskStates):
            return None  # such as that a key is to be masked
        self.asked += 1
        state = self._answers.pop(0)
        if state is None:
            raise TimeoutError
        return TaskStatesResult(task_states={"r": {"wait": state}})


@pytest.mark.parametrize(
    ("answers", "asked", "cancelled"),
    [
        (["failed"], 1, True),
        (["deferred"], 1, False),
        ([None, None, "failed"], 3, True),
        ([None, "running"], 2, False),
        ([None, None, None, None], 4, False),
    ],
)
def test_a_killed_trigger_cancels_only_what_airflow_says_that_no_task_waits_for(
    vertex, monkeypatch, answers, asked, cancelled
):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    airflow = Airflow(*answers)
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", airflow, raising=False)
    monkeypatch.setattr("vertex_batch.triggers.batch_job._ASK_AGAIN_AFTER_SECONDS", (0.0, 0.0, 0.0))
    asyncio.run(a_trigger(reference).on_kill())
    assert airflow.asked == asked
    assert bool(vertex.admin.requests(Operation.CANCEL)) is cancelled


def test_a_killed_trigger_leaves_a_job_of_another_run_alone(vertex, monkeypatch):
    labels = TaskIdentity("here", "others_dag", "r", "submit").labels(3, "f")
    job_id = vertex.create(a_request(display_name="of another run", labels=labels))
    airflow = Airflow("failed")
    monkeypatch.setattr("airflow.sdk.execution_time.task_runner.SUPERVISOR_COMMS", airflow, raising=False)
    asyncio.run(a_trigger(JobReference(PROJECT, LOCATION, job_id)).on_kill())
    assert airflow.asked == 1
    assert not vertex.admin.requests(Operation.CANCEL)


def test_lines_that_were_not_written_are_written_after_a_later_poll(vertex, monkeypatch):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    trigger = a_trigger(reference)
    told: list[str] = []
    monkeypatch.setattr(type(trigger), "log", SimpleNamespace(info=lambda text, *_: told.append(text)))
    has_time = iter([False, False, True])

    def allows(_now: float) -> bool:
        if answer := next(has_time, False):
            vertex.admin.release_job(reference.job_id)
        return answer

    monkeypatch.setattr("vertex_batch.triggers.batch_job._LINES", SimpleNamespace(allows=allows))
    monkeypatch.setattr("vertex_batch.lifecycle.sweeping.CALLS_PER_SECOND", 100.0)
    event_of(trigger)
    assert told == ["Job %s is %s"]


def test_polls_that_fail_together_write_as_many_lines_as_the_triggerer_has_time_for(vertex, monkeypatch):
    reference = vertex.submit(timeline=[Step(state="RUNNING", seconds=None)])
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=None))
    triggers = [a_trigger(reference, tolerated_failures=2) for _ in range(6)]
    lines: list[str] = []
    log = SimpleNamespace(warning=lambda text, *_: lines.append(text), info=lines.append)
    monkeypatch.setattr(BatchPredictionJobTrigger, "log", log)
    monkeypatch.setattr("vertex_batch.triggers.batch_job._LINES", LineBudget(at_once=4, per_second=0))

    async def all_events() -> list[JobReading]:
        return [
            JobReading.from_dict(event.payload)
            for events in await asyncio.gather(*(_events(each) for each in triggers))
            for event in events
        ]

    seen = asyncio.run(all_events())
    assert [each.verdict for each in seen] == [Verdict.POLLING_FAILED] * len(triggers)
    assert lines == ["Could not read job %s (%d in a row): %s"] * 4


async def _events(trigger: BatchPredictionJobTrigger) -> list[TriggerEvent]:
    return [event async for event in trigger.run()]


def test_submits_nothing(vertex):
    event_of(a_trigger(vertex.submit()))
    assert len(vertex.admin.requests(Operation.CREATE)) == 1
