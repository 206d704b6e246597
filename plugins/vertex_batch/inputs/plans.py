"""The plan of a run's input as its tasks pass it to each other. It stays small, with any number of shards.

Airflow asks for values below 64 kB in XCom and in the task state store, and each mapped task reads the whole
list of shards. So the shards of a large plan are written beside the staged input, and the tasks pass
references to them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from vertex_batch.errors import ConfigurationError, InputMissingError, InputUnusableError
from vertex_batch.inputs.parts import InputPart, PartKind
from vertex_batch.inputs.staging import SHARD_SUFFIX, StagingPlace
from vertex_batch.storage import ObjectStorage

MAX_PLAN_BYTES = 48 << 10
"""Larger lists of shards are written to an object."""


@dataclass(frozen=True, slots=True)
class InputPlan:
    """What the jobs of a run read.

    :param one: what one job reads; of a split input only how it is split, and where the shards are written,
        if they are.
    :param shards: as plain data; empty if one job reads everything.
    """

    one: InputPart
    shards: list[dict[str, object]]

    @property
    def parts(self) -> list[dict[str, object]]:
        """What each job reads, as plain data; never empty."""
        return self.shards or [self.one.to_dict()]

    @property
    def is_written(self) -> bool:
        """Whether the shards are only references to an object; see `plan_of`."""
        return bool(self.shards and self.one.uris)

    def to_dict(self) -> dict[str, Any]:
        """Convert to plain data for the task state store."""
        return {"one": self.one.to_dict(), "shards": self.shards}

    @classmethod
    def from_dict(cls, data: object) -> InputPlan | None:
        """Read the data of `to_dict`; None if it is something else."""
        if not isinstance(data, dict) or not isinstance(shards := data.get("shards"), list):
            return None
        one = InputPart.from_dict(data.get("one"))
        return cls(one, shards) if one else None


def plan_of(parts: Sequence[InputPart], storage: ObjectStorage, place: StagingPlace) -> InputPlan:
    """Make the plan of a run's parts; write the shards to an object if they are too many to be passed on.

    :param parts: one part, or the shards in order.
    :raises StorageAccessError: the connection may not write there.
    """
    shards = [part.to_dict() for part in parts if part.kind is PartKind.SHARD]
    if not shards:
        return InputPlan(parts[0], [])
    split = InputPart(PartKind.SPLIT, of=len(shards), of_rows=parts[0].of_rows)
    if len(json.dumps(shards)) <= MAX_PLAN_BYTES:
        return InputPlan(split, shards)
    content = "".join(f"{json.dumps(shard)}\n" for shard in shards).encode()
    uri = f"{place.folder}{_name(content)}"
    storage.write(uri, [content])
    rows = tuple(part.rows or 0 for part in parts)
    return InputPlan(replace(split, uris=(uri,), shard_rows=rows), [part.reference for part in parts])


def whole_shard(part: InputPart, one: InputPart | None, storage: ObjectStorage) -> InputPart:
    """Read the shard that a task was given a reference to.

    :param one: the plan's `InputPlan.one`, which says where the shards are.
    :raises ConfigurationError: the plan is gone.
    :raises InputUnusableError: the object is not the one that was written.
    """
    if one is None or not one.uris:
        raise _gone("the plan of its shards is gone")
    (uri,) = one.uris
    try:
        with storage.open(uri) as stream:
            content = b"".join(stream.blocks())
    except InputMissingError as error:
        raise _gone(f"{uri}, the plan of its shards, is gone") from error
    if not uri.endswith(f"/{_name(content)}"):
        raise InputUnusableError(uri, "it is not the plan that was written there")
    found = InputPart.from_dict(json.loads(content.splitlines()[part.number - 1]))
    assert found
    return found


def _name(content: bytes) -> str:
    # The suffix of the shards, so that the same lifecycle rule of the bucket deletes it.
    return f"plan-{hashlib.sha256(content).hexdigest()[:24]}{SHARD_SUFFIX}"


def _gone(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"This task does not know its input: {what}. Nothing was submitted",
        "clear the task that plans the inputs, with its downstream tasks",
    )
