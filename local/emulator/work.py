"""The work of a job: read its input, make its rows, write its output. Blocking code, for worker threads.

Import and prediction are one pass, in bounded memory: a window of input lines is shuffled, the output rows
go to a temporary file, and the ends of the rows are remembered. So the first k rows are at hand at any
moment, which is what a job that is cancelled half-way has finished.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Event
from typing import Any

from .catalogue import MAX_ROWS
from .importer import Importer, ImportRefusedError
from .objects import BucketMissingError, ObjectMissingError, ObjectStore, Uri
from .rows import REQUIRED_KEYS, Made, RowMaker, identity_of
from .script import Order, Output

# Rows are shuffled within a window, so that memory stays bounded whatever the input.
_WINDOW_ROWS = 8192
_WINDOW_BYTES = 32 << 20
_CHUNK_BYTES = 1 << 20
_DIGEST_BYTES = 16

IMPORT_FAILED = (
    "Failed to import data. Please check 'Prepare input' in "
    "https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/batch-prediction-api."
)


class JobFailure(Exception):  # noqa: N818 - it is how a job ends, not how the emulator does
    """The job ends as FAILED.

    :param code: a google.rpc.Code.
    :param message: the words of Vertex.
    :param note: what was really wrong; goes into the ledger only.
    """

    def __init__(self, code: int, message: str, note: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.note = note or message


class Abandoned(Exception):  # noqa: N818 - no caller waits for the work any longer
    """The job was cancelled before its import was through."""


class Spool:
    """The output rows of a job in a temporary file, in the order in which they finish.

    :ivar never: how many rows of the input never finish.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(buffering=_CHUNK_BYTES)  # noqa: SIM115 - closed by `close`
        self._ends = array("Q", [0])
        self._ok = bytearray()
        self._lines = bytearray()  # the digests of the input lines
        self._left: Counter[bytes] = Counter()
        self._copies: dict[int, int] = {}
        self._failed_by_rule: dict[int, bytes] = {}
        self.never = 0

    def add(self, made: Made, line: bytes, identity: bytes) -> None:
        """Append a row.

        :param line: of the input.
        """
        digest = _digest(line)
        if made.never:
            self.never += 1
            self._left[digest] += 1
            return
        if made.failed_by_rule:
            self._failed_by_rule[len(self)] = identity
        if made.copies != 1:
            self._copies[len(self)] = made.copies
        self._file.write(made.line)
        self._file.write(b"\n")
        self._ends.append(self._ends[-1] + len(made.line) + 1)
        self._ok.append(made.ok)
        self._lines += digest

    def incomplete(self, rows: int) -> Counter[bytes]:
        """The digests of the input lines that have not finished, if the first rows have."""
        size = _DIGEST_BYTES
        starts = range(rows * size, len(self._lines), size)
        return self._left + Counter(bytes(self._lines[start : start + size]) for start in starts)

    def failed_by_rule(self, rows: int) -> list[bytes]:
        """The identities of those of the first rows that failed by a rule."""
        return [identity for index, identity in self._failed_by_rule.items() if index < rows]

    def __len__(self) -> int:
        return len(self._ok)

    def counts(self, rows: int) -> tuple[int, int]:
        """How many of the first rows succeeded, and how many failed."""
        good = self._ok.count(1, 0, rows)
        return good, rows - good

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where the rows from ``first`` up to ``last`` (not included) are in the file."""
        return self._ends[first], self._ends[last]

    def spans(self, first: int, last: int) -> list[tuple[int, int]]:
        """Where the lines of these rows are, each as often as it is to be written."""
        found: list[tuple[int, int]] = []
        for index in sorted(index for index in self._copies if first <= index < last):
            found += [self.span(first, index), *[self.span(index, index + 1)] * self._copies[index]]
            first = index + 1
        return [*found, self.span(first, last)]

    def read(self, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """The bytes of some parts of the file."""
        self._file.flush()
        for start, end in spans:
            self._file.seek(start)
            left = end - start
            while left and (piece := self._file.read(min(left, _CHUNK_BYTES))):
                left -= len(piece)
                yield piece

    def close(self) -> None:
        """Give the file back; the counts stay."""
        self._file.close()
        self._ends = array("Q", [0])


@dataclass(frozen=True)
class Work:
    """What a job has to do.

    :param shuffle_seed: two jobs with one seed finish their rows in the same order.
    :param resumed: the jobs whose output folders this one reads, and what they left incomplete.
    """

    store: ObjectStore
    uris: Sequence[str]
    output_prefix: str
    maker: RowMaker
    shuffle_seed: str
    resumed: Sequence[tuple[Work, Counter[bytes]]] = ()

    def prepare(self, abandoned: Event) -> Spool:
        """Import the input and make all output rows.

        :raises JobFailure: a bucket or an object is missing, or the importer refuses the input.
        """
        spool = Spool()
        try:
            self.store.check_bucket(Uri.parse(self.output_prefix).bucket)
            for index, (line, row) in enumerate(self._shuffled(abandoned)):
                extra = self.maker.output.first_row if index == 0 else ()
                identity = identity_of(row) if self.maker.rules else b""
                spool.add(self.maker.run(line, row, extra, identity), line, identity)
        except BaseException as error:
            spool.close()
            if isinstance(error, BucketMissingError):
                raise JobFailure(9, bucket_message(error.bucket)) from error
            if isinstance(error, ObjectMissingError):
                raise JobFailure(3, IMPORT_FAILED, f"there is no object {error.uri}") from error
            if isinstance(error, ImportRefusedError):
                raise JobFailure(3, IMPORT_FAILED, error.reason) from error
            raise
        return spool

    def _shuffled(self, abandoned: Event) -> Iterator[tuple[bytes, dict[str, Any]]]:
        order = random.Random(self.shuffle_seed)  # noqa: S311 - has to be repeatable
        window: list[tuple[bytes, dict[str, Any]]] = []
        held = 0

        def draw() -> tuple[bytes, dict[str, Any]]:
            if self.maker.output.order is not Order.SHUFFLED:
                return window.pop(0 if self.maker.output.order is Order.INPUT else -1)
            index = order.randrange(len(window))
            window[index], window[-1] = window[-1], window[index]
            return window.pop()

        for line, row in self._imported():
            if abandoned.is_set():
                raise Abandoned
            window.append((line, row))
            held += len(line)
            while len(window) > _WINDOW_ROWS or held > _WINDOW_BYTES:
                drawn = draw()
                held -= len(drawn[0])
                yield drawn
        while window:
            yield draw()

    def _imported(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        family = self.maker.model.family
        importer = Importer(REQUIRED_KEYS[family])
        for bucket in dict.fromkeys(Uri.parse(uri).bucket for uri in self.uris):
            self.store.check_bucket(bucket)
        count = 0
        for line in self.input_lines():
            count += 1
            if count > MAX_ROWS[family]:
                raise ImportRefusedError(f"more than {MAX_ROWS[family]} rows")
            yield line, importer.check(line)
        if not count:
            raise ImportRefusedError("the input holds no rows")

    def input_lines(self) -> Iterator[bytes]:
        """The lines of the input, then those that the resumed jobs left incomplete."""
        objects = [found for uri in map(Uri.parse, self.uris) for found in self.store.expand(uri)]
        for found in objects:
            yield from self.store.lines(found)
        for earlier, incomplete in self.resumed:
            left = Counter(incomplete)
            for line in earlier.input_lines() if left else ():
                digest = _digest(line)
                if left[digest]:
                    left[digest] -= 1
                    yield line

    def export(self, spool: Spool, directory: str, rows: int) -> None:
        """Write the first rows to the output directory, with the oddities that the scenario asks for."""
        output = self.maker.output
        self.maker.failures.add(spool.failed_by_rule(rows))
        if not output.write:
            return
        if output.incremental:
            self._upload(
                spool,
                f"{directory}/incremental_predictions/predictions_00000.jsonl",
                [spool.span(0, rows // 2)],
            )
        for name, spans in _files(spool, output, rows):
            self._upload(spool, f"{directory}/{name}", spans)

    def _upload(self, spool: Spool, uri: str, spans: Sequence[tuple[int, int]]) -> None:
        size = sum(end - start for start, end in spans)
        try:
            self.store.upload(Uri.parse(uri), spool.read(spans), size)
        except BucketMissingError as error:
            message = (
                "Service account service-agent@gcp-sa-aiplatform.iam.gserviceaccount.com doesn't have "
                f'sufficient permission "storage.objects.create" to write {uri}.'
            )
            raise JobFailure(7, message) from error


def _files(spool: Spool, output: Output, rows: int) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    written = 0 if output.empty else max(0, rows - output.missing_rows)
    bounds = [written * shard // output.shards for shard in range(output.shards + 1)]
    files = [spool.spans(first, last) for first, last in pairwise(bounds)]
    if output.duplicate_rows:
        files[-1].append(spool.span(0, min(output.duplicate_rows, written)))
    if output.truncated and written:
        start, end = files[-1][-1]
        last_start, _ = spool.span(written - 1, written)
        files[-1][-1] = (start, end - (end - max(start, last_start)) // 2)
    for number, spans in enumerate(files, start=1):
        yield ("predictions.jsonl" if len(files) == 1 else f"predictions_{number:05}.jsonl"), spans


def _digest(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=_DIGEST_BYTES).digest()


def bucket_message(bucket: str) -> str:
    """What Vertex says about a bucket that it cannot find."""
    return (
        f"Failed to get GCS bucket location for {bucket}. "
        "Please check that the bucket exists and permissions are set correctly."
    )
