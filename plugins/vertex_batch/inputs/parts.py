"""What one job of a run reads, as plain data that travels from task to task."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
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
    :param rows: None: they were not counted.
    :param of_rows: rows of the whole input.
    :param seed: that the sample was drawn with.
    :param listing: the fingerprint of the objects that it reads and of the model they were checked for; empty
        where they were not read.
    :param report: what the pre-flight found in its rows, as plain data; None: they were not checked.
    :param answered: a row of the input has an answer already, so a bill has to read the input.
    """

    kind: PartKind
    uris: tuple[str, ...] = ()
    number: int = 1
    of: int = 1
    rows: int | None = None
    of_rows: int | None = None
    seed: int | None = None
    listing: str = ""
    report: dict[str, Any] | None = None
    answered: bool = False

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
        """Plain data for XCom; what has its default is left out, since a plan may have many parts."""
        defaults = {each.name: each.default for each in fields(self)}
        told = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        always = {"kind": str(self.kind), "uris": list(self.uris), "number": self.number, "of": self.of}
        return {**told, **always}

    @classmethod
    def from_dict(cls, data: object) -> InputPart | None:
        """Read what another task has told; None where it is not ours to read."""
        if not isinstance(data, dict):
            return None
        try:
            known = {name: data[name] for name in data.keys() & {each.name for each in fields(cls)}}
            return cls(**{**known, "kind": PartKind(data["kind"]), "uris": tuple(data.get("uris", ()))})
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
