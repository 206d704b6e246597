"""Read the rows of the inputs into the tables of a join."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from vertex_batch.errors import InputUnusableError
from vertex_batch.preflight import path_names, value_at
from vertex_batch.results.decoding import RowDecoder
from vertex_batch.results.engine import Appender
from vertex_batch.results.keys import (
    NOTHING,
    Digest,
    canonical_request,
    digest,
    key_digest,
    loose_key,
    part_of_digest,
    request_of,
    shared_digests,
    whole_digest,
)
from vertex_batch.results.spool import NO_SPAN, Span, Spool
from vertex_batch.results.types import ResultSettings
from vertex_batch.storage import TOO_LONG, ObjectStorage, SourceObject, read_lines

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_MAX_SHARED = 100_000
PROMPTS_CHECKED = 50_000
"""Of an input of so many rows all prompts are compared with those of the output, then one of 16."""
_FIRST_ONLY = "INSERT INTO input_digests SELECT seq, loose_a, loose_b, NULL, NULL, NULL, NULL"


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


class InputLoader:
    """Reads all input rows: their place, key and kept fields, and what identifies them.

    :param digest: see `JoinedRows.input_digest`, of the rows that were read.
    """

    def __init__(
        self, connection: DuckDBPyConnection, store: ObjectStorage, settings: ResultSettings, spool: Spool
    ) -> None:
        self._connection, self._store, self._settings, self._spool = connection, store, settings, spool
        self._decoder = RowDecoder(settings.key)
        self._keep = [path_names(path) for path in settings.keep]
        self.digest = whole_digest(())

    def load(self, objects: Sequence[SourceObject]) -> int:
        """Read the rows; return how many there are."""
        numbers = {each.uri: n for n, each in enumerate(objects)}
        rows = Appender(self._connection, "input_rows")
        prompts = Appender(self._connection, "input_prompts")
        seq = total = 0
        for each in input_lines(self._store, objects):
            seq += 1
            total += part_of_digest(each.data.strip())
            text, kept, identity = self._row(each.data)
            rows.add((seq, numbers[each.source.uri], each.line, text, *kept, *identity), len(text or ""))
            compare = self._settings.key and is_checked(identity[0], all_rows=seq <= PROMPTS_CHECKED)
            if compare and (prompt := self._decoder.prompt_of(each.data)):
                prompts.add((seq, *prompt), 0)
        rows.flush()
        prompts.flush()
        self.digest = whole_digest((total,))
        return seq

    def _row(self, line: bytes) -> tuple[str | None, Span, tuple[int | None, int | None]]:
        """The key of a row, the place of its kept fields, and its identity."""
        if self._settings.key and not self._keep and (text := self._decoder.key_in(line)) is not None:
            return text, NO_SPAN, key_digest(loose_key(text))
        row = self._decoder.whole(line)
        text, kept = self._decoder.key_of(row), self._kept(row)
        if text is not None:
            return text, kept, key_digest(loose_key(text))
        identity = digest(canonical_request(request_of(row))) if row else NOTHING
        return None if self._settings.key or not row else _hex(identity), kept, identity

    def _kept(self, row: dict[str, object]) -> Span:
        if not self._keep:
            return NO_SPAN
        return self._spool.add(msgspec.json.encode([value_at(row, path) for path in self._keep]))

    def add_digests(self, objects: Sequence[SourceObject]) -> Container[Digest]:
        """Work out by what each row is matched, after all rows were read.

        A key that no other row has is enough. Where rows share a key, or keys differ only in the way in which
        a number is written, the request separates them. Where an output does not echo it, the key as it is
        written does, and then the order.

        :returns: the digests of keys that rows share; empty if there are none.
        """
        connection = self._connection
        if not self._settings.key:
            connection.execute(f"{_FIRST_ONLY} FROM input_rows")
            return frozenset()
        connection.execute(
            "CREATE TABLE shared AS SELECT loose_a, loose_b FROM input_rows WHERE key IS NOT NULL"
            " GROUP BY ALL HAVING count(*) > 1"
        )
        connection.execute(f"{_FIRST_ONLY} FROM input_rows ANTI JOIN shared USING (loose_a, loose_b)")
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
                text = self._decoder.key_of(row) or ""
                first, second, third = shared_digests(text, row)
                digests.add((seq, *first, *second, *third), 0)
                following_seq = next(following, None)
        digests.flush()


def is_checked(part: int | None, *, all_rows: bool) -> bool:
    """Whether the prompt of a row is compared.

    :param part: the first number of the digest of its key.
    """
    return all_rows or (part is not None and part % 16 == 0)


def values_of(cursor: DuckDBPyConnection) -> Iterator[int]:
    """The values of a query of one column, a few at a time."""
    while rows := cursor.fetchmany(4096):
        yield from (value for (value,) in rows)


def _hex(identity: tuple[int | None, int | None]) -> str:
    return "".join(f"{(part or 0) & 0xFFFFFFFFFFFFFFFF:016x}" for part in identity)
