"""Many waiters, few calls."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from local.emulator.admin import Fault, FaultKind, Match, Operation, Scenario, Step
from tests.builders import LOCATION, PROJECT, a_request
from vertex_batch.errors import NotFoundError, VertexBatchError
from vertex_batch.lifecycle import polling
from vertex_batch.lifecycle.polling import shared_poller
from vertex_batch.lifecycle.sweeping import PollGroup
from vertex_batch.vertex.client import AsyncBatchClient, BatchClient
from vertex_batch.vertex.labels import MANAGED_BY, MANAGED_BY_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob

GROUP = PollGroup("litellm_default", PROJECT, LOCATION, interval_seconds=0.05)


@pytest.fixture
def vertex(emulator):
    emulator.admin.reset()
    emulator.admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    return emulator


def submit(vertex, count: int, labels: dict[str, str] | None = None) -> list[BatchPredictionJob]:
    managed = {MANAGED_BY_LABEL: MANAGED_BY} if labels is None else labels
    request = a_request(display_name="waiting", labels=managed)
    with BatchClient(vertex.direct) as client:
        return [client.create(PROJECT, LOCATION, request) for _ in range(count)]


def poller(vertex):
    async def connect() -> AsyncBatchClient:
        return AsyncBatchClient(vertex.direct)

    return shared_poller(GROUP, connect)


async def until(vertex, job: BatchPredictionJob | str, wanted) -> BatchPredictionJob | VertexBatchError:
    """Watch one job until a reading is the wanted one."""
    job_id = job if isinstance(job, str) else job.job_id
    created = None if isinstance(job, str) else job.create_time
    watching = poller(vertex).watch(job_id, created_at=created)
    async with aclosing(watching) as readings:
        async for reading in readings:
            if wanted(reading):
                return reading
    raise AssertionError("the poller ended by itself")


def has_ended(reading) -> bool:
    return isinstance(reading, BatchPredictionJob) and reading.state.is_terminal


def test_thirty_jobs_are_read_with_one_list_call_a_round(vertex):
    vertex.admin.set_settings(speed=100)
    jobs = submit(vertex, 30)

    async def wait_for_all() -> None:
        waiting = [asyncio.create_task(until(vertex, job, has_ended)) for job in jobs]
        await asyncio.to_thread(vertex.admin.wait_for_calls, Operation.LIST, count=3)
        async with AsyncBatchClient(vertex.direct) as client:
            for job in jobs:
                await client.cancel(PROJECT, LOCATION, job.job_id)
        await asyncio.gather(*waiting)

    asyncio.run(wait_for_all())
    lists, gets = vertex.admin.requests(Operation.LIST), vertex.admin.requests(Operation.GET)
    assert len(lists) >= 3
    # A job that is not active any more is read once.
    assert len(gets) <= len(jobs)


def test_one_job_is_read_by_itself(vertex):
    (job,) = submit(vertex, 1)
    seen = asyncio.run(until(vertex, job, lambda reading: isinstance(reading, BatchPredictionJob)))
    assert seen.job_id == job.job_id
    assert vertex.admin.requests(Operation.LIST) == []


def test_a_job_without_our_label_is_found_beside_ones_that_carry_it(vertex):
    ours, foreign = submit(vertex, 3), submit(vertex, 1, labels={})

    async def wait_for_all() -> list:
        return await asyncio.gather(
            *(
                until(vertex, job, lambda reading: isinstance(reading, BatchPredictionJob))
                for job in [*ours, *foreign]
            )
        )

    assert {job.job_id for job in asyncio.run(wait_for_all())} == {job.job_id for job in [*ours, *foreign]}


def test_a_failing_proxy_is_told_to_everybody_and_survived(vertex):
    jobs = submit(vertex, 3)
    vertex.admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, status=503, times=16))

    async def wait_for_all() -> list:
        async def error_then_job(job):
            error = await until(vertex, job, lambda reading: isinstance(reading, VertexBatchError))
            return error, await until(vertex, job, lambda reading: isinstance(reading, BatchPredictionJob))

        return await asyncio.gather(*map(error_then_job, jobs))

    assert len(asyncio.run(wait_for_all())) == 3


def test_a_deleted_job_is_told_as_gone_and_hides_no_other(vertex):
    jobs = submit(vertex, 3)
    vertex.admin.delete_job(jobs[0].job_id)

    async def wait_for_all() -> list:
        return await asyncio.gather(
            until(vertex, jobs[0], lambda reading: isinstance(reading, NotFoundError)),
            *(
                until(vertex, job, lambda reading: isinstance(reading, BatchPredictionJob))
                for job in jobs[1:]
            ),
        )

    assert len(asyncio.run(wait_for_all())) == 3


def test_nothing_is_polled_and_nothing_kept_when_nobody_waits(vertex):
    (job,) = submit(vertex, 1)

    async def watch_and_leave() -> bool:
        await until(vertex, job, lambda _: True)
        pollers = [task for task in asyncio.all_tasks() if "vertex-batch-poller" in task.get_name()]
        _, still_running = await asyncio.wait(pollers, timeout=10) if pollers else ((), ())
        return bool(still_running)

    assert not asyncio.run(watch_and_leave())
    assert polling._pollers == {}


def test_who_comes_while_the_last_one_leaves_is_served(vertex):
    """As when a task is cleared: its next trigger starts in the very turn in which the first one ends."""
    (job,) = submit(vertex, 1)

    async def hand_over() -> BatchPredictionJob | VertexBatchError:
        shared = poller(vertex)
        first = shared.watch(job.job_id, created_at=job.create_time)
        await anext(first)
        second = shared.watch(job.job_id, created_at=job.create_time)
        await first.aclose()
        async with aclosing(second):
            return await asyncio.wait_for(anext(second), timeout=20)

    assert asyncio.run(hand_over()).job_id == job.job_id


def test_the_loop_is_not_blocked_while_a_slow_proxy_is_read(vertex):
    (job,) = submit(vertex, 1)
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.HOLD, match=Match()))

    async def count_while_held() -> int:
        waiting = asyncio.create_task(
            until(vertex, job, lambda reading: isinstance(reading, BatchPredictionJob))
        )
        held = asyncio.create_task(asyncio.to_thread(vertex.admin.wait_for_held, Operation.GET))
        turns = 0
        while not held.done():
            turns += 1
            await asyncio.sleep(0.001)
        await asyncio.to_thread(vertex.admin.release_held)
        await waiting
        return turns

    assert asyncio.run(count_while_held()) > 5
