"""Read a run's input and decide which jobs read it. Does not depend on Airflow.

If possible, one job reads everything. An input that is too large is split into shards; a sample is drawn on
request. The input is listed once and read once: its rows are counted and checked in the same pass. Only then
is anything written, and nothing is submitted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from vertex_batch.errors import (
    ConfigurationError,
    InputChangedError,
    InputMissingError,
    VertexBatchError,
    count_of,
)
from vertex_batch.inputs import (
    InputPart,
    JobLimits,
    Measured,
    Measurer,
    PartKind,
    Shard,
    StagingPlace,
    draw,
    exists_with_size,
    make_shards,
    may_be_answered,
    needs_no_copy,
    rows_in,
    settle,
    stage,
)
from vertex_batch.log import Log
from vertex_batch.preflight import PreflightError, Report, RowRules, listing_of, report_data
from vertex_batch.storage import GZIP_SUFFIXES, ObjectStorage, SourceObject, without_duplicates

DEFAULT_MAX_SHARDS = 1024
"""Airflow's own default for ``[core] max_map_length``."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """The number of rows to draw, and the random seed."""

    rows: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ReadInput:
    """An input after it was read once.

    :param measured: each object with its content, in the order of names.
    :param report: the findings of the pre-flight; None if the rows were not checked.
    """

    measured: list[tuple[SourceObject, Measured]] = field(default_factory=list)
    report: Report | None = None

    @property
    def rows(self) -> int:
        """Lines that are not blank."""
        return sum(found.rows for _, found in self.measured)

    @property
    def answered(self) -> bool:
        """Whether a row has an answer already."""
        return any(found.answered for _, found in self.measured)


