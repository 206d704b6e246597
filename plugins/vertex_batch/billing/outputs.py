"""Read a job's output rows from the object store, and count the rows of its input."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any

from vertex_batch import usage
from vertex_batch.errors import ConfigurationError, InputChangedError, OutputMissingError, PermanentError
from vertex_batch.storage import ObjectStorage, as_storage, read_lines, without_duplicates, written_after
from vertex_batch.vertex.resource import JobState

if TYPE_CHECKING:
    from vertex_batch.costs import JobFacts
    from vertex_batch.log import Log
    from vertex_batch.vertex.resource import BatchPredictionJob

PROCESSES_VARIABLE = "VERTEX_BATCH_SCAN_PROCESSES"
_REPORT_SECONDS = 30

ReadTable = Callable[[str], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ReadOutput:
    """The rows of a job.

    :param unknown: why a part of the job's cost cannot be known.
    :param problem: the output should exist, but does not; or that of the job that this one resumed.
    :param input_rows: None if they were not counted, or can no longer be.
    """

    scan: usage.ScanResult = field(default_factory=usage.ScanResult)
    unknown: tuple[str, ...] = ()
    problem: OutputMissingError | None = None
    input_rows: int | None = None


class OutputReader:
    """Reads outputs of jobs that have ended.

    :param open_storage: opens the filesystem with the outputs; called only when there is one to read.
    :param read_table: returns the rows of a ``bq://`` table; None: the cost of such outputs is unknown.
    """

    def __init__(
        self,
        open_storage: Callable[[], ObjectStorage | Any],
        log: Log | None = None,
        read_table: ReadTable | None = None,
    ) -> None:
        self._open_storage, self._read_table = open_storage, read_table
        self._log: Log = log or logging.getLogger(__name__)
        self._processes = _scan_processes()

    def read(
        self,
        facts: JobFacts,
        thresholds: Mapping[str, int],
        job: BatchPredictionJob | None = None,
        input_rows: int | None = None,
        price_days: tuple[date, ...] = (),
    ) -> ReadOutput:
        """Read all rows, streaming.

        If the input is the output of an earlier job, this job resumed it: its output repeats the rows that
        were answered there and billed there.

        :param thresholds: where the long-context rates of models begin.
        :param job: the job in Vertex; None if Vertex no longer has it.
        :param input_rows: rows of the input, if they were counted before the job was submitted and none had
            an answer: then the input is not read. None: it is read.
        :param price_days: the days on which prices changed while the job ran, see `ScanOptions`.
        """
        if not facts.output_directory:
            unknown = why_unknown(job) if job else None
            return ReadOutput(unknown=(unknown,) if unknown else (), input_rows=input_rows)
        if _is_table(facts) and self._read_table is None:
            reason = f"the output is the BigQuery table {facts.output_directory}, which cannot be read here"
            return ReadOutput(unknown=(reason,))
        answered: frozenset[str] | None = None
        problem = None
        if input_rows is None and (found := self._input(facts)):
            input_rows, answered = found.rows, found.answered or None
        elif input_rows is None and (earlier := usage.resumed_output(facts.input_uris)):
            problem = OutputMissingError(
                earlier, f"job {facts} resumed it, and its bill has those rows again"
            )
        try:
            how = {"thresholds": thresholds, "already_billed": answered, "price_days": price_days}
            scan = self._scan(facts, how)
        except OutputMissingError as error:
            # A job that could not write still has an output directory, which is empty.
            unknown = why_unknown(job) if job else error.reason
            if unknown is None or (job and not job.state.has_results and job.completion_stats is None):
                return ReadOutput(unknown=(unknown,) if unknown else (), input_rows=input_rows)
            return ReadOutput(unknown=(error.reason,), problem=error, input_rows=input_rows)
        if scan.copied:
            scan.notes["answered and billed by an earlier job"] = scan.copied
            if input_rows is not None and scan.rows > input_rows:
                input_rows = None  # rows that the earlier job left incomplete are not in its output
        if problem:
            scan.notes[
                f"rows that an earlier job answered are billed again, since {problem.place} is gone"
            ] = 0
        return ReadOutput(scan, problem=problem, input_rows=input_rows)

    def _scan(self, facts: JobFacts, how: Mapping[str, Any]) -> usage.ScanResult:
        """Scan an output.

        :param how: see `ScanOptions`.
        """
        if _is_table(facts) and self._read_table:
            table = facts.output_directory
            return usage.scan_table(self._read_table(table), table, usage.ScanOptions(facts.model, **how))

        def report(progress: usage.Progress) -> None:
            self._log.info("Reading the output of job %s: %s", facts, progress)

        return usage.scan_output(
            self._storage,
            facts.output_directory,
            job_model=facts.model,
            job=str(facts),
            processes=self._processes,
            on_progress=usage.at_most_every(_REPORT_SECONDS, report),
            **how,
        )

    def usage_by_row(
        self, facts: JobFacts, thresholds: Mapping[str, int]
    ) -> Iterator[Mapping[usage.UsageKey, int]]:
        """The usage of each row. Each is scanned separately, so use this only for samples.

        :param thresholds: where the long-context rates of models begin.
        """
        storage, options = self._storage, usage.ScanOptions(facts.model, thresholds=thresholds)
        files = usage.output_files(storage, facts.output_directory)
        for source, stream in storage.read_each(files.objects):
            for line in (line for block in read_lines(stream) for line in block.lines if line):
                scanner = usage.Scanner(options)
                scanner.scan(io.BytesIO(line), source.uri)
                if (found := scanner.result()).rows:
                    yield found.tokens

    @cached_property
    def _storage(self) -> ObjectStorage:
        return as_storage(self._open_storage())

    def _input(self, facts: JobFacts) -> usage.InputFacts | None:
        """The facts of the input; None if it can no longer be read.

        :raises StorageUnavailableError: the store failed; a retry may succeed.
        """
        uris = [uri for uri in facts.input_uris if uri.startswith("gs://")]
        storage = self._storage
        try:
            objects = without_duplicates(each for uri in uris for each in storage.list(uri))
            found = usage.input_facts(storage, objects) if objects else None
        except (PermanentError, InputChangedError) as error:
            self._log.warning("The input of job %s could not be counted: %s", facts, error)
            return None
        if found and facts.create_time and (newer := written_after(objects, facts.create_time)):
            message = "The rows of the input of job %s are not known: %s of it is newer than the job"
            self._log.warning(message, facts, newer[0].uri)
            return replace(found, rows=None)
        return found


def _is_table(facts: JobFacts) -> bool:
    return facts.output_directory.startswith("bq://")


def _scan_processes() -> int:
    """How many processes may read one output. By default one, since a worker plans one core for each task.

    :raises ConfigurationError: the environment variable is not a positive integer.
    """
    text = os.environ.get(PROCESSES_VARIABLE) or "1"
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ConfigurationError(f"{PROCESSES_VARIABLE} is {text!r}: set the number of processes, 1 or more.")
    return int(text)


def why_unknown(job: BatchPredictionJob) -> str | None:
    """Why the cost of an ended job without output rows is unknown; None if no row was finished. Pure.

    Without counts, only a job that failed, or never ran, is taken to have finished none.
    """
    if job.completion_stats is None:
        if job.state is JobState.FAILED or not (job.state.has_results or job.start_time):
            return None
        return f"the job is {job.state}, but Vertex reports neither an output nor row counts"
    finished = job.completion_stats.successful_count
    if finished < 0:
        return "Vertex reports no output, and does not know how many rows were finished"
    return f"Vertex counts {finished:,} finished rows, but reports no output" if finished else None
