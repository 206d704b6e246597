"""The part of an input that one job of a run reads, as plain data that tasks pass to each other."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any

from vertex_batch.vertex.labels import RETRY_LABEL, RETRY_OF_LABEL, SAMPLE_LABEL, SHARD_LABEL
from vertex_batch.vertex.resource import known_fields

SHARDS_GROUP = "shards"
"""The task group that is mapped over the parts of an input. No job of a spec may have this name."""
_RETRY_GROUP = re.compile(r"retry_[0-9]+")
_SAMPLES = "_samples"


class PartKind(StrEnum):
    """Which part of a run's input a job reads."""

    WHOLE = "whole"
    SHARD = "shard"
    SAMPLE = "sample"
    SPLIT = "split"
    """None of it: how the input is split into shards, and where they are written."""
    RETRY = "retry"
    """Rows of earlier jobs of the run that are sent again."""


@dataclass(frozen=True, slots=True)
class InputPart:
    """The part of an input that one job reads.

    :param number: of the shard, from 1.
    :param of: the number of shards.
    :param rows: None if they were not counted.
    :param of_rows: rows of the whole input.
    :param seed: the random seed of the sample.
    :param listing: the fingerprint of the objects that it reads and of the model they were checked for; empty
        if they were not read.
    :param report: the findings of the pre-flight in its rows, as plain data; None if they were not checked.
    :param answered: a row of the input has an answer already, so billing has to read the input.
    :param shard_rows: of a split input whose shards are in an object: the rows of each.
    :param round: of a retry, from 1.
    :param of_sample: the rows are those of a sample.
    :param truncated: of `of_rows` that are sent again, those whose answer was cut.
    :param retry_of: the value of `RETRY_OF_LABEL`; empty if the rows are those of the same run.
    """

    kind: PartKind
    uris: tuple[str, ...] = ()
    number: int = 1
    of: int = 1
    rows: int | None = None
    of_rows: int | None = None
    seed: int | None = None
    listing: str = ""
    report: dict[str, object] | None = None
    answered: bool = False
    shard_rows: tuple[int, ...] = ()
    round: int = 0
    of_sample: bool = False
    truncated: int = 0
    retry_of: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """Labels that show a person that the job reads only a part of the input."""
        if self.kind is PartKind.SHARD:
            return {SHARD_LABEL: f"{self.number}-of-{self.of}"}
        if self.kind is PartKind.SAMPLE:
            return {SAMPLE_LABEL: f"{self.rows}-of-{self.of_rows}"}
        if self.kind is PartKind.RETRY:
            sample = {SAMPLE_LABEL: f"{self.rows}-of-{self.of_rows}"} if self.of_sample else {}
            other = {RETRY_OF_LABEL: self.retry_of} if self.retry_of else {}
            return {RETRY_LABEL: f"{self.round}", **sample, **other}
        return {}

    def named(self, name: str) -> str:
        """Add the part to a display name, which has at most 128 characters."""
        if self.kind is PartKind.SHARD:
            shard = f", shard {self.number} of {self.of}"
            return name[: 128 - len(shard)] + shard
        if self.kind is PartKind.SAMPLE:
            return f"SAMPLE of {self.rows:,} rows: {name}"[:128]
        if self.kind is PartKind.RETRY:
            again = f", retry {self.round} of {self.rows:,} rows"
            return name[: 128 - len(again)] + again
        return name[:128]

    def output(self, prefix: str) -> str:
        """Where the job writes. A sample's answers are never in the same folder as the real ones."""
        is_sample = self.kind is PartKind.SAMPLE or self.of_sample
        return f"{prefix.rstrip('/')}/{_SAMPLES}/" if is_sample else prefix

    def __str__(self) -> str:
        if self.kind is PartKind.SHARD:
            return f"shard {self.number} of {self.of}"
        if self.kind is PartKind.SAMPLE:
            return f"a sample of {self.rows:,} of {self.of_rows:,} rows, seed {self.seed}"
        if self.kind is PartKind.RETRY:
            return f"round {self.round} of the retries, {self.rows:,} rows"
        return "the whole input" if self.kind is PartKind.WHOLE else f"split into {self.of} shards"

    @property
    def is_reference(self) -> bool:
        """Whether it names a shard without saying what it reads; see `plans`."""
        return self.kind is PartKind.SHARD and not self.uris

    @property
    def reference(self) -> dict[str, object]:
        """As little as names a shard of a plan."""
        return {"kind": str(self.kind), "number": self.number, "of": self.of}

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data for XCom, without default values, since a plan may have many parts."""
        defaults = {each.name: each.default for each in fields(self)}
        changed = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        always = {**self.reference, "uris": list(self.uris)}
        return {**changed, **always, **({"shard_rows": list(self.shard_rows)} if self.shard_rows else {})}

    @classmethod
    def from_dict(cls, data: object) -> InputPart | None:
        """Read the XCom of another task; None if it is not an input part."""
        if not isinstance(data, dict):
            return None
        try:
            tuples = {name: tuple(data.get(name, ())) for name in ("uris", "shard_rows")}
            return cls(**{**known_fields(cls, data), **tuples, "kind": PartKind(data["kind"])})
        except (KeyError, TypeError, ValueError):
            return None


def file_pattern(uri: str) -> str:
    """Write a folder as a wildcard that Vertex accepts: all JSONL files in it.

    >>> file_pattern("gs://bucket/folder/")
    'gs://bucket/folder/*.jsonl'
    """
    return f"{uri}*.jsonl" if uri.startswith("gs://") and uri.endswith("/") else uri


def retry_group(number: int) -> str:
    """Name the task group of a round of retries, from 1."""
    return f"retry_{number}"


def is_group_name(name: str) -> bool:
    """Whether a task group inside a job has this name, so that no job may."""
    return name == SHARDS_GROUP or _RETRY_GROUP.fullmatch(name) is not None


def group_of(task_id: str) -> str:
    """Return the job of a spec that a task belongs to, which is its task group; empty if there is none.

    >>> group_of("summaries.submit"), group_of("summaries.shards.submit"), group_of("shards.submit")
    ('summaries', 'summaries', '')
    >>> group_of("summaries.retry_1.shards.submit"), group_of("retry_1.prepare")
    ('summaries', '')
    """
    groups = task_id.split(".")[:-1]
    while groups and is_group_name(groups[-1]):
        groups.pop()
    return ".".join(groups)
