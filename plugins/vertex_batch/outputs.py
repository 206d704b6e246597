"""What a job has left in the object store: the rows of its output, and how many rows its input had."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import ConfigurationError, OutputMissingError
from vertex_batch.usage import (
    Progress,
    Scanner,
    ScanOptions,
    ScanResult,
    UsageKey,
    answered_ids,
    at_most_every,
    count_rows,
    output_files,
    scan_output,
)
from vertex_batch.usage.lines import read_lines
from vertex_batch.usage.tables import scan_table

if TYPE_CHECKING:
    from vertex_batch.costs import JobFacts
    from vertex_batch.resource import BatchPredictionJob
    from vertex_batch.submission import Log

PROCESSES_VARIABLE = "VERTEX_BATCH_SCAN_PROCESSES"
_TELL_SECONDS = 30

ReadTable = Callable[[str], Iterable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class ReadOutput:
    """The rows of a job.

    :param unknown: why a part of what the job cost cannot be known.
    :param problem: the output should be there, and is not.
    :param input_rows: None: they cannot be counted any more.
    """

    scan: ScanResult = field(default_factory=ScanResult)
    unknown: tuple[str, ...] = ()
    problem: OutputMissingError | None = None
    input_rows: int | None = None


class OutputReader:
    """Reads outputs of jobs that have ended.

    :param open_storage: opens the filesystem with the outputs; called only when there is one to read.
    :param read_table: gives the rows of a ``bq://`` table; None: what such outputs cost is not known.
    """

    def __init__(
        self, open_storage: Callable[[], Any], log: Log | None = None, read_table: ReadTable | None = None
    ) -> None:
        self._open_storage, self._read_table = open_storage, read_table
        self._log: Log = log or logging.getLogger(__name__)
        self._opened: Any = None
        self._processes = _scan_processes()

    def read(
        self, facts: JobFacts, thresholds: Mapping[str, int], job: BatchPredictionJob | None = None
    ) -> ReadOutput:
        """Read all rows, streaming.

        Where the input is the output of an earlier job, this one resumed it: the rows that were answered
        there come again in this output, and were billed there.

        :param thresholds: where the long-context rates of models begin.
        :param job: as Vertex has it; None: Vertex has it no more.
        """
        if not facts.output_directory:
            return ReadOutput(unknown=tuple(_why_unread(job) if job else ()))
        if _is_table(facts) and self._read_table is None:
            reason = f"the output is the BigQuery table {facts.output_directory}, which cannot be read here"
            return ReadOutput(unknown=(reason,))
        try:
            scan = self._scan(facts, thresholds)
        except OutputMissingError as error:
            # A job that could not write has an output directory all the same, and nothing in it.
            expected = job and (not job.completion_stats or job.completion_stats.successful_count == 0)
            return ReadOutput() if expected else ReadOutput(unknown=(error.reason,), problem=error)
        if scan.copied:
            scan.notes["answered by an earlier job, which was billed for them"] = scan.copied
        return ReadOutput(scan, input_rows=self._input_rows(facts))

    def _scan(self, facts: JobFacts, thresholds: Mapping[str, int]) -> ScanResult:
        already_billed = self._answered_before(facts) or None
        if _is_table(facts) and self._read_table:
            options = ScanOptions(facts.model, thresholds=thresholds, already_billed=already_billed)
            table = facts.output_directory
            return scan_table(self._read_table(table), table, options)
        return scan_output(
            self._storage(),
            facts.output_directory,
            job_model=facts.model,
            thresholds=thresholds,
            job=str(facts),
            processes=self._processes,
            on_progress=at_most_every(_TELL_SECONDS, partial(self._tell, facts)),
            already_billed=already_billed,
        )

    def _tell(self, facts: JobFacts, progress: Progress) -> None:
        self._log.info("Reading the output of job %s: %s", facts, progress)

    def usage_by_row(
        self, facts: JobFacts, thresholds: Mapping[str, int]
    ) -> Iterator[Mapping[UsageKey, int]]:
        """What each row used by itself. Each is read on its own, so this is for samples, not for millions.

        :param thresholds: where the long-context rates of models begin.
        """
        storage, options = self._storage(), ScanOptions(facts.model, thresholds=thresholds)
        for path in output_files(storage, facts.output_directory).read:
            with storage.open(path, "rb") as stream:
                for line in (line for block in read_lines(stream) for line in block.lines if line):
                    scanner = Scanner(options)
                    scanner.scan(io.BytesIO(line), path)
                    if (found := scanner.result()).rows:
                        yield found.tokens

    def _storage(self) -> Any:
        if self._opened is None:
            self._opened = self._open_storage()
        return self._opened

    def _answered_before(self, facts: JobFacts) -> set[str]:
        """The rows of the input that have an answer already. An input that is gone tells of none."""
        try:
            return {found for path in self._inputs(facts) for found in answered_ids(self._storage(), path)}
        except (OSError, ValueError) as error:
            self._log.warning("Whether job %s resumed another one cannot be seen: %s", facts, error)
            return set()

    def _input_rows(self, facts: JobFacts) -> int | None:
        """Rows of the input, to check the output against; None where they cannot be counted any more."""
        total, found = 0, False
        try:
            for path in self._inputs(facts):
                found = True
                with self._storage().open(path, "rb", compression="infer") as stream:
                    total += count_rows(stream)
        except (OSError, ValueError) as error:
            self._log.warning("The input of job %s could not be counted: %s", facts, error)
            return None
        return total if found else None

    def _inputs(self, facts: JobFacts) -> Iterator[str]:
        for uri in facts.input_uris:
            if uri.startswith("gs://"):
                yield from self._storage().glob(uri)


def _is_table(facts: JobFacts) -> bool:
    return facts.output_directory.startswith("bq://")


def _scan_processes() -> int:
    """How many processes may read one output: one, since a worker counts on a core for each task.

    :raises ConfigurationError: the environment names no number.
    """
    text = os.environ.get(PROCESSES_VARIABLE) or "1"
    if not (text.isascii() and text.isdecimal() and int(text) > 0):
        raise ConfigurationError(f"{PROCESSES_VARIABLE} is {text!r}: write how many processes, 1 or more.")
    return int(text)


def _why_unread(job: BatchPredictionJob) -> list[str]:
    """Why a job that names no output has an unknown cost; empty where it never ran."""
    rows = job.completion_stats.successful_count if job.completion_stats else 0
    return [f"Vertex counts {rows:,} finished rows, but names no output"] if rows else []
