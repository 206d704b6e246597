"""The instants at which a process is killed. Each is exact, because the emulator holds a call meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psutil
from msgspec import structs

from local.emulator.admin import Fault, FaultKind, Match, Operation, Scenario, Step
from local.stack.airflow import SCHEDULER, TRIGGERER
from local.stack.airflow_api import FINISHED, AirflowApiError
from local.waiting import wait_until
from tools.chaos.arena import PAUSE_SECONDS, RUN_SECONDS, Arena, KillMissedError, Outcome, kill, talking_to
from tools.chaos.scene import discarding_state

FOR_EVER = Scenario(timeline=[Step(state="PENDING", seconds=10), Step(state="RUNNING", seconds=None)], mix={})
HELD_SECONDS = 120

Act = Callable[[Arena, Sequence[str]], None]


@dataclass(frozen=True)
class KillPoint:
    """One instant.

    :param act: takes runs that were just started to that instant, and kills.
    :param at_once: runs of a round.
    :param jobs_each: how many jobs each run should make.
    :param hold: calls that are held from the start, one of each run.
    :param first_jobs: what becomes of the runs' first jobs; None: they succeed.
    :param sends_again: the runs are those of the spec with `retry_rows` and `results`.
    :param whole_workers: what is killed are the workers of the tasks, which start again.
    :param away: machines that are not there when the runs start; `act` revives them.
    :param may_stop: tasks are stopped and continue, so that the documented second job may be made.
    """

    name: str
    act: Act
    at_once: int = 4
    jobs_each: int = 1
    hold: Fault | None = None
    first_jobs: Scenario | None = None
    sends_again: bool = False
    whole_workers: bool = False
    may_stop: bool = False
    away: Callable[[Arena], Sequence[str]] = lambda _: ()

    def round(self, arena: Arena, name: str, runs: int | None = None) -> Outcome:
        """Start some runs, kill, let them end, and compare.

        Runs count only if `act` came to its end, since each has been hit then. What became of them counts
        in any case.
        """
        run_ids = [f"{name}_{number}" for number in range(runs or self.at_once)]
        arena = replace(arena, whole_workers=self.whole_workers, may_stop=self.may_stop)
        emulator = arena.stack.emulator
        if self.first_jobs:
            for run_id in run_ids:
                # One for each run: a run that is ahead would use up another's for its second job.
                own = Match(labels={"airflow_run": run_id})
                emulator.add_scenario(structs.replace(self.first_jobs, match=own, times=1))
        if self.hold:
            emulator.add_fault(structs.replace(self.hold, times=len(run_ids)))
        missed = ""
        try:
            for role in self.away(arena):
                arena.stack.kill(role)
            arena.start(run_ids)
            self.act(arena, run_ids)
        except (
            TimeoutError,
            KillMissedError,
            AirflowApiError,
            httpx.HTTPError,
            psutil.NoSuchProcess,
        ) as error:
            missed = f"{name}: {type(error).__name__}: {error}"
        finally:
            emulator.clear_faults()
            emulator.release_held()
            arena.stack.revive()
        with contextlib.suppress(TimeoutError):
            (_let_end if missed else Arena.wait_until_over)(arena, run_ids)
        emulator.clear_scenarios()
        outcome = arena.compare(run_ids, self.jobs_each)
        return replace(outcome, runs=0, details=[missed, *outcome.details]) if missed else outcome


def _let_end(arena: Arena, run_ids: Sequence[str]) -> None:
    """Bring runs to an end that the failure has not met; the next round must not meet them."""

    def over() -> bool:
        release_jobs(arena, run_ids)
        return all(arena.stack.airflow.run(arena.spec, run_id)["state"] in FINISHED for run_id in run_ids)

    wait_until(over, "the end of the runs", RUN_SECONDS)


def wait_for_held(arena: Arena, op: Operation, count: int) -> None:
    arena.stack.emulator.wait_for_held(op, count=count, timeout_seconds=HELD_SECONDS)


def _before_post(arena: Arena, run_ids: Sequence[str]) -> None:
    """The intent is stored; the POST never takes effect."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    arena.kill_tasks(len(run_ids))
    arena.stack.emulator.release_held(reset=True)


def _while_held(op: Operation) -> Act:
    """Kill while the answers to these calls are held, and let them go after that."""

    def act(arena: Arena, run_ids: Sequence[str]) -> None:
        wait_for_held(arena, op, len(run_ids))
        arena.kill_tasks(len(run_ids))
        arena.stack.emulator.release_held()

    return act


def _before_store(arena: Arena, run_ids: Sequence[str]) -> None:
    """The answer has arrived at a process that is stopped, and that is killed before it reads it."""
    emulator = arena.stack.emulator
    answered = len([call for call in emulator.requests(Operation.CREATE) if call.status is not None])
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    victims = arena.talking(len(run_ids))
    for process in victims:
        process.suspend()
    emulator.release_held()
    emulator.wait_for_calls(Operation.CREATE, count=answered + len(run_ids), timeout_seconds=HELD_SECONDS)
    kill(victims)


def release_jobs(arena: Arena, run_ids: Sequence[str]) -> None:
    """Let the jobs that are held in a state run to their end."""
    for run_id in run_ids:
        for job in arena.jobs(run_id):
            arena.stack.emulator.release_job(job.id)


