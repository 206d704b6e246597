"""What one reading of all jobs costs, and whom a failure in it concerns."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

import pytest
from tenacity import wait_none

from local.emulator.admin import Fault, FaultKind, Listing, Match, Operation
from tests.builders import LOCATION, PROJECT, a_request
from vertex_batch.errors import (
    NotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    UnexpectedAnswerError,
)
from vertex_batch.lifecycle import sweeping
from vertex_batch.lifecycle.sweeping import (
    HALVE_DOWN_TO,
    READS_AT_ONCE,
    WINDOW_JOBS,
    WINDOWS_AT_ONCE,
    PollGroup,
    Reading,
    Sweep,
    WatchedJob,
    windows,
)
from vertex_batch.vertex.client import AsyncBatchClient
from vertex_batch.vertex.labels import DEPLOYMENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL
from vertex_batch.vertex.resource import BatchPredictionJob

HERE = "the-label-of-this-airflow"
GROUP = PollGroup("litellm_default", PROJECT, LOCATION, HERE)
LABELS = {MANAGED_BY_LABEL: MANAGED_BY, DEPLOYMENT_LABEL: HERE}
NOW = datetime.now(UTC)


@pytest.fixture
def vertex(emulator, monkeypatch):
    emulator.admin.reset()
    monkeypatch.setattr(sweeping, "CALLS_PER_SECOND", 1000.0)
    monkeypatch.setattr("vertex_batch.vertex.client.clients._BACKOFF", wait_none())
    return emulator


def put(
    vertex,
    *states: str,
    labels: Mapping[str, str] = LABELS,
    age: timedelta = timedelta(hours=1),
    listing: Listing = Listing.NORMAL,
) -> list[WatchedJob]:
    """Store jobs that were created one second after another, and watch them."""
    times = [NOW - age + timedelta(seconds=number) for number in range(len(states))]
    body = a_request(labels=dict(labels)).to_wire()
    ids = vertex.admin.put_jobs(body, list(zip(times, states, strict=True)), listing)
    return [WatchedJob(job_id, created) for job_id, created in zip(ids, times, strict=True)]


def read_all(vertex, jobs: Iterable[WatchedJob]) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}

    def deliver(job_id: str, reading: Reading) -> None:
        assert job_id not in readings
        readings[job_id] = reading

    async def sweep() -> None:
        async with AsyncBatchClient(vertex.direct) as client:
            await Sweep(GROUP, jobs, deliver).run(client)

    asyncio.run(sweep())
    assert readings.keys() == {job.job_id for job in jobs}
    return readings


def calls(vertex) -> Counter[str]:
    return Counter(call.op for call in vertex.admin.requests() if call.op in {"list", "get"})


def states(readings: Mapping[str, Reading], jobs: Iterable[WatchedJob]) -> set[object]:
    found = (readings[job.job_id] for job in jobs)
    return {each.raw_state if isinstance(each, BatchPredictionJob) else type(each) for each in found}


class TestWhatItCosts:
    def test_ended_jobs_of_the_same_days_cost_nothing_even_beside_one_that_waits_for_days(self, vertex):
        straggler = put(vertex, "PENDING", age=timedelta(days=3))
        put(vertex, *["SUCCEEDED"] * 900, age=timedelta(days=2))
        waiting = put(vertex, *["RUNNING"] * 150)
        read_all(vertex, straggler + waiting)
        assert calls(vertex) == {"list": 2}

    def test_a_job_that_has_ended_is_read_once(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 100)
        for job in jobs[:5]:
            vertex.admin.set_state(job.job_id, "FAILED")
        readings = read_all(vertex, jobs)
        assert states(readings, jobs[:5]) == {"FAILED"}
        assert states(readings, jobs[5:]) == {"RUNNING"}
        assert calls(vertex) == {"list": 1, "get": 5}

    def test_many_that_end_at_once_are_listed(self, vertex):
        jobs = put(vertex, *["SUCCEEDED"] * 250)
        assert states(read_all(vertex, jobs), jobs) == {"SUCCEEDED"}
        assert calls(vertex) == {"list": 4}

    def test_a_few_among_many_others_are_read_one_by_one_before_the_list_costs_more(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 900)
        few = [jobs[0], jobs[1], jobs[2]]
        read_all(vertex, few)
        assert calls(vertex).total() <= 2 * len(few)

    def test_jobs_of_another_airflow_are_not_listed(self, vertex):
        put(vertex, *["RUNNING"] * 300, labels={**LABELS, DEPLOYMENT_LABEL: "another"})
        jobs = put(vertex, *["RUNNING"] * 90)
        read_all(vertex, jobs)
        assert calls(vertex) == {"list": 1}

    def test_the_project_s_history_is_not_read_for_a_job_whose_time_is_not_known(self, vertex):
        put(vertex, *["SUCCEEDED"] * 300)
        jobs = put(vertex, *["RUNNING"] * 30)
        for job in jobs[:10]:
            job.created_at = None
        read_all(vertex, jobs)
        assert calls(vertex) == {"list": 1, "get": 10}

    def test_a_job_that_the_list_cannot_show_is_not_looked_for_in_it_twice(self, vertex):
        adopted = put(vertex, *["RUNNING"] * 5, labels={"team": "search"})
        readings = read_all(vertex, adopted)
        for job in adopted:
            job.deliver(readings[job.job_id], GROUP.labels)
        read_all(vertex, adopted)
        assert calls(vertex) == {"list": 1, "get": 10}


class TestWindows:
    def test_are_neighbors_in_time_and_the_rest_is_read_singly(self):
        jobs = [WatchedJob(str(n), NOW + timedelta(seconds=n)) for n in range(WINDOW_JOBS + 1)]
        unknown = [WatchedJob(f"u{n}", None) for n in range(READS_AT_ONCE + 1)]
        adopted = WatchedJob("adopted", NOW, is_listed=False)
        cut = windows([adopted, *unknown, *reversed(jobs)])
        assert [len(window) for window in cut] == [WINDOW_JOBS, 1, READS_AT_ONCE, 2]
        assert [*cut[0], *cut[1]] == jobs


class TestWhomAFailureConcerns:
    def test_a_page_that_stays_bad_hides_no_job(self, vertex):
        before = put(vertex, *["RUNNING"] * 110, age=timedelta(hours=3))
        bad = put(vertex, "RUNNING", age=timedelta(hours=2), listing=Listing.FAILS)
        jobs = [*before, *bad, *put(vertex, *["RUNNING"] * 110)]
        assert states(read_all(vertex, jobs), jobs) == {"RUNNING"}
        assert calls(vertex)["get"] < 2 * HALVE_DOWN_TO

    def test_a_job_that_cannot_be_read_concerns_only_those_that_wait_for_it(self, vertex):
        jobs, bad = put(vertex, *["RUNNING"] * 5), put(vertex, "RUNNING", listing=Listing.UNREADABLE)
        readings = read_all(vertex, [*jobs, *bad])
        assert states(readings, jobs) == {"RUNNING"}
        assert states(readings, bad) == {UnexpectedAnswerError}

    def test_one_that_no_task_waits_for_concerns_no_task(self, vertex):
        put(vertex, "RUNNING", listing=Listing.UNREADABLE)
        jobs = put(vertex, *["RUNNING"] * 5)
        assert states(read_all(vertex, jobs), jobs) == {"RUNNING"}
        assert calls(vertex) == {"list": 1}

    def test_a_403_of_the_list_ends_no_task(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 50)
        vertex.admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=403))
        assert states(read_all(vertex, jobs), jobs) == {"RUNNING"}

    def test_a_403_of_one_job_concerns_only_its_task(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 50)
        vertex.admin.set_state(jobs[0].job_id, "SUCCEEDED")
        vertex.admin.set_state(jobs[1].job_id, "SUCCEEDED")
        vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=403))
        readings = read_all(vertex, jobs)
        assert states(readings, jobs[:2]) == {PermissionDeniedError, "SUCCEEDED"}
        assert states(readings, jobs[2:]) == {"RUNNING"}

    def test_a_proxy_that_refuses_everything_is_reported_to_all(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 50)
        vertex.admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, status=403, times=None))
        assert states(read_all(vertex, jobs), jobs) == {PermissionDeniedError}

    def test_no_job_is_given_up_while_one_of_two_errors_may_pass(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 50)
        vertex.admin.add_fault(Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=403, times=None))
        vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.STATUS, status=503, times=None))
        assert states(read_all(vertex, jobs), jobs) == {ServiceUnavailableError}

    def test_an_outage_is_found_out_once_and_reported_to_all(self, vertex):
        jobs = put(vertex, *["RUNNING"] * (3 * WINDOW_JOBS + 50))
        jobs[7].created_at = None
        vertex.admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, status=503, times=None))
        assert states(read_all(vertex, jobs), jobs) == {ServiceUnavailableError}
        tries = 4 * WINDOWS_AT_ONCE
        assert calls(vertex) == {"list": tries, "get": tries}

    def test_an_outage_is_found_out_by_single_reads_too(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 60)
        for job in jobs:
            job.created_at = None
        vertex.admin.add_fault(Fault(op=Operation.ANY, kind=FaultKind.STATUS, status=503, times=None))
        assert states(read_all(vertex, jobs), jobs) == {ServiceUnavailableError}
        assert calls(vertex)["get"] <= 4 * 2 * READS_AT_ONCE

    def test_a_deleted_job_is_gone_and_hides_no_other(self, vertex):
        jobs = put(vertex, *["RUNNING"] * 10)
        vertex.admin.delete_job(jobs[3].job_id)
        readings = read_all(vertex, jobs)
        assert isinstance(readings[jobs[3].job_id], NotFoundError)
        assert states(readings, [*jobs[:3], *jobs[4:]]) == {"RUNNING"}


def test_readings_are_delivered_before_the_slowest_has_arrived_and_single_reads_are_parallel(vertex):
    jobs = put(vertex, *["RUNNING"] * 40)
    for job in jobs[:READS_AT_ONCE]:
        vertex.admin.set_state(job.job_id, "SUCCEEDED")
    vertex.admin.add_fault(Fault(op=Operation.GET, kind=FaultKind.HOLD, match=Match(), times=None))
    delivered: list[str] = []

    async def sweep() -> list[str]:
        async with AsyncBatchClient(vertex.direct) as client:
            running = asyncio.create_task(
                Sweep(GROUP, jobs, lambda job_id, _: delivered.append(job_id)).run(client)
            )
            await asyncio.to_thread(vertex.admin.wait_for_held, Operation.GET, count=READS_AT_ONCE)
            early = list(delivered)
            await asyncio.to_thread(vertex.admin.release_held)
            await running
        return early

    assert len(asyncio.run(sweep())) == len(jobs) - READS_AT_ONCE
    assert len(delivered) == len(jobs)
