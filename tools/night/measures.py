"""What a scenario took: its task processes and their traffic, added up by step."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from tools.night.audit import Account
from tools.night.object_files import WrittenObject
from tools.night.scenarios import NightScenario
from tools.night.store_proxy import Count, Kind, Traffic


@dataclass(frozen=True)
class TaskProcess:
    """One task process, as `tools.night.task_listener` has measured it.

    :param cpu_seconds: with those of its own children.
    :param peak_bytes: the most resident memory of the process, or of one of its children.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    pid: int
    state: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Step:
    """All processes of a task, and their traffic with the object store.

    :param seconds: of all processes together; so are the processor time and the traffic.
    :param peak_bytes: of the largest process.
    :param most_cpu_seconds: of the process that used most.
    """

    task_id: str
    processes: int
    seconds: float
    cpu_seconds: float
    most_cpu_seconds: float
    peak_bytes: int
    requests: int
    read_bytes: int
    written_bytes: int


@dataclass(frozen=True)
class Billed:
    """What the package has recorded.

    :param input_rows: None: of at least one job they were not counted.
    """

    jobs: int
    answered: int
    failed: int
    unreadable: int
    input_rows: int | None
    amount_usd: Decimal


@dataclass(frozen=True)
class NightResult:
    """What became of a scenario.

    :param run_states: of the Airflow runs.
    :param jobs: that Vertex was asked for.
    :param input_reads: how often the input object that was read most was read, by bytes.
    :param shard_reads: the same for the objects that were written for single jobs; None without such.
    """

    scenario: NightScenario
    run_states: Sequence[str]
    jobs: int
    account: Account
    billed: Billed
    steps: Sequence[Step]
    input_reads: float
    shard_reads: float | None
    wall_seconds: float


def read_tasks(file: Path, dag_ids: Collection[str]) -> list[TaskProcess]:
    """Read the measured processes of some DAGs, in the order in which they ended."""
    if not file.exists():
        return []
    found = (TaskProcess(**json.loads(line)) for line in file.read_text().splitlines())
    return [process for process in found if process.dag_id in dag_ids]


def steps(processes: Sequence[TaskProcess], traffic: Mapping[Traffic, Count]) -> list[Step]:
    """Add up by task; the traffic is that of the scenario alone, since process ids may come again."""
    return [
        _step(task_id, [process for process in processes if process.task_id == task_id], traffic)
        for task_id in dict.fromkeys(process.task_id for process in processes)
    ]


def _step(task_id: str, processes: Sequence[TaskProcess], traffic: Mapping[Traffic, Count]) -> Step:
    pids = {process.pid for process in processes}
    counts = [(key, count) for key, count in traffic.items() if key.pid in pids]
    return Step(
        task_id=task_id,
        processes=len(processes),
        seconds=sum(process.seconds for process in processes),
        cpu_seconds=sum(process.cpu_seconds for process in processes),
        most_cpu_seconds=max(process.cpu_seconds for process in processes),
        peak_bytes=max(process.peak_bytes for process in processes),
        requests=sum(count.requests for _, count in counts),
        read_bytes=sum(count.received for key, count in counts if key.kind is Kind.READ),
        written_bytes=sum(count.sent for key, count in counts if key.kind is Kind.WRITE),
    )


def most_reads(objects: Iterable[WrittenObject], traffic: Mapping[Traffic, Count]) -> float | None:
    """How often the object that was read most was read, by bytes; None without objects."""
    read: dict[str, int] = {}
    for key, count in traffic.items():
        if key.kind is Kind.READ:
            read[key.uri] = read.get(key.uri, 0) + count.received
    return max((read.get(item.uri, 0) / item.size for item in objects), default=None)
