"""What it takes to watch many jobs through the real LiteLLM proxy: ``make bench``.

    python tools/bench/watch_rate.py --jobs 10000 --ended 30000 --minutes 5

One process runs the real triggers, as a triggerer does: one for each job. Beside the jobs that are waited for
are others of the same days that have ended, and one that has waited for three days. One page in a hundred is
answered with a 503. Every second a job ends. It prints the table of docs/benchmarks.md, and fails if a limit
is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

MAX_REQUESTS_PER_SECOND = 3.0
MAX_LATE_SECONDS = 5.0
DEPLOYMENT = "bench"
LABELS = {
    "managed_by": "vertex-batch",
    "airflow_deployment": DEPLOYMENT,
    "airflow_dag": "nightly",
    "airflow_run": "scheduled__2026-11-27t00-00-00-00-00",
    "airflow_task": "submit",
    "airflow_job_key": "0" * 40,
    "airflow_task_key": "1" * 40,
    "airflow_group_key": "2" * 40,
    "airflow_request": "3" * 40,
}
JOB = {
    "displayName": "nightly",
    "model": "publishers/google/models/gemini-3.8-flash",
    "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://bucket/nightly/in.jsonl"]}},
    "outputConfig": {
        "predictionsFormat": "jsonl",
        "gcsDestination": {"outputUriPrefix": "gs://bucket/nightly/out/"},
    },
    "labels": LABELS,
}


@dataclass(frozen=True)
class Order:
    """What the process with the triggers is to do.

    :param created: job id -> creation time, ISO 8601.
    """

    created: dict[str, str]
    emulator_url: str
    project: str
    location: str
    interval_seconds: float
    minutes: float
    ends_per_minute: float


@dataclass
class Findings:
    """What it found. Seconds; the delay is that from a job's end to its trigger's event."""

    delays: list[float] = field(default_factory=list)
    ended: int = 0
    wrong: int = 0
    began: str = ""
    until: str = ""
    cpu_seconds: float = 0.0
    peak_mb: float = 0.0
    longest_stall: float = 0.0
    sweeps: list[float] = field(default_factory=list)


class Watching:
    """The triggers in one event loop, and a person who ends jobs."""

    def __init__(self, order: Order) -> None:
        from local.emulator.admin import EmulatorAdmin

        self.order, self.found = order, Findings()
        self._admin = EmulatorAdmin(order.emulator_url)
        self._ended_at: dict[str, float] = {}
        poller = logging.getLogger("vertex_batch.lifecycle.polling")
        poller.setLevel(logging.DEBUG)
        poller.addFilter(self._note_sweep)

    async def run(self) -> Findings:
        tasks = [asyncio.create_task(self._wait_for(*each)) for each in self.order.created.items()]
        stalls = asyncio.create_task(self._measure_stalls())
        # The first sweep finds all triggers there; a measurement begins with the second one.
        await asyncio.sleep(2.5 * self.order.interval_seconds)
        self.found.began, cpu = datetime.now(UTC).isoformat(), time.process_time()
        self.found.longest_stall, self.found.sweeps = 0.0, []
        await self._end_jobs()
        self.found.until = datetime.now(UTC).isoformat()
        self.found.cpu_seconds = time.process_time() - cpu
        await asyncio.sleep(1.5 * self.order.interval_seconds)
        for task in [*tasks, stalls]:
            task.cancel()
        await asyncio.gather(*tasks, stalls, return_exceptions=True)
        self.found.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return self.found

    def _note_sweep(self, record: logging.LogRecord) -> bool:
        if record.levelno == logging.DEBUG and isinstance(record.args, tuple):
            self.found.sweeps.append(float(str(record.args[-1])))
        return record.levelno > logging.DEBUG

    async def _end_jobs(self) -> None:
        chance = random.Random(7)
        names = list(self.order.created)
        count = int(self.order.minutes * self.order.ends_per_minute)
        for job_id in chance.sample(names, min(count, len(names))):
            self._ended_at[job_id] = time.monotonic()
            await asyncio.to_thread(self._admin.set_state, job_id, "SUCCEEDED")
            self.found.ended += 1
            await asyncio.sleep(
                max(60 / self.order.ends_per_minute - (time.monotonic() - self._ended_at[job_id]), 0)
            )

    async def _wait_for(self, job_id: str, created_at: str) -> None:
        from vertex_batch.triggers import BatchPredictionJobTrigger
        from vertex_batch.vertex.resource import JobReference

        order = self.order
        trigger = BatchPredictionJobTrigger(
            job=JobReference(order.project, order.location, job_id).to_dict(),
            owner={"dag_id": "nightly", "run_id": job_id, "task_id": "wait", "map_index": -1},
            litellm_conn_id="litellm_default",
            deadline_at=(datetime.now(UTC) + timedelta(days=4)).isoformat(),
            poll_interval_seconds=order.interval_seconds,
            created_at=created_at,
            deployment=DEPLOYMENT,
        )
        async for event in trigger.run():
            if event.payload["verdict"] == "succeeded" and job_id in self._ended_at:
                self.found.delays.append(time.monotonic() - self._ended_at[job_id])
            else:
                self.found.wrong += 1

    async def _measure_stalls(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.05)
            self.found.longest_stall = max(self.found.longest_stall, time.monotonic() - before - 0.05)


def put_jobs(admin: Any, jobs: int, ended: int) -> dict[str, str]:
    """Store a straggler of three days and, over the last day, the others in a mixed order."""
    now = datetime.now(UTC).replace(microsecond=0)
    states = ["RUNNING"] * (jobs - 1) + ["SUCCEEDED"] * ended
    random.Random(5).shuffle(states)
    step = timedelta(days=1) / len(states)
    stored = [(now - timedelta(days=3), "PENDING")]
    stored += [(now - timedelta(days=1) + number * step, state) for number, state in enumerate(states)]
    ids = admin.put_jobs(JOB, stored)
    return {
        job_id: created.isoformat()
        for job_id, (created, state) in zip(ids, stored, strict=True)
        if state != "SUCCEEDED"
    }


def measure(arguments: argparse.Namespace, home: Path) -> tuple[Findings, Counter[str]]:
    """Start proxy and emulator, watch, and count the calls that reached the emulator meanwhile."""
    from local.emulator.admin import Fault, FaultKind, Operation
    from local.stack.emulator import LOCATION, PROJECT
    from local.stack.stack import Stack, StackOptions

    with Stack(StackOptions(home=home / "stack", roles=frozenset({"proxy", "emulator"}))) as stack:
        created = put_jobs(stack.emulator, arguments.jobs, arguments.ended)
        fault = Fault(op=Operation.LIST, kind=FaultKind.STATUS, status=503, probability=0.01, times=None)
        stack.emulator.add_fault(fault)
        order = Order(
            created,
            stack.emulator_url,
            PROJECT,
            LOCATION,
            arguments.interval,
            arguments.minutes,
            arguments.ends,
        )
        (home / "order.json").write_text(json.dumps(asdict(order)))
        host, _, port = stack.proxy_url.removeprefix("http://").partition(":")
        connection = {"conn_type": "litellm", "host": host, "port": int(port), "password": stack.master_key}
        environment = {
            **os.environ,
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW_CONN_LITELLM_DEFAULT": json.dumps({**connection, "schema": "http"}),
        }
        with (home / "triggers.log").open("wb") as log:
            child = [sys.executable, __file__, "--in", str(home)]
            status = subprocess.run(child, env=environment, stdout=log, stderr=log, check=False).returncode
        if status:
            sys.exit(f"the process with the triggers failed:\n{(home / 'triggers.log').read_text()[-3000:]}")
        found = Findings(**json.loads((home / "findings.json").read_text()))
        began, until = datetime.fromisoformat(found.began), datetime.fromisoformat(found.until)
        calls = Counter(str(call.op) for call in stack.emulator.requests() if began <= call.time <= until)
    return found, calls


def report(arguments: argparse.Namespace, found: Findings, calls: Counter[str]) -> list[str]:
    """Print the table; return the limits that were missed."""
    seconds = (datetime.fromisoformat(found.until) - datetime.fromisoformat(found.began)).total_seconds()
    ours = calls["list"] + calls["get"]
    delays = sorted(found.delays)
    p50, p95 = _percentile(delays, 50), _percentile(delays, 95)
    print(
        f"\nWatching {arguments.jobs:,} jobs at {arguments.interval:g} s, {arguments.ended:,} have ended:\n"
    )
    print("| requests/s | list calls a minute | reads a minute | end seen p50 s | p95 s | max s |", end="")
    print(" longest sweep s | CPU s a minute | longest stall s | peak MB | wrong verdicts |")
    print("|---" * 11 + "|")
    minute = 60 / seconds
    print(f"| {ours / seconds:.2f} | {calls['list'] * minute:.0f} | {calls['get'] * minute:.0f}", end="")
    print(f" | {p50:.1f} | {p95:.1f} | {max(delays, default=0):.1f}", end="")
    print(f" | {max(found.sweeps, default=0):.1f} | {found.cpu_seconds * minute:.1f}", end="")
    print(f" | {found.longest_stall:.2f} | {found.peak_mb:.0f} | {found.wrong} |")
    limit = arguments.interval + MAX_LATE_SECONDS
    missed = {
        f"{ours / seconds:.2f} requests/s are more than {MAX_REQUESTS_PER_SECOND:g}": ours / seconds
        > MAX_REQUESTS_PER_SECOND,
        f"the p95 of {p95:.1f} s is above {limit:g} s": p95 > limit,
        f"{found.ended - len(delays)} of {found.ended} ends were not seen": len(delays) < found.ended,
        f"{found.wrong} verdicts were wrong": found.wrong > 0,
    }
    return [text for text, is_missed in missed.items() if is_missed]


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] if ordered else 0.0


def main() -> None:
    """Measure and judge; with ``--in``, be the process with the triggers."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=10_000, help="jobs that are waited for")
    parser.add_argument("--ended", type=int, default=30_000, help="jobs of the same days that have ended")
    parser.add_argument("--interval", type=float, default=60.0, help="seconds between two looks at a job")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long jobs end")
    parser.add_argument("--ends", type=float, default=60.0, help="how many jobs end in a minute")
    parser.add_argument("--in", dest="home", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.home:
        order = Order(**json.loads((arguments.home / "order.json").read_text()))
        found = asyncio.run(Watching(order).run())
        (arguments.home / "findings.json").write_text(json.dumps(asdict(found)))
        return
    with tempfile.TemporaryDirectory(prefix="vertex-batch-watching-") as folder:
        missed = report(arguments, *measure(arguments, Path(folder)))
    if missed:
        sys.exit("; ".join(missed))


if __name__ == "__main__":
    main()
