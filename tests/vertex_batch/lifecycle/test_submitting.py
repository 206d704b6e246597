"""One task, one job: the submitter against the emulated Vertex, whose ledger says what really happened."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from local.emulator.admin import Cancel, Fault, FaultKind, Match, Operation, Scenario, Step
from tests.builders import LOCATION, PROJECT, ROW, a_request
from vertex_batch.errors import (
    AmbiguousSubmitError,
    InvalidArgumentError,
    NotFoundError,
    ResourceExhaustedError,
    VertexBatchError,
)
from vertex_batch.lifecycle.finding import LookPolicy, look_for_lost_job
from vertex_batch.lifecycle.identity import Intent, TaskIdentity
from vertex_batch.lifecycle.submit_rules import Action
from vertex_batch.lifecycle.submitting import Submitter
from vertex_batch.vertex.client import BatchClient
from vertex_batch.vertex.names import Place
from vertex_batch.vertex.resource import CreateJobRequest

TASK = TaskIdentity("https://airflow.example", "nightly", "scheduled__2026-11-22", "submit")


HERE, ELSEWHERE = Place(PROJECT, LOCATION), Place(PROJECT, "europe-west4")


class Memory:
    """A state store that outlives the submitters of a test."""

    def __init__(self) -> None:
        self.kept: dict | None = None

    def load(self) -> Intent | None:
        return Intent.from_dict(self.kept)

    def save(self, intent: Intent) -> None:
        self.kept = intent.to_dict()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
        self.on_sleep = lambda: None

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.on_sleep()


@pytest.fixture
def vertex(emulator):
    emulator.admin.reset()
    emulator.gcs.put("gs://demo-bucket/in.jsonl", ROW)
    emulator.admin.set_settings(speed=1000)
    emulator.admin.add_scenario(Scenario(timeline=[Step(state="PENDING", seconds=None)]))
    return emulator.admin


@pytest.fixture
def client(emulator):
    with BatchClient(emulator.direct) as client:
        yield client


class Run:
    """Tries of one task, each in a process that knows only the store."""

    def __init__(self, client: BatchClient) -> None:
        self.client, self.store, self.clock = client, Memory(), Clock()

    def submit(
        self,
        epoch: int = 3,
        request: CreateJobRequest | None = None,
        check=lambda: None,
        place=HERE,
        task=TASK,
    ):
        submitter = Submitter(
            self.client,
            self.store,
            LookPolicy(window_seconds=30, interval_seconds=5),
            before_intent=check,
            sleep=self.clock.sleep,
            now=self.clock.now,
        )
        return submitter.submit(task, epoch, place, request or a_request())


@pytest.fixture
def run(client) -> Run:
    return Run(client)


def test_submits_one_job_that_carries_what_finds_it_again(vertex, run):
    submission = run.submit()
    (job,) = vertex.jobs()
    assert submission.action is Action.SUBMIT
    assert submission.job_id == job.id
    assert job.labels.items() >= TASK.labels(3, a_request().fingerprint()).items()


def test_a_retry_goes_on_with_the_job_and_asks_nothing(vertex, run):
    first = run.submit()
    calls = len(vertex.requests())
    assert run.submit().job_id == first.job_id
    assert len(vertex.requests()) == calls


def test_a_process_that_died_before_the_post_leaves_room_for_one_job(vertex, run):
    run.store.save(Intent(3, TASK.idempotency_key(3), "f", PROJECT, LOCATION, run.clock.now().isoformat()))
    run.submit()
    assert len(vertex.jobs()) == 1


def test_a_process_that_died_between_post_and_store_is_followed_by_an_adoption(vertex, run):
    first = run.submit()
    run.store.kept["job_id"] = None  # what the store holds when the process is killed right after its POST
    again = run.submit()
    assert (again.action, again.job_id) == (Action.ADOPT, first.job_id)
    assert len(vertex.jobs()) == 1


def test_an_adopted_job_with_another_request_is_reported(vertex, run, caplog):
    first = run.submit()
    run.store = Memory()
    again = run.submit(request=a_request(model="publishers/google/models/gemini-2.5-pro"))
    assert (again.action, again.job_id) == (Action.ADOPT, first.job_id)
    assert "submitted with another request" in caplog.text
    caplog.clear()
    run.store = Memory()
    run.submit()
    assert "another request" not in caplog.text


@pytest.mark.parametrize("died", [False, True])
def test_a_try_whose_check_took_long_looks_again_before_it_submits(vertex, run, died):
    checks = []

    def check() -> None:
        checks.append(run.clock.now())
        if len(checks) == 1:  # minutes pass; Airflow takes this try for dead, and another one submits
            run.submit(check=check)
            if died:
                run.store.kept["job_id"] = None
            run.clock.time += timedelta(minutes=3)

    submission = run.submit(check=check)
    (job,) = vertex.jobs()
    assert submission.job_id == job.id
    assert submission.action is (Action.ADOPT if died else Action.REATTACH)
    assert len(checks) == 2


def test_a_quick_check_costs_no_second_look(vertex, run):
    run.submit(check=lambda: None)
    assert len(vertex.requests(Operation.LIST)) == 1


def test_a_lost_store_is_followed_by_an_adoption(vertex, run):
    first = run.submit()
    run.store.kept = None
    assert run.submit().job_id == first.job_id
    assert len(vertex.jobs()) == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER),
        Fault(op=Operation.CREATE, kind=FaultKind.TRUNCATED),
        Fault(op=Operation.CREATE, kind=FaultKind.RESET_BEFORE),
        Fault(op=Operation.CREATE, kind=FaultKind.EMPTY),
        Fault(op=Operation.CREATE, kind=FaultKind.MALFORMED),
        Fault(op=Operation.CREATE, kind=FaultKind.HTML, status=502),
        Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=500),
        Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=503),
        Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, headers={"Retry-After": "2"}),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_lost_answer_leads_to_one_job_whether_it_was_stored_or_not(vertex, run, fault):
    vertex.add_fault(fault)
    submission = run.submit()
    assert [job.id for job in vertex.jobs()] == [submission.job_id]


def test_a_lost_answer_is_waited_for_while_the_list_lags(vertex, run):
    vertex.set_settings(list_lag_seconds=3600)
    run.clock.on_sleep = lambda: (
        vertex.set_settings(list_lag_seconds=0) if run.clock.time.second >= 15 else None
    )
    vertex.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_AFTER))
    submission = run.submit()
    assert submission.action is Action.ADOPT
    assert len(vertex.jobs()) == 1


def test_a_task_that_is_cleared_right_after_its_post_waits_for_the_list_too(vertex, run, client):
    job_id = run.submit().job_id
    run.store.save(replace(run.store.load(), job_id=None))  # as if it had been killed before it stored the id
    vertex.set_settings(list_lag_seconds=3600)
    run.clock.on_sleep = lambda: vertex.set_settings(list_lag_seconds=0)
    assert run.submit(epoch=7).job_id == job_id
    assert len(vertex.jobs()) == 1


def test_an_ambiguous_answer_is_raised_when_creates_run_out_and_a_later_try_still_ends_with_one_job(
    vertex, run
):
    vertex.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.RESET_BEFORE, times=4))
    with pytest.raises(AmbiguousSubmitError, match="searches for it"):
        run.submit()
    assert run.submit().action is Action.SUBMIT
    assert len(vertex.jobs()) == 1


def test_a_quota_that_stays_exhausted_is_told_and_leaves_nothing(vertex, run):
    vertex.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, times=None))
    with pytest.raises(ResourceExhaustedError, match="Nothing was submitted"):
        run.submit()
    assert vertex.jobs() == []


@pytest.mark.parametrize(("seconds", "is_raised"), [(300, False), (301, True), (86_400, True)])
def test_a_long_pause_that_a_server_requests_is_left_to_the_retry_of_the_task(
    vertex, run, seconds, is_raised
):
    headers = {"retry-after": str(seconds)}
    vertex.add_fault(Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=429, headers=headers))
    began = run.clock.time
    if is_raised:
        with pytest.raises(ResourceExhaustedError):
            run.submit()
        assert not run.store.load().is_in_doubt
    else:
        run.submit()
    assert (run.clock.time - began).total_seconds() == (0 if is_raised else seconds)
    assert len(vertex.jobs()) == (not is_raised)


def test_an_unknown_model_fails_at_once(vertex, run):
    with pytest.raises(NotFoundError):
        run.submit(request=a_request(model="publishers/google/models/gemini-does-not-exist"))
    assert len(vertex.requests(Operation.CREATE)) == 1


REFUSED = Fault(op=Operation.CREATE, kind=FaultKind.STATUS, status=400)
LOST = Fault(op=Operation.CREATE, kind=FaultKind.RESET_BEFORE)


def test_a_sure_refusal_is_stored_and_a_retry_submits_without_a_wait(vertex, run):
    vertex.add_fault(REFUSED)
    with pytest.raises(InvalidArgumentError):
        run.submit()
    assert run.store.load().refused
    before = run.clock.time
    assert run.submit().action is Action.SUBMIT
    assert (run.clock.time, len(vertex.jobs())) == (before, 1)
    assert run.store.load().refused is False


@pytest.mark.parametrize("faults", [(LOST, REFUSED), (LOST, LOST, LOST, LOST)])
def test_an_answer_that_was_lost_leaves_the_intent_in_doubt_whatever_follows(vertex, run, faults):
    for fault in faults:
        vertex.add_fault(fault)
    with pytest.raises(VertexBatchError):
        run.submit()
    assert run.store.load().is_in_doubt


def test_an_intent_of_a_process_that_died_stays_in_doubt_after_a_refusal(vertex, run):
    run.store.save(Intent(3, TASK.idempotency_key(3), "f", PROJECT, LOCATION, run.clock.now().isoformat()))
    vertex.add_fault(REFUSED)
    with pytest.raises(InvalidArgumentError):
        run.submit()
    assert run.store.load().is_in_doubt


def test_a_refusal_never_overwrites_what_another_try_has_stored(vertex, run, client, monkeypatch):
    successor = Run(client)
    successor.store = run.store
    create = BatchClient.create

    def refused_late(self, *arguments):
        monkeypatch.setattr(BatchClient, "create", create)
        successor.clock.time += timedelta(minutes=5)
        successor.submit()
        vertex.add_fault(REFUSED)
        return create(self, *arguments)

    monkeypatch.setattr(BatchClient, "create", refused_late)
    with pytest.raises(InvalidArgumentError):
        run.submit()
    (job,) = vertex.jobs()
    assert run.store.load().job_id == job.id


def test_a_cleared_task_adopts_the_same_request_while_it_runs(vertex, run):
    first = run.submit(epoch=3)
    again = run.submit(epoch=7)
    assert (again.action, again.job_id) == (Action.ADOPT, first.job_id)
    # ... and a retry of the cleared task goes on with it
    assert run.submit(epoch=7).job_id == first.job_id
    assert len(vertex.jobs()) == 1


def test_a_cleared_task_submits_anew_after_the_end(vertex, run):
    first = run.submit(epoch=3)
    run.client.cancel(PROJECT, LOCATION, first.job_id)
    vertex.wait_for_jobs(Match(), job_id=first.job_id, state="CANCELLED")
    again = run.submit(epoch=7)
    assert again.action is Action.SUBMIT
    assert len(vertex.jobs()) == 2


def test_a_cleared_task_with_another_request_cancels_first(vertex, run):
    first = run.submit(epoch=3)
    run.clock.on_sleep = lambda: vertex.wait_for_jobs(job_id=first.job_id, state="CANCELLED")
    again = run.submit(epoch=7, request=a_request(model="publishers/google/models/gemini-2.5-pro"))
    before, after = vertex.jobs()
    assert (before.id, after.id) == (first.job_id, again.job_id)
    assert before.state == "CANCELLED"


@pytest.mark.parametrize("epoch", [3, 7], ids=["retried", "cleared"])
@pytest.mark.parametrize("died", [False, True])
def test_a_task_that_submits_to_another_location_ends_its_job_in_the_first_one(vertex, run, epoch, died):
    """A person moves a job out of a full region, and clears its task."""
    run.submit()
    if died:  # between POST and store
        run.store.kept["job_id"] = None
    moved = run.submit(epoch, place=ELSEWHERE)
    old, new = vertex.jobs()
    assert (old.state, new.state, new.id) == ("CANCELLED", "PENDING", moved.job_id)
    assert "/europe-west4/" in new.name
    assert run.store.load().elsewhere == (HERE,)  # for its bill
    assert run.submit(epoch, place=ELSEWHERE).action is Action.REATTACH


def test_a_task_that_is_no_longer_mapped_ends_the_jobs_of_its_shards(vertex, run, client):
    for index, name in enumerate(("a", "b")):
        shard = Run(client)
        shard.submit(task=replace(TASK, map_index=index), request=a_request(f"gs://demo-bucket/{name}.jsonl"))
    whole = run.submit()
    states = {job.id: job.state for job in vertex.jobs()}
    assert list(states.values()) == ["CANCELLED", "CANCELLED", "PENDING"]
    assert states[whole.job_id] == "PENDING"


def test_another_deployment_with_the_same_names_is_another_task(vertex, run, client):
    run.submit()
    staging = TaskIdentity("https://staging.example", TASK.dag_id, TASK.run_id, TASK.task_id)
    Submitter(client, Memory()).submit(staging, 3, Place(PROJECT, LOCATION), a_request())
    assert len(vertex.jobs()) == 2


def test_a_job_whose_cancel_is_under_way_is_seen_to_end_before_another_is_submitted(vertex, run):
    vertex.clear_scenarios()
    vertex.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)], cancel=Cancel(seconds=300)))
    first = run.submit(epoch=3)
    run.client.cancel(PROJECT, LOCATION, first.job_id)
    run.clock.on_sleep = lambda: vertex.wait_for_jobs(job_id=first.job_id, state="CANCELLED")
    second = run.submit(epoch=7)
    assert second.job_id != first.job_id
    assert vertex.job(first.job_id).state == "CANCELLED"


def test_a_job_that_succeeds_though_it_was_cancelled_is_the_result(vertex, run):
    vertex.clear_scenarios()
    late = Cancel(seconds=300, end="SUCCEEDED")
    vertex.add_scenario(Scenario(timeline=[Step(state="RUNNING", seconds=None)], cancel=late))
    first = run.submit(epoch=3)
    run.client.cancel(PROJECT, LOCATION, first.job_id)
    run.clock.on_sleep = lambda: vertex.wait_for_jobs(job_id=first.job_id, state="SUCCEEDED")
    again = run.submit(epoch=7)
    assert (again.action, again.job_id) == (Action.ADOPT, first.job_id)
    assert len(vertex.jobs()) == 1


@pytest.mark.parametrize("step", ["list", "create"])
def test_a_try_that_slept_through_its_successor_gives_way_to_the_older_job(
    vertex, run, client, monkeypatch, step
):
    """It slept between its search and its intent, or between its intent and its POST."""
    sleeper, successor = run, Run(client)
    successor.store = sleeper.store
    refused = Intent(3, TASK.idempotency_key(3), "f", *HERE, run.clock.now().isoformat(), refused=True)
    sleeper.store.save(refused)  # by an earlier try
    take = getattr(BatchClient, step)

    def take_and_sleep(self, *arguments, **named):
        monkeypatch.setattr(BatchClient, step, take)
        found = [*take(self, *arguments, **named)] if step == "list" else None
        successor.clock.time = sleeper.clock.time = sleeper.clock.time + timedelta(minutes=5)
        successor.submit()
        return found if step == "list" else take(self, *arguments, **named)

    monkeypatch.setattr(BatchClient, step, take_and_sleep)
    submission = sleeper.submit()
    older, *younger = vertex.jobs()
    assert submission.job_id == older.id == sleeper.store.load().job_id
    assert not older.cancel_calls
    # Before its intent, it sees that much time has passed, and looks again.
    assert [bool(job.cancel_calls) for job in younger] == ([] if step == "list" else [True])


def test_a_job_of_a_submitter_that_died_is_looked_for_until_the_list_would_show_it(vertex, run):
    vertex.set_settings(list_lag_seconds=3600)
    submission = run.submit()
    lost = replace(run.store.load(), job_id=None)
    policy = LookPolicy(window_seconds=30, interval_seconds=5)
    look = partial(look_for_lost_job, run.client, lost, policy, sleep=run.clock.sleep, now=run.clock.now)
    assert look() is None
    lost = replace(lost, declared_at=run.clock.now().isoformat())
    look = partial(look_for_lost_job, run.client, lost, policy, sleep=run.clock.sleep, now=run.clock.now)
    run.clock.on_sleep = lambda: vertex.set_settings(list_lag_seconds=0)
    assert look().job_id == submission.job_id
