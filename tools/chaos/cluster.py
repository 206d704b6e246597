"""The instants at which a machine of a cluster dies or stops for a while, and shared servers crash."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil
from msgspec import structs

from local.emulator.admin import Fault, FaultKind, Operation, Scenario, Step
from local.stack.airflow import SCHEDULERS, TRIGGERERS
from local.stack.cluster import BROKER, Cluster
from local.stack.postgres import DATABASE
from local.waiting import wait_until
from tools.chaos.arena import RUN_SECONDS, Arena, KillMissedError
from tools.chaos.points import (
    AFTER,
    FOR_EVER,
    KILL_POINTS,
    Act,
    KillPoint,
    release_jobs,
    wait_for_held,
)
from tools.chaos.scene import QUEUED_SECONDS

# Of the instants of `make chaos`, with the runs that they hit at once: those of tasks, and those at which all
# that is on a worker dies, too.
TASKS = {
    "between POST and answer": 8,
    "between answer and store": 8,
    "while recording": 2,
    "while delivering": 4,
}
WORKERS = {"before the POST takes effect": 8, "between POST and answer": 8, "while recording": 2}
QUEUED = Scenario(timeline=[Step(state="PENDING", seconds=None)], mix={})
TURN_SECONDS = 0.3
CONTINUES_WITHIN_SECONDS = 60
REDELIVERED = re.compile(r"\[([0-9a-f-]{36})\] Task already running elsewhere")


def _cluster(arena: Arena) -> Cluster:
    assert arena.stack.site.cluster is not None
    return arena.stack.site.cluster


def _nothing(_: Arena, __: Sequence[str]) -> None:
    """All runs at once are load enough."""


def _all_workers(arena: Arena) -> Sequence[str]:
    return _cluster(arena).worker_roles


def _second_triggerer(_: Arena) -> Sequence[str]:
    return TRIGGERERS[1:]


def _second_scheduler(_: Arena) -> Sequence[str]:
    return SCHEDULERS[1:]


def _last_worker(arena: Arena) -> Sequence[str]:
    return _cluster(arena).worker_roles[-1:]


@contextmanager
def _stopped(arena: Arena, roles: Sequence[str]) -> Iterator[None]:
    """These machines are paused until the end of the block, and then continue where they were."""
    for role in roles:
        arena.stack.signal(role, signal.SIGSTOP)
    try:
        yield
    finally:
        for role in roles:
            arena.stack.signal(role, signal.SIGCONT)


def _restart(role: str) -> Act:
    """A server that all machines use crashes while each run's POST waits for its answer."""

    def act(arena: Arena, run_ids: Sequence[str]) -> None:
        wait_for_held(arena, Operation.CREATE, len(run_ids))
        with arena.stack.without(role):
            arena.stack.emulator.release_held()

    return act


def _lose_the_queue(arena: Arena, run_ids: Sequence[str]) -> None:
    """The broker crashes with a task of each run in its queue, and is empty afterwards."""
    queued = lambda: _cluster(arena).queued_tasks() >= len(run_ids)  # noqa: E731
    wait_until(queued, "a queued task of each run", RUN_SECONDS)
    arena.stack.kill(BROKER)


def _triggerer_dies(arena: Arena, run_ids: Sequence[str]) -> None:
    """A triggerer that has the triggers of all runs dies; the other one sees their jobs end."""
    _wait_for_triggerer(arena, run_ids, TRIGGERERS[0])
    arena.stack.revive()
    arena.stack.kill(TRIGGERERS[0])
    release_jobs(arena, run_ids)
    arena.wait_until_over(run_ids)


def _triggerer_cut_off(arena: Arena, run_ids: Sequence[str]) -> None:
    """A triggerer is paused until the other one has all its triggers, and then continues with them."""
    _wait_for_triggerer(arena, run_ids, TRIGGERERS[0])
    arena.stack.revive()
    with _stopped(arena, TRIGGERERS[:1]):
        _wait_for_triggerer(arena, run_ids, TRIGGERERS[1])
    release_jobs(arena, run_ids)


