"""Read output rows into the tables of a join: their outcome as on the bill, their answer, their identity."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from vertex_batch.errors import OutputMissingError
from vertex_batch.results.answers import Answer, read_answer
from vertex_batch.results.costing import NO_COST, UNKNOWN_COST, JobPrices, RowCost, RowMeter
from vertex_batch.results.decoding import Row, RowDecoder
from vertex_batch.results.engine import Appender
from vertex_batch.results.input_rows import is_checked
from vertex_batch.results.keys import (
    NOTHING,
    Digest,
    canonical_request,
    digest,
    has_request,
    key_digest,
    loose_key,
    request_of,
    shared_digests,
)
from vertex_batch.results.schemas import SchemaCheck
from vertex_batch.results.spool import NO_SPAN, Span, Spool
from vertex_batch.results.types import AnswerForm, AttemptOutput, Reason, ResultSettings
from vertex_batch.storage import TOO_LONG, ByteStream, ObjectStorage, SourceObject, read_lines
from vertex_batch.usage import may_pass, output_files
from vertex_batch.usage.outcomes import Failed, Reading, Unreadable, Unrecognized
from vertex_batch.usage.reader import read_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SUFFIXES = (".jsonl", ".ndjson", ".json", ".gz")

Identity = tuple[Any, ...]
"""The key as text, and six numbers; see `keys.shared_digests`."""
_NO_IDENTITY: Identity = (None,) * 7


class OutputLoader:
    """Reads output rows: their outcome as on the bill, their answer, and what identifies them."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        store: ObjectStorage,
        settings: ResultSettings,
        spool: Spool,
        *,
        shared: Container[Digest],
        first_file: int,
        checks_all: bool,
    ) -> None:
        self._connection = connection
        self._store, self._settings, self._shared = store, settings, shared
        self._decoder = RowDecoder(settings.key)
        self._schema = SchemaCheck(settings.schema) if settings.schema is not None else None
        self._rows = Appender(connection, "output_rows")
        self._prompts = Appender(connection, "output_prompts")
        self._checks_all = checks_all
        self._spool = spool
        self._file = first_file
        self.named: list[tuple[int, str]] = []
        self._id = self._job = self._part = self._attempt = self._line = 0
        self._meter = RowMeter(JobPrices())

    def load(self, output: AttemptOutput, prices: JobPrices) -> None:
        """Read the output of one job.

        :raises OutputMissingError: a folder holds no rows, or a file does not exist.
        """
        self._meter, self._attempt = RowMeter(prices), output.attempt
        self._job += 1
        self._part += 1
        if output.resumes:
            self._connection.execute("INSERT INTO resumed_jobs VALUES (?)", [self._job])
        for objects, copied in _objects(self._store, output.outputs):
            for source, stream in self._store.read_each(objects):
                self._part += copied
                self.named.append((self._file, source.uri))
                self._lines(stream)
                self._file += 1

    def _lines(self, stream: ByteStream) -> None:
        self._line = 0
        for block in read_lines(stream):
            if block.damage:
                self._line += 1
                self._unreadable(f"{block.damage}; rows from here on are missing")
                continue
            for line in block.lines:
                self._line += 1
                if line == TOO_LONG:
                    self._unreadable("the line is too long to be a row")
                elif not line.isspace():
                    self._row(line)

    def flush(self) -> None:
        self._rows.flush()
        self._prompts.flush()
        self._spool.flush()

    def _row(self, line: bytes) -> None:
        outcome = read_row(line)
        wrapper = outcome.wrapper if type(outcome) is Reading else "response"
        row, key, is_whole = self._decoder.output(line, wrapper)
        identity = self._identity(row if is_whole else None, key, line)
        if type(outcome) is Reading:
            answer = self._checked(read_answer(row, wrapper, self._settings.answer))
            self._add(identity, answer, self._meter.cost_of(outcome), outcome.response_id)
            compare = self._settings.key and is_checked(identity[1], all_rows=self._checks_all)
            if compare and (prompt := self._decoder.prompt_of(line)):
                self._prompts.add((self._id, *prompt), 0)
        elif type(outcome) is Failed:
            reason = Reason.TRANSIENT if may_pass(outcome.reason) else Reason.FAILED
            self._add(identity, Answer(reason=reason, words=outcome.reason), NO_COST)
        elif type(outcome) is Unreadable:
            self._add(identity, Answer(reason=Reason.UNREADABLE, words=outcome.reason), UNKNOWN_COST)
        elif type(outcome) is Unrecognized:
            self._add(identity, Answer(reason=Reason.UNRECOGNIZED, words=outcome.reason), UNKNOWN_COST)

    def _checked(self, answer: Answer) -> Answer:
        """An answer, or the violation of the schema in it."""
        if self._schema is None or answer.reason or answer.text is None:
            return answer
        if self._settings.answer != AnswerForm.JSON:
            return answer
        if (found := self._schema.violation(answer.text)) is None:
            return answer
        return Answer(
            answer.text, finish=answer.finish, reason=Reason.SCHEMA, schema_path=found[0], words=found[1]
        )

    def _identity(self, whole: Row | None, text: str | None, line: bytes) -> Identity:
        """The key as text and the six digests."""
        if text is None:
            whole = self._decoder.whole(line) if whole is None else whole
            if not has_request(whole):
                return _NO_IDENTITY
            return None, *digest(canonical_request(request_of(whole))), *NOTHING, *NOTHING
        identity = key_digest(loose_key(text))
        if identity in self._shared:
            found = shared_digests(text, self._decoder.whole(line) if whole is None else whole)
            if found[0] != NOTHING:  # the answer to another request must not be taken for one to this
                return text, *found[0], *NOTHING, *NOTHING
            return text, *NOTHING, *found[1], *found[2]
        return text, *identity, *NOTHING, *NOTHING

    def _unreadable(self, words: str) -> None:
        self._add(_NO_IDENTITY, Answer(reason=Reason.UNREADABLE, words=words), UNKNOWN_COST)

    def _add(self, identity: Identity, answer: Answer, cost: RowCost, response_id: object = None) -> None:
        self._id += 1
        responded = digest(response_id.encode()) if type(response_id) is str and response_id else NOTHING
        self._rows.add(
            (
                *(self._id, self._attempt, self._job, self._part, self._file, self._line),
                *identity,
                *responded,
                answer.reason,
                answer.words or None,
                answer.schema_path or None,
                cost.model,
                answer.finish or None,
                *cost.tokens,
                cost.usd,
                cost.complete,
                *self._place(answer),
                answer.embedding is not None,
            ),
            len(answer.words),
        )

    def _place(self, answer: Answer) -> Span:
        """Put an answer into the spool; return where it is."""
        if answer.embedding is not None:
            return self._spool.add_numbers(answer.embedding)
        return NO_SPAN if answer.text is None else self._spool.add(answer.text.encode())


def _objects(store: ObjectStorage, outputs: Iterable[str]) -> Iterator[tuple[Sequence[SourceObject], bool]]:
    """The files of outputs, and whether one may repeat the rows of another."""
    for uri in outputs:
        if uri.endswith(_SUFFIXES):
            (found,) = store.look_up([uri])
            if found is None:
                raise OutputMissingError(uri, "it does not exist")
            yield [found], False
        else:
            files = output_files(store, uri)
            yield files.objects, files.copied
