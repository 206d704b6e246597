"""The instants at which a machine of a cluster dies or stops for a while, and shared servers crash."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import psutil
from msgspec import structs

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.stack.airflow import SCHEDULER, SCHEDULERS, TRIGGERERS
from local.stack.cluster import BROKER, Cluster
from local.stack.postgres import DATABASE
from local.waiting import wait_until
from tools.chaos.arena import PAUSE_SECONDS, RUN_SECONDS, Arena, KillMissedError
from tools.chaos.points import (
    AFTER,
    FOR_EVER,
    KILL_POINTS,
    Act,
    KillPoint,
    release_jobs,
    wait_for_held,
)

# Of the instants of `make chaos`: those of tasks, and those at which all that is on a worker dies, too.
TASKS = ("between POST and answer", "between answer and store", "while recording", "while delivering")
WORKERS = ("before the POST takes effect", "between POST and answer", "while recording")
QUEUED = Scenario(timeline=[Step(state="PENDING", seconds=None)], mix={})
TURN_SECONDS = 0.3
CONTINUES_WITHIN_SECONDS = 60
REDELIVERED = "ignoring redelivered message"


def _cluster(arena: Arena) -> Cluster:
    assert arena.stack.site.cluster is not None
    return arena.stack.site.cluster


def _nothing(_: Arena, __: Sequence[str]) -> None:
    """All runs at once are load enough."""


@contextmanager
def _takes_none(arena: Arena, roles: Sequence[str]) -> Iterator[None]:
    """These workers take no task until the end of the block."""
    for role in roles:
        _cluster(arena).take_tasks(role, wanted=False)
    try:
        yield
    finally:
        for role in roles:
            _cluster(arena).take_tasks(role, wanted=True)


@contextmanager
def _stopped(arena: Arena, roles: Sequence[str]) -> Iterator[None]:
    """These machines stand still until the end of the block, and then continue where they were."""
    for role in roles:
        arena.stack.signal(role, signal.SIGSTOP)
    try:
        yield
    finally:
        for role in roles:
            arena.stack.signal(role, signal.SIGCONT)


def _kill(*roles: str) -> Act:
    """Kill these while each run's POST waits for its answer; they stay away until the runs have ended."""

    def act(arena: Arena, run_ids: Sequence[str]) -> None:
        wait_for_held(arena, Operation.CREATE, len(run_ids))
        for role in roles:
            arena.stack.kill(role)
        arena.stack.emulator.release_held()
        arena.wait_until_over(run_ids)

    return act


def _restart(role: str) -> Act:
    """A server that all machines use crashes while each run's POST waits for its answer."""

    def act(arena: Arena, run_ids: Sequence[str]) -> None:
        wait_for_held(arena, Operation.CREATE, len(run_ids))
        with arena.stack.without(role):
            arena.stack.emulator.release_held()

    return act


def _lose_the_queue(arena: Arena, run_ids: Sequence[str]) -> None:
    """The broker crashes with a task of each run in its queue, and is empty afterwards."""
    with _takes_none(arena, _cluster(arena).worker_roles):
        for run_id in run_ids:
            wait_until(partial(_is_queued, arena, run_id), f"a queued task of {run_id}", RUN_SECONDS)
        with arena.stack.without(BROKER):
            """Nothing takes its place meanwhile."""


def _is_queued(arena: Arena, run_id: str) -> bool:
    tasks = arena.stack.airflow.task_instances(arena.spec, run_id)
    return any(task["state"] == "queued" for task in tasks)


def _no_triggerer_but_one(arena: Arena, run_ids: Sequence[str]) -> None:
    """A triggerer dies; the other one sees its jobs end."""
    arena.wait_until_deferred(run_ids)
    arena.stack.kill(TRIGGERERS[0])
    release_jobs(arena, run_ids)
    arena.wait_until_over(run_ids)


def _cut_off_triggerer(arena: Arena, run_ids: Sequence[str]) -> None:
    """A triggerer stands still until the other one has all triggers, and then continues with its own."""
    arena.wait_until_deferred(run_ids)
    with _stopped(arena, TRIGGERERS[:1]):
        for run_id in run_ids:
            what = f"the other triggerer to wait for {run_id}"
            wait_until(partial(_waits_on, arena, run_id, TRIGGERERS[1]), what, RUN_SECONDS)
    release_jobs(arena, run_ids)


def _waits_on(arena: Arena, run_id: str, triggerer: str) -> bool:
    alive = arena.stack.airflow.call("GET", "/jobs", params={"hostname": triggerer, "is_alive": True})["jobs"]
    trigger = arena.stack.airflow.task_instance(arena.spec, run_id, "wait")["trigger"]
    return bool(trigger) and trigger["triggerer_id"] in {job["id"] for job in alive}


