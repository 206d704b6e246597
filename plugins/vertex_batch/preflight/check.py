"""The whole pre-flight of one job: its places first, then its rows."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from vertex_batch.errors import VertexBatchError
from vertex_batch.log import Log
from vertex_batch.preflight.findings import Finding, Mode, PreflightError, Report, Severity
from vertex_batch.preflight.places import ModelClient, check_location, check_proxy
from vertex_batch.preflight.rows import RowCheck
from vertex_batch.preflight.shapes import shape_of
from vertex_batch.storage import ByteStream, SourceObject, fingerprint_of, without_duplicates


@dataclass(frozen=True, slots=True)
class Subject:
    """The job that is to be submitted.

    :param uris: as the spec writes them, rendered; wildcards included.
    :param may_be_split: more rows than one job takes are shared out over several, and no reason to stop.
    """

    model: str
    location: str
    uris: Sequence[str]
    output: str
    may_be_split: bool = False

    @property
    def reads_table(self) -> bool:
        """Whether it reads a BigQuery table, which is not looked into."""
        return all(uri.startswith("bq://") for uri in self.uris)


class Storage(Protocol):
    """What a pre-flight asks of an object store. It is `vertex_batch.storage.ObjectStorage`."""

    def find(self, uris: Sequence[str]) -> Sequence[SourceObject]:
        """Find the objects, or raise that they are missing."""

    def check_output(self, uri: str) -> None:
        """Raise that the output's bucket is missing."""

    def read_each(self, objects: Sequence[SourceObject]) -> Iterator[tuple[SourceObject, ByteStream]]:
        """Yield each object with its bytes, in order."""


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """What a pre-flight found in an input before, and in which one.

    :param listing: see `listing_of`.
    :param report: see `report_data`.
    """

    listing: str
    report: Mapping[str, Any]


def listing_of(objects: Sequence[SourceObject], model: str) -> str:
    """The fingerprint of the objects that were checked, and of the model that they were checked for."""
    held = [each for each in objects if each.size]
    return f"{fingerprint_of(held)}:{shape_of(model).name}"


def report_data(report: Report) -> dict[str, Any]:
    """A report as plain data, with the findings that are shown."""
    data: dict[str, Any] = msgspec.to_builtins(replace(report, findings=report.shown))
    return data


def inspect(
    subject: Subject,
    storage: Storage | None,
    client: ModelClient | None,
    progress: Callable[[int], None] = lambda _size: None,
    *,
    objects: Sequence[SourceObject] | None = None,
    checked: CheckedRows | None = None,
) -> Report:
    """Look at everything, and report it.

    :param storage: None: neither inputs nor the output's bucket are looked at.
    :param client: None: the proxy is not asked.
    :param progress: told the bytes of each block of rows.
    :param objects: the inputs, where they were found already.
    :param checked: what was found in the rows before; they are read again only if the input has changed.
    :raises VertexBatchError: an input or a bucket is missing, or cannot be read.
    """
    report = Report()
    for finding in check_location(subject.model, subject.location):
        report.add(finding)
    if client is not None:
        for finding in check_proxy(client, subject.model):
            report.add(finding)
    if subject.reads_table:
        report.add(Finding(Severity.DOUBT, "inputs", "the rows of a BigQuery table are not looked at"))
    elif storage is not None:
        storage.check_output(subject.output)
        found = storage.find(subject.uris) if objects is None else objects
        check = RowCheck(shape_of(subject.model), report, progress)
        if checked and checked.listing == listing_of(without_duplicates(found), subject.model):
            _add(report, msgspec.convert(checked.report, Report))
            for empty in (each for each in found if not each.size):
                check.file(io.BytesIO(), empty.uri)
        else:
            for source, stream in storage.read_each(found):
                check.file(stream, source.uri)
        check.finish(may_be_split=subject.may_be_split)
    return report


def preflight(
    subject: Subject,
    mode: Mode,
    open_storage: Callable[[], Storage],
    client: ModelClient | None,
    log: Log,
    *,
    checked: CheckedRows | None = None,
) -> Report | None:
    """Look at a job right before it is submitted. In strict mode it raises, otherwise it warns.

    :param checked: see `inspect`.

    A doubt never raises, nor do rows that fail by themselves, as long as one is left.

    :raises PreflightError: Vertex would answer no row of it.
    :raises VertexBatchError: as `inspect` does; in strict mode only.
    """
    if mode is Mode.OFF:
        return None
    try:
        storage = None if subject.reads_table else open_storage()
        report = inspect(subject, storage, client, checked=checked)
    except VertexBatchError as error:
        if mode is Mode.STRICT:
            raise
        log.warning("Pre-flight: %s Going on, since the spec says `preflight: warn`.", error)
        return None
    log.info("Pre-flight: %s", report.summary())
    if report.is_hopeless and mode is Mode.STRICT:
        raise PreflightError(report.lines())
    for line in report.lines():
        log.warning("Pre-flight: %s", line)
    return report


def _add(report: Report, rows: Report) -> None:
    """Add what was found in the rows before."""
    for finding in rows.findings:
        report.add(finding)
    kept = Counter(finding.severity for finding in rows.findings)
    for severity, count in rows.counts.items():
        report.counts[severity] += count - kept[severity]
    report.objects += rows.objects
    report.rows += rows.rows
    report.size_bytes += rows.size_bytes
    report.bad_rows += rows.bad_rows
