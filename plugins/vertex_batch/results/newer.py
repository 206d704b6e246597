"""Which objects of an input were written after its jobs were created, and which of these no job has read.

A wildcard is listed again for a delivery. It may then match an object that no job of the run has read. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from vertex_batch.storage import SourceObject, has_wildcard, written_after


class JobInput(Protocol):
    """What a job was created with, as its bill or Vertex states it."""

    @property
    def input_uris(self) -> Sequence[str]: ...

    @property
    def create_time(self) -> datetime | None: ...


def staged_uris(objects: Sequence[SourceObject], jobs: Sequence[JobInput]) -> list[str]:
    """The objects that were written for the jobs of a split input; empty if a job lists a wildcard itself."""
    named = dict.fromkeys(uri for job in jobs for uri in job.input_uris)
    if any(map(has_wildcard, named)):
        return []
    listed = {each.uri for each in objects}
    return [uri for uri in named if uri not in listed]


def newer_objects(
    objects: Sequence[SourceObject], jobs: Sequence[JobInput], staged: Sequence[SourceObject | None] = ()
) -> list[SourceObject]:
    """The objects whose present content the jobs cannot have read. Empty if it is unknown when they read it.

    :param objects: of the input, as it is now.
    :param jobs: those that have read it. The latest one decides; it was created with the same wildcards.
    :param staged: those that were written for the jobs. The input was listed before that and compared after
        it, so they decide, however long the jobs waited for an approval.
    """
    written = [each.created for each in staged if each]
    listing = [job for job in jobs if any(map(has_wildcard, job.input_uris))]
    moments = [moment for moment in written or [job.create_time for job in listing or jobs] if moment]
    if not moments or len(moments) < len(written or listing or jobs):
        return []
    return written_after(objects, max(moments))


def may_be_added(
    newer: Sequence[SourceObject], objects: Sequence[SourceObject], jobs: Sequence[JobInput]
) -> list[SourceObject]:
    """Those of the newer objects that may be additions. The others replaced an object that a job has read.

    An object that a job names was there when the job was created; and a job has read at least one object.
    """
    named = {uri for job in jobs for uri in job.input_uris}
    return [each for each in newer if each.uri not in named] if len(newer) < len(objects) else []


def added_objects(
    candidates: Iterable[SourceObject], answered: Collection[str], unknown_rows: int
) -> list[SourceObject]:
    """Those that no job has read. In doubt an object is counted.

    :param candidates: see `may_be_added`.
    :param answered: the URIs of objects that have rows in an output.
    :param unknown_rows: output rows that belong to no object, but perhaps to one that was replaced.
    """
    return [] if unknown_rows else [each for each in candidates if each.uri not in answered]
