"""What one job of a run reads, as plain data that travels from task to task."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

SHARD_LABEL = "airflow_shard"
SAMPLE_LABEL = "airflow_sample"
SHARDS_GROUP = "shards"
"""The group of tasks that see the shards of an input through. No job of a spec may have this name."""
_SAMPLES = "_samples"


class PartKind(StrEnum):
    """Which part of a run's input a job reads."""

    WHOLE = "whole"
    SHARD = "shard"
    SAMPLE = "sample"
    SPLIT = "split"
    """None of it: the input is split, and other jobs read the shards."""


@dataclass(frozen=True, slots=True)
class InputPart:
    """What one job reads.

    :param number: of the shard, from 1.
    :param of: how many shards there are.
    :param rows: None: nobody had to count them.
    :param of_rows: rows of the whole input.
    :param seed: that the sample was drawn with.
    """

    kind: PartKind
    uris: tuple[str, ...] = ()
    number: int = 1
    of: int = 1
    rows: int | None = None
    of_rows: int | None = None
    seed: int | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels of the job, by which a person tells it from one that reads everything."""
        if self.kind is PartKind.SHARD:
            return {SHARD_LABEL: f"{self.number}-of-{self.of}"}
        if self.kind is PartKind.SAMPLE:
            return {SAMPLE_LABEL: f"{self.rows}-of-{self.of_rows}"}
        return {}

    def named(self, name: str) -> str:
        """Say in a display name what the job reads; at most 128 characters."""
        if self.kind is PartKind.SHARD:
            shard = f", shard {self.number} of {self.of}"
            return name[: 128 - len(shard)] + shard
        if self.kind is PartKind.SAMPLE:
            return f"SAMPLE of {self.rows:,} rows: {name}"[:128]
        return name[:128]

    def output(self, prefix: str) -> str:
        """Where the job writes: a sample's answers never lie among the real ones."""
        return f"{prefix.rstrip('/')}/{_SAMPLES}/" if self.kind is PartKind.SAMPLE else prefix

    def __str__(self) -> str:
        if self.kind is PartKind.SHARD:
            return f"shard {self.number} of {self.of}"
        if self.kind is PartKind.SAMPLE:
            return f"a sample of {self.rows:,} of {self.of_rows:,} rows, seed {self.seed}"
        return "the whole input" if self.kind is PartKind.WHOLE else f"split into {self.of} shards"

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "uris": list(self.uris)}

    @classmethod
    def from_dict(cls, data: object) -> InputPart | None:
        """Read what another task has told; None where it is not ours to read."""
        if not isinstance(data, dict):
            return None
        try:
            return cls(**{**data, "kind": PartKind(data["kind"]), "uris": tuple(data.get("uris", ()))})
        except (KeyError, TypeError, ValueError):
            return None


def file_pattern(uri: str) -> str:
    """Write a folder as the wildcard that Vertex takes: all JSONL files that lie in it.

    >>> file_pattern("gs://bucket/folder/")
    'gs://bucket/folder/*.jsonl'
    """
    return f"{uri}*.jsonl" if uri.startswith("gs://") and uri.endswith("/") else uri


def group_of(task_id: str) -> str:
    """Name the job of a spec that a task belongs to, as its group of tasks is named; empty if there is none.

    >>> group_of("summaries.submit"), group_of("summaries.shards.submit"), group_of("shards.submit")
    ('summaries', 'summaries', '')
    """
    groups = task_id.split(".")[:-1]
    return ".".join(groups[:-1] if groups[-1:] == [SHARDS_GROUP] else groups)
