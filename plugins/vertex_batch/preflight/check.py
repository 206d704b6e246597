"""The complete pre-flight of one job: its model, location and buckets first, then its rows."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from vertex_batch.errors import VertexBatchError
from vertex_batch.log import Log
from vertex_batch.preflight.findings import Finding, Mode, PreflightError, Report, Severity
from vertex_batch.preflight.places import check_life, check_location, check_proxy
from vertex_batch.preflight.rows import RowCheck
from vertex_batch.preflight.shapes import shape_of
from vertex_batch.pricing import ModelClient
from vertex_batch.storage import ObjectStorage, SourceObject, fingerprint_of, without_duplicates


@dataclass(frozen=True, slots=True)
class RowRules:
    """What the rows of a job are checked for.

    :param key: the path of the field of a row by which its answer is delivered. Empty: rows need none, and a
        usual one is checked for duplicates.
    :param failure_limits: see `Report`.
    """

    model: str
    key: str = ""
    failure_limits: Mapping[str, float] = field(default_factory=dict)

    def new_report(self) -> Report:
        return Report(failure_limits=dict(self.failure_limits))

    def check(self, report: Report, progress: Callable[[int], None] = lambda _size: None) -> RowCheck:
        """The check that adds its findings to a report."""
        return RowCheck(shape_of(self.model), report, progress, key=self.key)


@dataclass(frozen=True, slots=True)
class Subject:
    """The job that will be submitted.

    :param uris: the rendered URIs of the spec, with their wildcards.
    :param output: empty: its bucket is not checked.
    :param may_be_split: an input that is gzip, or has too many rows for one job, is written again as plain
        shards, and is not an error.
    :param deliver_to: the address of the answers; empty: its bucket is not checked.
    :param failure_limits: see `RowRules`; likewise for `key`.
    :param day: the UTC day on which it will be submitted; None: today.
    """

    model: str
    location: str
    uris: Sequence[str]
    output: str
    may_be_split: bool = False
    deliver_to: str = ""
    day: date | None = None
    failure_limits: Mapping[str, float] = field(default_factory=dict)
    key: str = ""

    @property
    def rules(self) -> RowRules:
        """What its rows are checked for."""
        return RowRules(self.model, self.key, self.failure_limits)

    @property
    def reads_table(self) -> bool:
        """Whether it reads a BigQuery table, whose rows are not checked."""
        return all(uri.startswith("bq://") for uri in self.uris)


@dataclass(frozen=True, slots=True)
class CheckedRows:
    """The findings of an earlier pre-flight, and the input that it checked.

    :param listing: see `listing_of`.
    :param report: see `report_data`.
    """

    listing: str
    report: Mapping[str, object]


def listing_of(objects: Sequence[SourceObject], rules: RowRules) -> str:
    """The fingerprint of the objects that were checked, and of what they were checked for."""
    held = [each for each in objects if each.size]
    shape = shape_of(rules.model)  # its model's name is the same in every form of the model
    return f"{fingerprint_of(held)}:{shape.name}:{shape.model}:{rules.key}"


def report_data(report: Report) -> dict[str, object]:
    """Convert a report to plain data, with the findings that are shown."""
    data: dict[str, Any] = msgspec.to_builtins(replace(report, findings=report.shown))
    return data


def inspect(
    subject: Subject,
    storage: ObjectStorage | None,
    client: ModelClient | None,
    progress: Callable[[int], None] = lambda _size: None,
    *,
    objects: Sequence[SourceObject] | None = None,
    checked: CheckedRows | None = None,
) -> Report:
    """Check everything and report it.

    :param storage: None: neither the inputs nor the output's bucket are checked.
    :param client: None: the proxy is not called.
    :param progress: called with the size of each block of rows, in bytes.
    :param objects: the inputs, if they were found already.
    :param checked: the earlier findings in the rows; they are read again only if the input has changed.
    :raises VertexBatchError: an input or a bucket is missing, or cannot be read.
    """
    report = subject.rules.new_report()
    day = subject.day or datetime.now(UTC).date()
    for finding in (*check_location(subject.model, subject.location), *check_life(subject.model, day)):
        report.add(finding)
    if client is not None:
        for finding in check_proxy(client, subject.model):
            report.add(finding)
    if subject.reads_table:
        report.add(Finding(Severity.DOUBT, "inputs", "the rows of a BigQuery table are not checked"))
    elif storage is not None:
        for address in filter(None, (subject.output, subject.deliver_to)):
            storage.check_output(address)
        found = storage.find(subject.uris) if objects is None else objects
        check = subject.rules.check(report, progress)
        if checked and checked.listing == listing_of(without_duplicates(found), subject.rules):
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
    open_storage: Callable[[], ObjectStorage],
    client: ModelClient | None,
    log: Log,
    *,
    checked: CheckedRows | None = None,
) -> Report | None:
    """Check a job right before it is submitted. In strict mode it raises, otherwise it warns.

    A doubt never raises. Rows that fail alone do not raise either, as long as one good row is left and they
    do not exceed the limits of the run.

    :param checked: see `inspect`.
    :raises PreflightError: no answer of it would be of use, or the run would fail; see `Report.why_hopeless`.
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
        log.warning("Pre-flight: %s Continuing, since the spec sets `preflight: warn`.", error)
        return None
    log.info("Pre-flight: %s", report.summary())
    if report.is_hopeless and mode is Mode.STRICT:
        raise PreflightError.of(report)
    for line in report.lines():
        log.warning("Pre-flight: %s", line)
    return report


def _add(report: Report, rows: Report) -> None:
    for finding in rows.findings:
        report.add(finding)
    for severity, count in rows.counts.items():
        kept = sum(finding.times for finding in rows.findings if finding.severity is severity)
        report.counts[severity] += count - kept
    report.objects += rows.objects
    report.rows += rows.rows
    report.size_bytes += rows.size_bytes
    report.bad_rows += rows.bad_rows
    report.packed += rows.packed