class InputPreparer:
    """Prepares one run's input.

    :param uris: the URIs of the spec.
    :param place: where shards and samples are written.
    :param check_for: what the rows are checked for while they are counted. None: they are not checked, and
        not read if their size alone shows that one job may read them.
    :param max_shards: the most jobs that a run may have.
    :param is_strict: an input that is split is refused if more rows are certain to fail than the run allows.
        The submit tasks of its shards see only their own rows.
    :ivar warnings: what the pre-flight has found in the rows of an input that was split.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        uris: Sequence[str],
        limits: JobLimits,
        place: StagingPlace,
        *,
        log: Log,
        check_for: RowRules | None = None,
        max_shards: int = DEFAULT_MAX_SHARDS,
        is_strict: bool = False,
    ) -> None:
        self._storage, self._uris, self._limits, self._place = storage, tuple(uris), limits, place
        self._log, self._check_for, self._max_shards = log, check_for, max_shards
        self._is_strict = is_strict
        self.warnings: list[str] = []

    def prepare(self) -> list[InputPart]:
        """Return what each job reads: one part with the spec's URIs, or the shards.

        :raises InputMissingError: there are no rows.
        :raises InputUnusableError: a row is too long for any job, or an object is damaged.
        :raises InputChangedError: the input is being written; a retry reads it again.
        :raises ObjectEncodedError: an object has a content encoding, so its size says nothing.
        :raises ConfigurationError: the input needs more jobs than a run may have.
        :raises PreflightError: see `is_strict`.
        """
        objects = self._objects()
        for each in objects:
            each.check_readable()
        size, count = sum(each.size for each in objects), count_of(len(objects), "object")
        packed = any(each.uri.endswith(GZIP_SUFFIXES) for each in objects)
        surely_fits = self._limits.surely_fits(size) and not packed and self._may_be_named
        if surely_fits and not self._check_for:
            self._log.info("Input: %s, %s bytes; one job reads all", count, f"{size:,}")
            return [InputPart(PartKind.WHOLE, self._uris)]
        try:
            read = read_input(self._storage, objects, self._limits, self._check_for)
        except VertexBatchError as error:
            if not surely_fits:
                raise
            # The rows are not needed here; the pre-flight decides whether that stops the job.
            self._log.warning("The rows of the input were not checked here: %s", error)
            return [InputPart(PartKind.WHOLE, self._uris)]
        self._log.info("Input: %s, %s bytes, %s rows", count, f"{size:,}", f"{read.rows:,}")
        if surely_fits and not any(found.packed for _, found in read.measured):
            return [self._whole(read)]
        for source, found in read.measured:
            found.check(source.uri)
        shards = make_shards(read.measured, self._limits)
        if not shards:
            raise InputMissingError(dict.fromkeys(self._uris, "holds no rows"))
        if needs_no_copy(shards) and self._may_be_named:
            self._see_unchanged(objects)
            return [self._whole(read)]
        settle(shards, self._limits)
        return self._split(objects, shards, read)

    def sample(self, wish: SampleRequest) -> InputPart:
        """Draw rows at random and write them into an object of their own.

        :raises InputMissingError: there are no rows to draw from. For other errors see `prepare`.
        """
        objects = self._objects()
        sample = draw(self._lines(objects), wish.rows, wish.seed, ", ".join(self._uris))
        if not sample.rows:
            raise InputMissingError(dict.fromkeys(self._uris, "holds no rows"))
        self._see_unchanged(objects)
        uri = self._place.uri("sample", wish.rows, wish.seed, [(each.uri, each.version) for each in objects])
        if not exists_with_size(self._storage, uri, sum(map(len, sample.rows))):
            self._storage.write(uri, sample.rows)
        part = InputPart(
            PartKind.SAMPLE,
            (uri,),
            rows=len(sample.rows),
            of_rows=sample.of_rows,
            seed=wish.seed,
            answered=any(map(may_be_answered, sample.rows)),
        )
        self._log.info("Drew %s: %s", part, uri)
        return part

    @property
    def _may_be_named(self) -> bool:
        """Whether a request may contain all URIs of the spec; a wildcard counts as one."""
        return len(self._uris) <= self._limits.max_files

    def _whole(self, read: ReadInput) -> InputPart:
        objects = [source for source, _ in read.measured]
        return InputPart(
            PartKind.WHOLE,
            self._uris,
            rows=read.rows,
            of_rows=read.rows,
            listing=listing_of(objects, self._check_for) if self._check_for else "",
            report=report_data(read.report) if read.report else None,
            answered=read.answered,
        )

    def _split(self, objects: list[SourceObject], shards: list[Shard], read: ReadInput) -> list[InputPart]:
        if len(shards) > self._max_shards:
            raise ConfigurationError(
                f"The input of {read.rows:,} rows needs {len(shards):,} jobs, but a run may have at most"
                f" {self._max_shards:,}. Nothing was submitted",
                "raise [core] max_map_length, max_rows_per_job or max_bytes_per_job, or write several specs",
            )
        if self._is_strict and read.report and read.report.exceeds_limits:
            raise PreflightError.of(read.report)
        staged = stage(self._storage, shards, self._place)
        self._see_unchanged(objects)
        self._log.info(
            "%s of at most %s rows and %s bytes each; wrote %s of %s bytes, %d already existed",
            count_of(len(shards), "job"),
            f"{self._limits.max_rows:,}",
            f"{self._limits.max_bytes:,}",
            count_of(staged.written, "object"),
            f"{staged.size:,}",
            staged.found,
        )
        self.warnings = read.report.lines() if read.report else []
        for line in self.warnings:
            self._log.warning("Pre-flight: %s", line)
        written = {each.uri: each for each in staged.objects}
        return [
            self._shard(number, shard, len(shards), read, written) for number, shard in enumerate(shards, 1)
        ]

    def _shard(
        self, number: int, shard: Shard, of: int, read: ReadInput, written: Mapping[str, SourceObject]
    ) -> InputPart:
        """One shard. If nothing in the whole input fails a job, no shard has to be checked again."""
        part = InputPart(
            PartKind.SHARD,
            self._place.of_shard(shard),
            number=number,
            of=of,
            rows=shard.rows,
            of_rows=read.rows,
            answered=read.answered,
        )
        report = read.report
        if self._check_for is None or report is None or (report.is_hopeless and not report.exceeds_limits):
            return part
        found = [*shard.named, *(written[uri] for uri in part.uris if uri in written)]
        size = sum(each.size for each in found)
        report = Report(objects=len(found), rows=shard.rows, size_bytes=size)
        return replace(part, listing=listing_of(found, self._check_for), report=report_data(report))

    def _objects(self, *, again: bool = False) -> list[SourceObject]:
        return in_order(self._storage.find(self._uris, again=again))

    def _lines(self, objects: list[SourceObject]) -> Iterator[bytes]:
        for source, stream in self._storage.read_each(objects):
            yield from rows_in(stream, source.uri)

    def _see_unchanged(self, objects: list[SourceObject]) -> None:
        now = {each.uri: each for each in self._objects(again=True)}
        before = {each.uri: each for each in objects}
        if now != before:
            changed = [uri for uri in {**before, **now} if before.get(uri) != now.get(uri)]
            raise InputChangedError(changed)


def in_order(objects: Iterable[SourceObject]) -> list[SourceObject]:
    """The objects that are not empty, in the order of their names; plans and samples depend on it."""
    found = [each for each in without_duplicates(objects) if each.size]
    return sorted(found, key=lambda each: each.uri)


def read_input(
    storage: ObjectStorage,
    objects: Sequence[SourceObject],
    limits: JobLimits,
    check_for: RowRules | None = None,
) -> ReadInput:
    """Read each object once: count its rows, find where it may be cut, and check the rows.

    :param objects: in order; see `in_order`.
    :param check_for: what the rows are checked for; None: they are not checked.
    """
    report = check_for.new_report() if check_for else None
    check = check_for.check(report) if check_for and report else None
    measured = []
    for source, stream in storage.read_each(objects):
        measurer = Measurer(limits)
        lines = measurer.lines(stream)
        if check:
            check.lines(lines, source.uri)
        else:
            for _ in lines:
                pass
        measured.append((source, measurer.result()))
    return ReadInput(measured, report)


def shards_of(storage: ObjectStorage, objects: Sequence[SourceObject], limits: JobLimits) -> list[Shard]:
    """Read objects and pack them into as many jobs as needed; nothing is written.

    :raises InputUnusableError: a row is too long for any job, or the compression is damaged.
    """
    read = read_input(storage, objects, limits)
    for source, found in read.measured:
        found.check(source.uri)
    return make_shards(read.measured, limits)