def _while_deferred(arena: Arena, run_ids: Sequence[str]) -> None:
    """The triggerer crashes, and the jobs end while there is none."""
    arena.wait_until_deferred(run_ids)
    with arena.stack.without(TRIGGERER):
        release_jobs(arena, run_ids)


def _cleared(arena: Arena, run_ids: Sequence[str]) -> None:
    """A person clears the runs while their POSTs wait for answers. Their jobs run on: others would be new."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    for run_id in run_ids:
        arena.stack.airflow.clear_run(arena.spec, run_id)
    arena.stack.emulator.release_held()
    arena.wait_until_deferred(run_ids)
    release_jobs(arena, run_ids)


def _cleared_and_discarded(arena: Arena, run_ids: Sequence[str]) -> None:
    with discarding_state(arena.stack):
        _cleared(arena, run_ids)


def _while_recording(arena: Arena, run_ids: Sequence[str]) -> None:
    """The bill is being made. Up to two jobs are polled one by one, so the list is the recorder's."""
    arena.wait_until_deferred(run_ids)
    hold = Fault(op=Operation.LIST, kind=FaultKind.HOLD, times=len(run_ids))
    arena.stack.emulator.add_fault(hold)
    release_jobs(arena, run_ids)
    wait_for_held(arena, Operation.LIST, len(run_ids))
    arena.kill_tasks(len(run_ids))
    arena.stack.emulator.release_held()


def _in_task(task_id: str) -> Act:
    """Kill a task at the first call that it makes to Vertex. All calls are held until it has made it."""

    def act(arena: Arena, run_ids: Sequence[str]) -> None:
        emulator = arena.stack.emulator
        emulator.add_fault(Fault(op=Operation.ANY, kind=FaultKind.HOLD, after=True, times=None))
        left, until = set(run_ids), time.monotonic() + RUN_SECONDS
        while left:
            if time.monotonic() > until:
                raise KillMissedError(len(run_ids) - len(left), len(run_ids))
            if not emulator.held():
                time.sleep(PAUSE_SECONDS)
                continue
            here = {run_id for run_id in left if arena.is_running(run_id, task_id)}
            if here and talking_to(arena.stack, "proxy"):
                arena.kill_tasks(1)
                left -= here
            emulator.release_held()

    return act


def _while_delivering(arena: Arena, run_ids: Sequence[str]) -> None:
    """The task that delivers talks to the object store, which holds no call: it is killed on sight."""
    left, until = set(run_ids), time.monotonic() + RUN_SECONDS
    while left:
        if time.monotonic() > until:
            raise KillMissedError(len(run_ids) - len(left), len(run_ids))
        here = {run_id for run_id in left if arena.is_running(run_id, "deliver")}
        victims = talking_to(arena.stack, "object store") if here else []
        kill(victims)
        left -= here if victims else set()
        time.sleep(PAUSE_SECONDS)


def _whole_worker(arena: Arena, run_ids: Sequence[str]) -> None:
    """The machine of scheduler, workers and tasks goes down between POST and answer."""
    wait_for_held(arena, Operation.CREATE, len(run_ids))
    with arena.stack.without(SCHEDULER):
        arena.stack.emulator.release_held()


FAILS = Scenario(end="FAILED", error_code=13, error_message="System error.", finished=0.5, mix={})
BEFORE = Fault(op=Operation.CREATE, kind=FaultKind.HOLD)
AFTER = structs.replace(BEFORE, after=True)
AGAIN = structs.replace(AFTER, match=Match(labels={"airflow_attempt": "1"}))
LOOK = structs.replace(BEFORE, op=Operation.GET)
RETRY = structs.replace(AFTER, match=Match(labels={"airflow_retry_round": "1"}))
SENDS_AGAIN: dict[str, Any] = {"at_once": 2, "jobs_each": 2, "first_jobs": FAILS, "sends_again": True}

KILL_POINTS = (
    KillPoint("before the POST takes effect", _before_post, hold=BEFORE),
    KillPoint("POST stored after the death", _while_held(Operation.CREATE), hold=BEFORE),
    KillPoint("between POST and answer", _while_held(Operation.CREATE), hold=AFTER),
    KillPoint("between answer and store", _before_store, hold=AFTER),
    KillPoint("after the store, at the first look", _while_held(Operation.GET), hold=LOOK),
    KillPoint("while deferred (triggerer)", _while_deferred, first_jobs=FOR_EVER),
    KillPoint(
        "at resume, in a resubmission",
        _while_held(Operation.CREATE),
        jobs_each=2,
        hold=AGAIN,
        first_jobs=FAILS,
    ),
    KillPoint("cleared between POST and answer", _cleared, hold=AFTER, first_jobs=FOR_EVER),
    KillPoint(
        "cleared there, and its state discarded", _cleared_and_discarded, hold=AFTER, first_jobs=FOR_EVER
    ),
    KillPoint("while recording", _while_recording, at_once=2, first_jobs=FOR_EVER),
    KillPoint("scheduler, worker and task at once", _whole_worker, hold=AFTER),
    KillPoint("while preparing a retry of rows", _in_task("retry_1.prepare"), **SENDS_AGAIN),
    KillPoint("between POST and answer of a retry", _while_held(Operation.CREATE), hold=RETRY, **SENDS_AGAIN),
    KillPoint("while recording a retry", _in_task("retry_1.record_cost"), **SENDS_AGAIN),
    KillPoint("while delivering", _while_delivering, **SENDS_AGAIN),
)
