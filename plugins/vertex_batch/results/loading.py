"""Read the rows of inputs and outputs into the tables of a join."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from vertex_batch.errors import InputUnusableError, OutputMissingError
from vertex_batch.results.answers import Answer, read_answer
from vertex_batch.results.costing import JobPrices, RowCost, RowMeter
from vertex_batch.results.keys import (
    Digest,
    canonical_request,
    digest,
    has_request,
    key_text,
    loose_key,
    path_names,
    request_of,
    value_at,
)
from vertex_batch.results.reasons import may_pass
from vertex_batch.results.schemas import SchemaCheck
from vertex_batch.results.tables import Appender
from vertex_batch.results.types import AnswerForm, AttemptOutput, Reason, ResultSettings
from vertex_batch.storage import TOO_LONG, ObjectStorage, SourceObject, read_lines, without_duplicates
from vertex_batch.usage import output_files
from vertex_batch.usage.outcomes import Failed, Unreadable, Unrecognized
from vertex_batch.usage.reader import read_row, strict_json
from vertex_batch.usage.reading import Reading

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NOTHING: tuple[None, None] = (None, None)
_NO_KEY = b"\0"
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".gz")
_MAX_SHARED = 100_000
_decode = msgspec.json.Decoder().decode


class _All(Container[Digest]):
    """So many keys are shared that it is not worth remembering which."""

    def __contains__(self, key: object) -> bool:
        return True


_ALL = _All()


@dataclass(frozen=True, slots=True)
class InputLine:
    """A line of an input that is not blank.

    :param line: its number in the file, from 1.
    """

    source: SourceObject
    line: int
    data: bytes


def input_lines(store: ObjectStorage, objects: Sequence[SourceObject]) -> Iterator[InputLine]:
    """Yield the rows of inputs, in order.

    :raises InputUnusableError: a compressed object ends too early or is damaged.
    """
    for source, stream in store.read_each(objects):
        number = 0
        for block in read_lines(stream):
            if block.damage:
                raise InputUnusableError(source.uri, block.damage)
            for line in block.lines:
                number += 1
                if line == TOO_LONG or not line.isspace():
                    yield InputLine(source, number, line)


class RowDecoder:
    """Decodes rows as far as a join needs them. A request is decoded only where it is asked for."""

    def __init__(self, settings: ResultSettings) -> None:
        self._key = path_names(settings.key)
        self._inside = bool(self._key) and self._key[0] in ("request", "body", "instance")
        names = {"request", "response", "predictions", "prediction", "result"}
        names |= set(self._key[:1])
        fields = [
            (
                f"f{n}",
                (Raw if name == "request" else Any) | UnsetType,
                msgspec.field(name=name, default=UNSET),
            )
            for n, name in enumerate(sorted(names))
        ]
        self._names = sorted(names)
        self._answers = [
            name for name in self._names if name in {"response", "predictions", "prediction", "result"}
        ]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("Partly", fields, gc=False)).decode

    def whole(self, line: bytes) -> dict[str, Any]:
        """All of a row; empty if it is not a JSON object."""
        row = self._any(line)
        return row if isinstance(row, dict) else {}

    def partly(self, line: bytes) -> dict[str, Any]:
        """A row with its answer and its key, and usually without its request."""
        if self._inside:
            return self.whole(line)
        try:
            found = self._decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self.whole(line)
        row = {
            name: value
            for n, name in enumerate(self._names)
            if (value := getattr(found, f"f{n}")) is not UNSET and name != "request"
        }
        return row if any(name in row for name in self._answers) else self.whole(line)

    def key(self, row: dict[str, Any]) -> str | None:
        """The key of a row; None if it has none. Text-embedding models echo it inside of the instance."""
        if not self._key:
            return None
        value = value_at(row, self._key)
        if value is None and "instance" in row:
            value = value_at(row, ("instance", *self._key))
        return key_text(value)

    @staticmethod
    def _any(line: bytes) -> Any:
        try:
            return _decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        try:
            plain = strict_json(line)
            return _decode(plain) if plain else None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


def key_digest(text: str) -> Digest:
    """The digest of a key; it is never that of a request."""
    return digest(_NO_KEY + text.encode("utf-8", "surrogatepass"))


class InputLoader:
    """Reads all input rows: their place, key and kept fields, and what identifies them."""

    def __init__(
        self, connection: DuckDBPyConnection, store: ObjectStorage, settings: ResultSettings
    ) -> None:
        self._connection, self._store, self._settings = connection, store, settings
        self._decoder = RowDecoder(settings)
        self._keep = [path_names(path) for path in settings.keep]

    def load(self, objects: Sequence[SourceObject]) -> int:
        """Read the rows; return how many there are."""
        numbers = {each.uri: n for n, each in enumerate(objects)}
        rows = Appender(self._connection, "input_rows")
        seq = 0
        for each in input_lines(self._store, objects):
            seq += 1
            row = self._row(each.data)
            text = self._decoder.key(row)
            if text is None:
                identity = digest(canonical_request(request_of(row))) if row else _NOTHING
                text = None if self._settings.key or not row else _hex(identity)
            else:
                identity = key_digest(loose_key(text))
            kept = self._kept(row)
            size = len(text or "") + len(kept or "")
            rows.add((seq, numbers[each.source.uri], each.line, text, kept, *identity), size)
        rows.flush()
        return seq

    def _row(self, line: bytes) -> dict[str, Any]:
        if self._settings.key and not self._keep:
            row = self._decoder.partly(line)
            return row if self._decoder.key(row) is not None else self._decoder.whole(line)
        return self._decoder.whole(line)

    def _kept(self, row: dict[str, Any]) -> str | None:
        if not self._keep:
            return None
        return msgspec.json.encode([value_at(row, path) for path in self._keep]).decode()

    def add_digests(self, objects: Sequence[SourceObject]) -> Container[Digest]:
        """Work out by what each row is matched, after all rows were read.

        A key that no other row has is enough. Where rows share a key, or keys differ only in the way in which
        a number is written, the request tells them apart, as far as it is echoed; then the key as it is
        written; then the order.

        :returns: the digests of keys that rows share; empty if there are none.
        """
        connection = self._connection
        if not self._settings.key:
            connection.execute(
                "INSERT INTO input_digests SELECT seq, loose_a, loose_b, NULL, NULL, NULL, NULL FROM input_rows"
            )
            return frozenset()
        connection.execute(
            "CREATE TABLE shared AS SELECT loose_a, loose_b FROM input_rows WHERE key IS NOT NULL"
            " GROUP BY ALL HAVING count(*) > 1"
        )
        connection.execute(
            "INSERT INTO input_digests SELECT seq, loose_a, loose_b, NULL, NULL, NULL, NULL"
            " FROM input_rows ANTI JOIN shared USING (loose_a, loose_b)"
        )
        connection.execute("COMMIT")  # so that a second cursor sees the rows
        connection.execute("BEGIN")
        (count,) = connection.execute("SELECT count(*) FROM shared").fetchall()[0]
        if count:
            self._add_shared(objects)
        if count > _MAX_SHARED:
            return _ALL
        return frozenset((a, b) for a, b in connection.execute("FROM shared").fetchall())

    def _add_shared(self, objects: Sequence[SourceObject]) -> None:
        wanted = self._connection.cursor().execute(
            "SELECT seq FROM input_rows SEMI JOIN shared USING (loose_a, loose_b) ORDER BY seq"
        )
        following = values_of(wanted)
        following_seq = next(following, None)
        digests = Appender(self._connection, "input_digests")
        for seq, each in enumerate(input_lines(self._store, objects), 1):
            if seq == following_seq:
                row = self._decoder.whole(each.data)
                text = self._decoder.key(row) or ""
                digests.add((seq, *shared_digests(text, row)))
                following_seq = next(following, None)
        digests.flush()


def shared_digests(text: str, row: dict[str, Any]) -> tuple[int | None, ...]:
    """The digests of a row whose key others have, too."""
    with_request: tuple[int | None, int | None] = _NOTHING
    if has_request(row):
        request = canonical_request(request_of(row))
        with_request = digest(loose_key(text).encode("utf-8", "surrogatepass") + b"\0" + request)
    return (
        *with_request,
        *digest(b"\1" + text.encode("utf-8", "surrogatepass")),
        *key_digest(loose_key(text)),
    )


class OutputLoader:
    """Reads output rows: their outcome as on the bill, their answer, and what identifies them."""

    def __init__(
        self,
        connection: DuckDBPyConnection,
        store: ObjectStorage,
        settings: ResultSettings,
        shared: Container[Digest],
        first_file: int,
    ) -> None:
        self._store, self._settings, self._shared = store, settings, shared
        self._decoder = RowDecoder(settings)
        self._schema = SchemaCheck(settings.schema) if settings.schema is not None else None
        self._rows = Appender(connection, "output_rows")
        self._answers = Appender(connection, "answers")
        self._embeddings = Appender(connection, "embeddings")
        self._files = first_file
        self.named: list[tuple[int, str]] = []
        self._id = self._job = self._part = 0

    def load(self, output: AttemptOutput, prices: JobPrices) -> None:
        """Read the output of one job.

        :raises OutputMissingError: a folder holds no rows, or a file does not exist.
        """
        meter = RowMeter(prices)
        self._job += 1
        self._part += 1
        for objects, copied in _objects(self._store, output.outputs):
            for source, stream in self._store.read_each(objects):
                self._part += copied
                self.named.append((self._files, source.uri))
                number = 0
                for block in read_lines(stream):
                    if block.damage:
                        number += 1
                        self._unreadable(
                            output.attempt, number, f"{block.damage}; rows from here on are missing"
                        )
                        continue
                    for line in block.lines:
                        number += 1
                        if line == TOO_LONG:
                            self._unreadable(output.attempt, number, "the line is too long to be a row")
                        elif not line.isspace():
                            self._row(output.attempt, number, line, meter)
                self._files += 1

    def flush(self) -> None:
        """Write the rows that were read."""
        for table in (self._rows, self._answers, self._embeddings):
            table.flush()

    def _row(self, attempt: int, number: int, line: bytes, meter: RowMeter) -> None:
        outcome = read_row(line)
        row = self._decoder.partly(line)
        identity = self._identity(row, line)
        answer, cost = Answer(), None
        if isinstance(outcome, Reading):
            cost = meter.cost_of(outcome)
            answer = self._checked(read_answer(row, self._settings.answer))
        elif isinstance(outcome, Failed):
            reason = Reason.TRANSIENT if may_pass(outcome.reason) else Reason.FAILED
            answer = Answer(reason=reason, words=outcome.reason)
        elif isinstance(outcome, Unreadable):
            answer = Answer(reason=Reason.UNREADABLE, words=outcome.reason)
        elif isinstance(outcome, Unrecognized):
            answer = Answer(reason=Reason.UNRECOGNIZED, words=outcome.reason)
        self._add(attempt, number, identity, answer, cost, getattr(outcome, "response_id", None))

    def _checked(self, answer: Answer) -> Answer:
        """An answer, or the violation of the schema in it."""
        if self._schema is None or answer.reason or answer.text is None:
            return answer
        if self._settings.answer is not AnswerForm.JSON:
            return answer
        if (found := self._schema.violation(answer.text)) is None:
            return answer
        return Answer(
            answer.text, finish=answer.finish, reason=Reason.SCHEMA, schema_path=found[0], words=found[1]
        )

    def _identity(self, row: dict[str, Any], line: bytes) -> tuple[Any, ...]:
        """The key as text and the six digests."""
        text = self._decoder.key(row)
        if text is None:
            whole = self._decoder.whole(line)
            text = self._decoder.key(whole)
            if text is None:
                if not has_request(whole):
                    return (None,) * 7
                return None, *digest(canonical_request(request_of(whole))), *_NOTHING, *_NOTHING
        identity = key_digest(loose_key(text))
        if identity in self._shared:
            return text, *shared_digests(text, self._decoder.whole(line))
        return text, *identity, *_NOTHING, *_NOTHING

    def _unreadable(self, attempt: int, number: int, words: str) -> None:
        self._add(attempt, number, (None,) * 7, Answer(reason=Reason.UNREADABLE, words=words), None, None)

    def _add(
        self,
        attempt: int,
        number: int,
        identity: tuple[Any, ...],
        answer: Answer,
        cost: RowCost | None,
        response_id: Any,
    ) -> None:
        self._id += 1
        responded = digest(response_id.encode()) if isinstance(response_id, str) and response_id else _NOTHING
        failed = answer.reason in (Reason.TRANSIENT, Reason.FAILED)
        self._rows.add(
            (
                self._id,
                attempt,
                self._job,
                self._part,
                self._files,
                number,
                *identity,
                *responded,
                answer.reason,
                answer.words or None,
                answer.schema_path or None,
                cost.model if cost else None,
                answer.finish or None,
                cost.input_tokens if cost else None,
                cost.cached_tokens if cost else None,
                cost.output_tokens if cost else None,
                cost.thoughts_tokens if cost else None,
                cost.usd if cost else 0 if failed else None,
                cost.complete if cost else failed,
            ),
            len(answer.words) + 200,
        )
        if answer.embedding is not None:
            self._embeddings.add((self._id, answer.embedding), 8 * len(answer.embedding))
        elif answer.text is not None:
            self._answers.add((self._id, answer.text), len(answer.text))


def find_inputs(store: ObjectStorage, inputs: Sequence[str]) -> list[SourceObject]:
    """List the inputs in the order in which they are named; those of a wildcard by name."""
    return without_duplicates(store.find(inputs))


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


def values_of(cursor: DuckDBPyConnection) -> Iterator[int]:
    """The values of a query of one column, a few at a time."""
    while rows := cursor.fetchmany(4096):
        yield from (value for (value,) in rows)


def _hex(identity: tuple[int | None, int | None]) -> str:
    return "".join(f"{(part or 0) & 0xFFFFFFFFFFFFFFFF:016x}" for part in identity)
