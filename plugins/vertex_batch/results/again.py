"""Which rows of ended jobs are sent again, and the input that they are written into. Does not use Airflow.

A round reads only the rows of the round before it. What an earlier round has answered, or has failed for a
reason that stays, is not looked at again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from vertex_batch.errors import InputUnusableError
from vertex_batch.inputs import JobLimits, StagingPlace, exists_with_size
from vertex_batch.lifecycle.waiting import describe, failed_for_a_passing_reason
from vertex_batch.log import Log
from vertex_batch.results.delivery_facts import later_objects, replaced_input
from vertex_batch.results.joining import join
from vertex_batch.results.types import AttemptOutput, Counts, Reason, ResultSettings
from vertex_batch.storage import ObjectStorage, blocks_of
from vertex_batch.vertex.names import JobId, Place
from vertex_batch.vertex.resource import BatchPredictionJob, JobState

TRANSIENT = "transient"
_REASONS: dict[str, frozenset[Reason]] = {
    TRANSIENT: frozenset({Reason.TRANSIENT}),
    "truncated": frozenset({Reason.TRUNCATED}),
    "invalid": frozenset({Reason.NOT_JSON, Reason.SCHEMA}),
}
_STAYS = (Reason.FAILED, Reason.BLOCKED)
_PAID_NAMES = ("truncated", "invalid")
"""Rows that Vertex has answered. Each time that they are sent, they are paid for."""
_GONE = (
    "The rows without an answer are no longer in it. Nothing was submitted: the job would pay for the rows of"
    " another input. A retry fails the same way until the input that the job has read is"
    " restored, for example from an older version of the object."
)
LEAST_IMPROVEMENT = Decimal("0.1")
"""The share of paid rows that a round has to answer well, or the next one sends none of them."""


@dataclass(frozen=True, slots=True)
class JobChain:
    """The jobs that ran one input, one after the other: the first, and those submitted again for it.

    :param jobs: oldest first, all ended.
    :param later: jobs that ran rows of this input after that, such as those of a round that is repeated.
    :param input_rows: of the input when the first one was submitted; None if they were not counted.
    """

    place: Place
    jobs: tuple[BatchPredictionJob, ...]
    later: tuple[BatchPredictionJob, ...] = ()
    input_rows: int | None = None

    @property
    def outputs(self) -> list[AttemptOutput]:
        """The output folders with rows in them."""
        return [
            AttemptOutput(
                number, JobId(*self.place, job.job_id), (job.output_directory,), resumes=self._resumes(job)
            )
            for number, job in enumerate((*self.jobs, *self.later))
            if job.output_directory and _may_have_rows(job)
        ]

    def _resumes(self, job: BatchPredictionJob) -> bool:
        """Whether a job read the output of another one of this chain."""
        folders = [f"{each.output_directory.rstrip('/')}/" for each in self.jobs if each.output_directory]
        return any(uri.startswith(folder) for uri in job.input_uris for folder in folders)

    @property
    def is_hopeless(self) -> bool:
        """Whether the last job failed for a reason that stays until a person fixes it."""
        last = self.jobs[-1]
        return last.state is JobState.FAILED and not failed_for_a_passing_reason(describe(last))

    @property
    def has_only_answers(self) -> bool:
        """Whether Vertex counts no row without an answer."""
        stats, last = self.jobs[-1].completion_stats, self.jobs[-1]
        return (
            len(self.jobs) == 1
            and last.state is JobState.SUCCEEDED
            and stats is not None
            and (stats.failed_count, stats.incomplete_count) == (0, 0)
            and stats.successful_count > 0
        )

    @property
    def may_have_stopped_early(self) -> bool:
        """Whether a row without output may be one that no job has reached.

        Otherwise Vertex counted it as finished, and it may be on Google's bill.
        """
        stats = self.jobs[-1].completion_stats
        left = stats is not None and stats.incomplete_count > 0
        return len(self.jobs) > 1 or left or not self.jobs[-1].state.has_results


def wanted_reasons(names: Collection[str], *, stopped_early: bool) -> frozenset[Reason]:
    """Translate the spec's reasons into those of a delivery.

    :param stopped_early: rows without output count as transient.
    """
    wanted = frozenset(reason for name in names for reason in _REASONS[name])
    return wanted | {Reason.MISSING} if stopped_early and TRANSIENT in names else wanted


def are_lasting(reasons: Collection[str]) -> bool:
    """Whether no row of a delivery may be answered another time, whatever a spec's `retry_rows` lists."""
    worth = frozenset({Reason.MISSING}).union(*_REASONS.values())
    return bool(reasons) and worth.isdisjoint(reasons)


@dataclass(frozen=True, slots=True)
class RetryFile:
    """The rows of one job, in a local file.

    :param digest: of the content.
    """

    path: Path
    rows: int
    size: int
    digest: str


