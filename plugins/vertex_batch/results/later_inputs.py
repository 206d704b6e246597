"""Which objects of an input were written after its jobs were created, and which of these no job has read.

A wildcard is listed again for a delivery. It may then match an object that no job of the run has read. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from vertex_batch.storage import SourceObject, has_wildcard, written_after
from vertex_batch.usage import resumed_output


class JobInput(Protocol):
    """What a job was created with, as its bill or Vertex states it."""

    @property
    def input_uris(self) -> Sequence[str]: ...

    @property
    def create_time(self) -> datetime | None: ...


def readers(jobs: Sequence[JobInput]) -> Sequence[JobInput]:
    """Those of the jobs that have read the input. One that resumed another has read the output of it."""
    return [job for job in jobs if not resumed_output(job.input_uris)] or jobs


def staged_uris(objects: Sequence[SourceObject], jobs: Sequence[JobInput]) -> list[str]:
    """The objects that were written for the jobs of a split input; empty if a job lists a wildcard itself."""
    named = dict.fromkeys(uri for job in jobs for uri in job.input_uris)
    if any(map(has_wildcard, named)):
        return []
    listed = {each.uri for each in objects}
    return [uri for uri in named if uri not in listed]


def newer_objects(
    objects: Sequence[SourceObject],
    jobs: Sequence[JobInput],
    staged: Sequence[SourceObject | None] = (),
    margin: timedelta | None = None,
) -> list[SourceObject]:
    """The objects whose present content the jobs cannot have read. Empty if it is unknown when they read it.

    :param objects: of the input, as it is now.
    :param jobs: those that have read it. The latest one decides; it was created with the same wildcards.
    :param staged: those that were written for the jobs. The input was listed before that and compared after
        it, so they decide, however long the jobs waited for an approval.
    :param margin: how far clocks may differ; None: a minute. With 0, also objects that a job may have read.
    """
    written = [each.created for each in staged if each]
    listing = [job for job in jobs if any(map(has_wildcard, job.input_uris))]
    moments = [moment for moment in written or [job.create_time for job in listing or jobs] if moment]
    if not moments or len(moments) < len(written or listing or jobs):
        return []
    return written_after(objects, max(moments), margin)


def may_be_added(
    newer: Sequence[SourceObject], objects: Sequence[SourceObject], jobs: Sequence[JobInput]
) -> list[SourceObject]:
    """Those of the newer objects that may be additions. The others replaced an object that a job has read.

    An object that a job names was there when the job was created; and a job has read at least one object.
    """
    named = {uri for job in jobs for uri in job.input_uris}
    return [each for each in newer if each.uri not in named] if len(newer) < len(objects) else []


@dataclass(frozen=True, slots=True)
class ObjectRows:
    """The rows of an object, and how many of them have a row in an output."""

    rows: int
    with_output: int = 0


def added_objects(
    candidates: Collection[SourceObject],
    certain: Collection[SourceObject],
    listed: Mapping[str, ObjectRows],
    *,
    counted: int | None,
    unknown_rows: int,
) -> tuple[list[SourceObject], dict[str, int]]:
    """Those that no job has read; and those that may be such, with their rows. In doubt an object is counted.

    :param candidates: see `may_be_added`.
    :param certain: objects that are newer by more than clocks may differ. The rows decide about the others.
    :param listed: the rows of all objects of the input, by their URI.
    :param counted: the rows of the input when the jobs were submitted; None if they were not counted.
    :param unknown_rows: output rows that belong to no object, but perhaps to one that was replaced.
    """
    none = ObjectRows(0)
    unread = {each: listed.get(each.uri, none).rows for each in candidates}
    unread = {each: rows for each, rows in unread.items() if not listed.get(each.uri, none).with_output}
    rest = sum(found.rows for found in listed.values()) - sum(unread.values())
    if unknown_rows:
        added = []
    elif counted == rest:
        added = list(unread)
    else:
        added = [each for each in unread if each in certain]
    doubtful = {each.uri: rows for each, rows in unread.items() if each not in certain and each not in added}
    return added, {uri: rows for uri, rows in doubtful.items() if rows}
