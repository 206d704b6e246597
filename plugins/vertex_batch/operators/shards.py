"""The bill of a run whose input was split, or of which only a sample was run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from vertex_batch.costs import Bill
from vertex_batch.inputs import InputPart, PartKind
from vertex_batch.operators.plan import PART_XCOM

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ShardTasks:
    """The tasks of one spec's job that know of shards, by their ids.

    :param plan: decides what is read.
    :param submit: the mapped task that submits the shards. So for `wait`.
    """

    plan: str
    submit: str
    wait: str


def planned_parts(ti: Any, tasks: ShardTasks) -> list[InputPart]:
    """What the run was to read: its shards, else the one part; empty where the plan is gone."""
    told = ti.xcom_pull(task_ids=tasks.plan)
    if not told:
        told = [ti.xcom_pull(task_ids=tasks.plan, key=PART_XCOM)]
    return [part for data in told if (part := InputPart.from_dict(data))]


def check_shards(parts: Iterable[InputPart], bills: Mapping[int, Bill]) -> list[str]:
    """Compare the shards that were planned with the jobs that read them: what does not add up, in sentences.

    :param bills: the last job's of each shard, by its map index.
    """
    shards = [part for part in parts if part.kind is PartKind.SHARD]
    problems = []
    for part in shards:
        bill = bills.get(part.number - 1)
        if bill is None:
            problems.append(f"{part} has no job: {part.rows:,} rows were not run")
        elif bill.rows.input_rows not in (None, part.rows):
            problems.append(
                f"{part} was written with {part.rows:,} rows, its job read {bill.rows.input_rows:,}"
            )
    planned = sum(part.rows or 0 for part in shards)
    of_rows = shards[0].of_rows if shards else 0
    if planned != of_rows:
        problems.append(f"the input has {of_rows:,} rows, the shards {planned:,}")
    answered = sum(bill.rows.total for bill in bills.values())
    if shards and answered != planned:
        problems.append(f"the shards have {planned:,} rows, their outputs {answered:,}")
    return problems


def last_bills(bills: Sequence[Bill], task_id: str) -> dict[int, Bill]:
    """The bill of the last job of each map index of a task; earlier ones were cleared or submitted again."""
    mine = [bill for bill in bills if bill.job.task_id == task_id]
    return {bill.job.map_index: bill for bill in sorted(mine, key=lambda b: b.job.create_time or _LONG_AGO)}