def _stopped_scheduler(arena: Arena, run_ids: Sequence[str]) -> None:
    """A scheduler stands still until the other one has taken over, and then continues."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    with _stopped(arena, SCHEDULERS[:1]):
        arena.stack.emulator.release_held()
        arena.wait_until_deferred(run_ids)
    release_jobs(arena, run_ids)


def _stopped_after_answer(arena: Arena, run_ids: Sequence[str]) -> None:
    """The answer has arrived at a worker that stands still until another one has its tasks."""
    with _takes_none(arena, _cluster(arena).worker_roles[-1:]):
        wait_for_held(arena, Operation.CREATE, len(run_ids))
    tasks = arena.talking(len(run_ids))
    with _stopped(arena, _workers_but_one(arena, tasks)):
        arena.stack.emulator.release_held()
        _wait_for_successors(arena, run_ids)
    psutil.wait_procs(tasks, CONTINUES_WITHIN_SECONDS)
    release_jobs(arena, run_ids)


def _stopped_before_post(arena: Arena, run_ids: Sequence[str]) -> None:
    """Each task has stored its intent when its worker stops, and sends its POST after that of its successor.

    That is the case in which a second job is made. It waits in Vertex's queue, as jobs do. A task that has
    looked slowly looks again, and then has nothing to do but to store its intent.
    """
    arena.stack.emulator.add_fault(structs.replace(LOOK, times=len(run_ids)))
    with _takes_none(arena, _cluster(arena).worker_roles[-1:]):
        wait_for_held(arena, Operation.LIST, len(run_ids))
    tasks = arena.talking(len(run_ids))
    workers = _workers_but_one(arena, tasks)
    _stop_with_intents(arena, tasks, run_ids)
    with _stopped(arena, workers):
        _wait_for_successors(arena, run_ids)
    psutil.wait_procs(tasks, CONTINUES_WITHIN_SECONDS)
    release_jobs(arena, run_ids)


def _stop_with_intents(arena: Arena, tasks: Sequence[psutil.Process], run_ids: Sequence[str]) -> None:
    """Stop each task between its intent and its POST.

    A task and its supervisor, through which it stores, run by turns, so never after the intent was stored.
    """
    pairs = [(task, supervisor) for task in tasks if (supervisor := task.parent())]
    for process in itertools.chain(*pairs):
        process.suspend()
    arena.stack.emulator.release_held()
    stored = 0
    try:
        for pair in pairs:
            while (now := _intents(arena, run_ids)) == stored:
                for process in pair:
                    process.resume()
                    time.sleep(TURN_SECONDS)
                    process.suspend()
            stored = now
    except (KillMissedError, psutil.NoSuchProcess):
        for process in itertools.chain(*pairs):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        raise


def _intents(arena: Arena, run_ids: Sequence[str]) -> int:
    """How many of the runs have stored an intent, in the first try of their submit task.

    :raises KillMissedError: Airflow has taken a task for dead before it was stopped.
    """
    airflow = arena.stack.airflow
    stores = [airflow.task_state_store(arena.spec, run_id, "submit") for run_id in run_ids]
    stored = sum("declared_at" in json.dumps(store) for store in stores)
    if any(airflow.task_instance(arena.spec, run_id, "submit")["try_number"] > 1 for run_id in run_ids):
        raise KillMissedError(stored, len(run_ids))
    return stored


def _workers_but_one(arena: Arena, tasks: Sequence[psutil.Process]) -> list[str]:
    """The workers of these tasks. One at least has none of them, and runs their successors."""
    found = arena.workers_of(tasks)
    if len(found) == len(_cluster(arena).worker_roles):
        raise KillMissedError(0, len(tasks))
    return found


def _wait_for_successors(arena: Arena, run_ids: Sequence[str]) -> None:
    """Another try of each run's submit task has its job."""
    for run_id in run_ids:
        arena.stack.airflow.wait_for_task(arena.spec, run_id, "submit", ["success"], RUN_SECONDS)


def _redelivered(arena: Arena, run_ids: Sequence[str]) -> None:
    """The broker gives a task that still runs to another worker, which finds it running and leaves it."""
    logs = [arena.stack.log(role) for role in _cluster(arena).worker_roles]
    before = sum(log.read_text().count(REDELIVERED) for log in logs)
    wait_for_held(arena, Operation.LIST, len(run_ids))
    # The proxy gives up on a held call, and the task asks again.
    arena.stack.emulator.add_fault(structs.replace(LOOK, times=None))
    until = time.monotonic() + RUN_SECONDS
    while sum(log.read_text().count(REDELIVERED) for log in logs) < before + len(run_ids):
        if time.monotonic() > until:
            raise KillMissedError(0, len(run_ids))
        time.sleep(PAUSE_SECONDS)
    arena.stack.emulator.clear_faults()
    arena.stack.emulator.release_held()


LOOK = Fault(op=Operation.LIST, kind=FaultKind.HOLD, after=True)
SLOW_LOOK = Fault(op=Operation.LIST, kind=FaultKind.DELAY, seconds=4)
ONES = {point.name: point for point in KILL_POINTS}

CLUSTER_POINTS = (
    KillPoint("nothing, 16 runs at once", _nothing, at_once=16),
    *(replace(ONES[name], name=f"task killed {name}") for name in TASKS),
    *(replace(ONES[name], name=f"worker killed {name}", whole_workers=True) for name in WORKERS),
    KillPoint(
        "worker stopped between intent and POST",
        _stopped_before_post,
        at_once=6,
        hold=SLOW_LOOK,
        first_jobs=QUEUED,
        may_stop=True,
    ),
    KillPoint(
        "worker stopped between answer and store",
        _stopped_after_answer,
        at_once=6,
        hold=AFTER,
        first_jobs=FOR_EVER,
        may_stop=True,
    ),
    KillPoint("task redelivered while it runs", _redelivered, at_once=6, hold=LOOK),
    KillPoint(
        "triggerer killed, the other takes over", _no_triggerer_but_one, at_once=8, first_jobs=FOR_EVER
    ),
    KillPoint("triggerer cut off, and back", _cut_off_triggerer, at_once=8, first_jobs=FOR_EVER),
    KillPoint("scheduler killed, the other takes over", _kill(SCHEDULER), at_once=8, hold=AFTER),
    KillPoint("scheduler stopped, and back", _stopped_scheduler, at_once=8, hold=AFTER, first_jobs=FOR_EVER),
    KillPoint("broker killed, empty afterwards", _restart(BROKER), at_once=8, hold=AFTER),
    KillPoint("broker killed with tasks in its queue", _lose_the_queue, at_once=8),
    KillPoint("database killed", _restart(DATABASE), at_once=8, hold=AFTER),
)