@dataclass(slots=True)
class RetrySelection:
    """What a look at the round before has found.

    :param answered: rows that it has answered.
    :param sent: rows that are sent again, by reason.
    :param left: rows that are not, by reason.
    """

    files: list[RetryFile] = field(default_factory=list)
    answered: int = 0
    sent: Counter[Reason] = field(default_factory=Counter)
    left: Counter[Reason] = field(default_factory=Counter)

    def add(self, counts: Counts, wanted: Collection[Reason]) -> None:
        self.answered += counts.delivered
        for reason, rows in counts.exceptions.items():
            (self.sent if reason in wanted else self.left)[reason] += rows

    @property
    def sent_and_paid(self) -> dict[str, int]:
        """How many rows are sent again that were answered and paid for, by the spec's reason."""
        found = {name: sum(self.sent[reason] for reason in _REASONS[name]) for name in _PAID_NAMES}
        return {name: rows for name, rows in found.items() if rows}

    def report(self, log: Log) -> None:
        """Log the numbers, what is paid for again, and why some rows are not sent again."""
        if self.sent:
            log.info("Sending %s rows again: %s", f"{self.sent.total():,}", _named(self.sent))
        if paid := self.sent_and_paid:
            log.warning(
                "%s of the rows that are sent again were answered before and are on a bill (%s). They are"
                " paid for again. With the same prompt and the same limit of output tokens, most of them may"
                " end in the same way",
                f"{sum(paid.values()):,}",
                ", ".join(f"{rows:,} {name}" for name, rows in paid.items()),
            )
        if self.left:
            stays = sum(self.left[reason] for reason in _STAYS)
            why = (
                f" {stays:,} of them failed for a reason that stays until the row is changed, such as"
                " INVALID_ARGUMENT or a safety filter."
                if stays
                else ""
            )
            log.warning(
                "%s rows have no good answer and are not sent again: %s.%s The delivery lists them.",
                f"{self.left.total():,}",
                _named(self.left),
                why,
            )


def futile_reasons(sent: Mapping[str, int], again: Mapping[str, int]) -> list[str]:
    """The reasons for which the round before paid for rows again and answered hardly any of them well.

    :param sent: the paid rows that the round before sent, by reason; see `RetrySelection.sent_and_paid`.
    :param again: those that would be sent now. If there are more than were sent, some of them were not tried
        again yet, so nothing can be said.
    """
    return [
        name
        for name, rows in sent.items()
        if 0 < (left := again.get(name, 0)) <= rows and rows - left < LEAST_IMPROVEMENT * rows
    ]


class RetryCollector:
    """Writes the rows that are sent again into local files, each for one job.

    :param reasons: those of the spec.
    :param work: a folder on a local disk for this collector alone.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        settings: ResultSettings,
        reasons: Collection[str],
        limits: JobLimits,
        *,
        work: Path,
        log: Log,
    ) -> None:
        self._storage, self._settings, self._reasons = storage, settings, tuple(reasons)
        self._limits, self._work, self._log = limits, work, log

    def collect(self, chains: Sequence[JobChain]) -> RetrySelection:
        """Find the rows of all chains, in the order of the inputs. Memory does not grow with the rows.

        :raises InputMissingError: an input no longer exists. The other errors are those of `join`.
        :raises InputUnusableError: an input now has other rows than a job has read.
        """
        found = RetrySelection()
        self._work.mkdir(parents=True, exist_ok=True)
        found.files = list(_files(self._rows(chains, found), self._limits, self._work))
        return found

    def _rows(self, chains: Sequence[JobChain], found: RetrySelection) -> Iterator[bytes]:
        for number, chain in enumerate(chains):
            last = chain.jobs[-1]
            if chain.is_hopeless:
                self._log.warning(
                    "No row of job %s is sent again: it failed for a reason that stays until a person fixes"
                    " it (code %d). Fix the cause, then clear the submit task",
                    last.job_id,
                    last.error.code if last.error else 0,
                )
                continue
            if self._reasons == (TRANSIENT,) and chain.has_only_answers:
                stats = last.completion_stats
                found.answered += stats.successful_count if stats else 0
                continue
            wanted = wanted_reasons(self._reasons, stopped_early=chain.may_have_stopped_early)
            with join(
                chain.jobs[0].input_uris,
                chain.outputs,
                self._settings,
                store=self._storage,
                work=self._work / f"join_{number}",
                jobs=chain.jobs,
                counted=chain.input_rows,
            ) as joined:
                if uri := replaced_input(joined.counts, chain.input_rows):
                    raise InputUnusableError(
                        uri, f"it was replaced after job {last.job_id} was created", _GONE
                    )
                if later := later_objects(joined.counts):
                    self._log.warning("%s", later)
                found.add(joined.counts, wanted)
                yield from joined.rows_to_send_again(wanted)


def stage_files(storage: ObjectStorage, files: Sequence[RetryFile], place: StagingPlace) -> list[str]:
    """Write the files where Vertex can read them, and return their URIs.

    The name is a digest of the content. A task that is tried again finds what it wrote, and its job reads the
    same object.
    """
    uris = []
    for each in files:
        uri = place.uri("retry", each.digest)
        if not exists_with_size(storage, uri, each.size):
            storage.write(uri, blocks_of(each.path))
        uris.append(uri)
    return uris


def _files(rows: Iterator[bytes], limits: JobLimits, work: Path) -> Iterator[RetryFile]:
    """Write rows into files of at most so many rows and bytes."""
    row, number = next(rows, None), 0
    while row is not None:
        path, count, size, digest = work / f"part_{number}.jsonl", 0, 0, hashlib.sha256()
        with path.open("wb") as file:
            while row is not None and (not count or limits.fits(count + 1, size + len(row))):
                file.write(row)
                digest.update(row)
                count, size, row = count + 1, size + len(row), next(rows, None)
        number += 1
        yield RetryFile(path, count, size, digest.hexdigest())


def _may_have_rows(job: BatchPredictionJob) -> bool:
    stats = job.completion_stats
    return stats is None or stats.successful_count + stats.failed_count != 0


def _named(counts: Counter[Reason]) -> str:
    return ", ".join(f"{rows:,} {reason}" for reason, rows in sorted(counts.items()))
