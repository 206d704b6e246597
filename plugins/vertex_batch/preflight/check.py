"""The whole pre-flight of one job: its places first, then its rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from vertex_batch.errors import StorageUnavailableError, VertexBatchError
from vertex_batch.preflight.findings import Finding, Gravity, Mode, PreflightError, Report
from vertex_batch.preflight.places import ModelClient, check_location, check_proxy
from vertex_batch.preflight.rows import RowCheck
from vertex_batch.preflight.shapes import shape_of
from vertex_batch.submission import Log


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


class Found(Protocol):
    """An input object that is there."""

    @property
    def uri(self) -> str: ...


class Storage(Protocol):
    """What a pre-flight asks of an object store. It is `vertex_batch.hooks.storage.InputStorage`."""

    def find(self, uris: Sequence[str]) -> Sequence[Found]:
        """Find the objects, or raise that they are missing."""

    def check_output(self, uri: str) -> None:
        """Raise that the output's bucket is missing."""

    def open(self, uri: str) -> Any:
        """Open an object to read its bytes."""


def inspect(
    subject: Subject,
    storage: Storage | None,
    client: ModelClient | None,
    progress: Callable[[int], None] = lambda _size: None,
    *,
    objects: Sequence[Found] | None = None,
) -> Report:
    """Look at everything, and report it.

    :param storage: None: neither inputs nor the output's bucket are looked at.
    :param client: None: the proxy is not asked.
    :param progress: told the bytes of each block of rows.
    :param objects: the inputs, where they were found already.
    :raises VertexBatchError: an input or a bucket is missing, or cannot be read.
    """
    report = Report()
    for finding in check_location(subject.model, subject.location):
        report.add(finding)
    if client is not None:
        for finding in check_proxy(client, subject.model):
            report.add(finding)
    if subject.reads_table:
        report.add(Finding(Gravity.DOUBT, "inputs", "the rows of a BigQuery table are not looked at"))
    elif storage is not None:
        storage.check_output(subject.output)
        found = storage.find(subject.uris) if objects is None else objects
        _rows(subject, found, storage, report, progress)
    return report


def preflight(
    subject: Subject, mode: Mode, open_storage: Callable[[], Storage], client: ModelClient | None, log: Log
) -> Report | None:
    """Look at a job right before it is submitted. In strict mode it raises, otherwise it warns.

    A doubt never raises, nor do rows that fail by themselves, as long as one is left.

    :raises PreflightError: Vertex would answer no row of it.
    :raises VertexBatchError: as `inspect` does; in strict mode only.
    """
    if mode is Mode.OFF:
        return None
    try:
        report = inspect(subject, None if subject.reads_table else open_storage(), client)
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


def _rows(
    subject: Subject,
    objects: Sequence[Found],
    storage: Storage,
    report: Report,
    progress: Callable[[int], None],
) -> None:
    check = RowCheck(shape_of(subject.model), report, progress)
    for found in objects:
        try:
            with storage.open(found.uri) as stream:
                check.file(stream, found.uri)
        except VertexBatchError:
            raise
        except Exception as error:  # noqa: BLE001 - object stores raise what their libraries have
            _unavailable(found.uri, error)
    check.finish(may_be_split=subject.may_be_split)


def _unavailable(uri: str, error: Exception) -> NoReturn:
    raise StorageUnavailableError(uri, f"{type(error).__name__}: {error}") from error