def _wait_for_triggerer(arena: Arena, run_ids: Sequence[str], triggerer: str) -> None:
    for run_id in run_ids:
        wait_until(partial(_waits_on, arena, run_id, triggerer), f"{run_id} on {triggerer}", RUN_SECONDS)


def _waits_on(arena: Arena, run_id: str, triggerer: str) -> bool:
    alive = arena.stack.airflow.call("GET", "/jobs", params={"hostname": triggerer, "is_alive": True})["jobs"]
    trigger = arena.stack.airflow.task_instance(arena.spec, run_id, "wait")["trigger"]
    return bool(trigger) and trigger["triggerer_id"] in {job["id"] for job in alive}


def _scheduler_dies(arena: Arena, run_ids: Sequence[str]) -> None:
    """The scheduler that has queued all running tasks dies; the other one takes them over."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    arena.stack.revive()
    arena.stack.kill(SCHEDULERS[0])
    arena.stack.emulator.release_held()
    arena.wait_until_over(run_ids)


def _scheduler_stopped(arena: Arena, run_ids: Sequence[str]) -> None:
    """The scheduler that has queued all running tasks is paused until the other one has taken over."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    arena.stack.revive()
    with _stopped(arena, SCHEDULERS[:1]):
        arena.stack.emulator.release_held()
        arena.wait_until_deferred(run_ids)
    release_jobs(arena, run_ids)


def _stopped_after_answer(arena: Arena, run_ids: Sequence[str]) -> None:
    """The answer has arrived at a worker that is paused until another one has its tasks."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    arena.stack.revive()
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
    wait_for_held(arena, Operation.LIST, len(run_ids))
    arena.stack.revive()
    tasks = arena.talking(len(run_ids))
    workers = _workers_but_one(arena, tasks)
    _stop_with_intents(arena, tasks, run_ids)
    with _stopped(arena, workers):
        _wait_for_successors(arena, run_ids)
    psutil.wait_procs(tasks, CONTINUES_WITHIN_SECONDS)
    release_jobs(arena, run_ids)


def _stop_with_intents(arena: Arena, tasks: Sequence[psutil.Process], run_ids: Sequence[str]) -> None:
    """Stop each task between its intent and its POST.

    Tasks and their supervisors, through which they store, run by turns, so never after the intent was stored.
    """
    pairs = {_run_of(parent): (task, parent) for task in tasks if (parent := task.parent())}
    everyone = list(itertools.chain(*pairs.values()))
    for process in everyone:
        process.suspend()
    arena.stack.emulator.release_held()
    try:
        while left := pairs.keys() - _with_intent(arena, run_ids):
            for side in zip(*(pairs[run_id] for run_id in left), strict=True):
                for process in side:
                    process.resume()
                time.sleep(TURN_SECONDS)
                for process in side:
                    process.suspend()
    except (KillMissedError, psutil.NoSuchProcess):
        for process in everyone:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
        raise


def _run_of(supervisor: psutil.Process) -> str:
    """The run whose task a process supervises: it has the task's log open."""
    paths = " ".join(file.path for file in supervisor.open_files())
    if found := re.search(r"/run_id=([^/]+)/", paths):
        return found[1]
    raise KillMissedError(0, 1)


def _with_intent(arena: Arena, run_ids: Sequence[str]) -> set[str]:
    """The runs that have stored an intent, in the first try of their submit task.

    :raises KillMissedError: Airflow has taken a task for dead before it was stopped.
    """
    airflow = arena.stack.airflow
    stores = {run_id: airflow.task_state_store(arena.spec, run_id, "submit") for run_id in run_ids}
    stored = {run_id for run_id, store in stores.items() if "declared_at" in json.dumps(store)}
    if any(airflow.task_instance(arena.spec, run_id, "submit")["try_number"] > 1 for run_id in run_ids):
        raise KillMissedError(len(stored), len(run_ids))
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
    before = _ignored(arena)
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    _cluster(arena).redeliver()
    ignored = lambda: len(_ignored(arena) - before) >= len(run_ids)  # noqa: E731
    wait_until(ignored, "a worker that leaves the second copy of each task", RUN_SECONDS)
    arena.stack.emulator.release_held()


def _ignored(arena: Arena) -> set[str]:
    """The tasks whose second copies workers have left."""
    logs = [arena.stack.log(role).read_text() for role in _cluster(arena).worker_roles]
    return {task for log in logs for task in REDELIVERED.findall(log)}


def _redelivered_late(arena: Arena, run_ids: Sequence[str]) -> None:
    """The second copy of a task comes after the time in which it may start.

    Its worker reports a failure, so that Airflow starts the next try beside the one that still runs.
    """
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    # The proxy gives up on a held call. Then the task looks for its job, and must not find it so soon.
    arena.stack.emulator.add_fault(structs.replace(LOOK, times=None))
    for run_id in run_ids:
        expired = partial(_may_start_no_more, arena, run_id)
        wait_until(expired, f"the token of {run_id} to expire", RUN_SECONDS)
    _cluster(arena).redeliver()
    for run_id in run_ids:
        wait_until(partial(_is_tried_again, arena, run_id), f"the next try of {run_id}", RUN_SECONDS)
    arena.stack.emulator.clear_faults()
    arena.stack.emulator.release_held()


def _may_start_no_more(arena: Arena, run_id: str) -> bool:
    """Whether the token with which a worker starts the run's submit task has expired."""
    started = arena.stack.airflow.task_instance(arena.spec, run_id, "submit")["start_date"]
    return datetime.now(UTC) - datetime.fromisoformat(started) > timedelta(seconds=QUEUED_SECONDS)


def _is_tried_again(arena: Arena, run_id: str) -> bool:
    submit = arena.stack.airflow.task_instance(arena.spec, run_id, "submit")
    return bool(submit["try_number"] > 1 and submit["state"] == "running")


LOOK = Fault(op=Operation.LIST, kind=FaultKind.HOLD, after=True)
SLOW_LOOK = Fault(op=Operation.LIST, kind=FaultKind.DELAY, seconds=4)
ONES = {point.name: point for point in KILL_POINTS}

CLUSTER_POINTS = (
    KillPoint("nothing, 16 runs at once", _nothing, at_once=16),
    *(replace(ONES[name], name=f"task killed {name}", at_once=runs) for name, runs in TASKS.items()),
    *(
        replace(ONES[name], name=f"worker killed {name}", at_once=runs, whole_workers=True)
        for name, runs in WORKERS.items()
    ),
    KillPoint(
        "worker stopped between intent and POST",
        _stopped_before_post,
        at_once=6,
        hold=SLOW_LOOK,
        first_jobs=QUEUED,
        may_stop=True,
        away=_last_worker,
    ),
    KillPoint(
        "worker stopped between answer and store",
        _stopped_after_answer,
        at_once=6,
        hold=AFTER,
        first_jobs=FOR_EVER,
        may_stop=True,
        away=_last_worker,
    ),
    KillPoint("task redelivered while it runs", _redelivered, at_once=6, hold=AFTER),
    KillPoint("task redelivered too late to start", _redelivered_late, at_once=6, hold=AFTER),
    KillPoint(
        "triggerer killed, the other takes over",
        _triggerer_dies,
        at_once=8,
        first_jobs=FOR_EVER,
        away=_second_triggerer,
    ),
    KillPoint(
        "triggerer cut off, and back",
        _triggerer_cut_off,
        at_once=8,
        first_jobs=FOR_EVER,
        away=_second_triggerer,
    ),
    KillPoint(
        "scheduler killed, the other takes over",
        _scheduler_dies,
        at_once=8,
        hold=AFTER,
        away=_second_scheduler,
    ),
    KillPoint(
        "scheduler stopped, and back",
        _scheduler_stopped,
        at_once=8,
        hold=AFTER,
        first_jobs=FOR_EVER,
        away=_second_scheduler,
    ),
    KillPoint("broker killed, empty afterwards", _restart(BROKER), at_once=8, hold=AFTER),
    KillPoint("broker killed with tasks in its queue", _lose_the_queue, at_once=8, away=_all_workers),
    KillPoint("database killed", _restart(DATABASE), at_once=8, hold=AFTER),
)
