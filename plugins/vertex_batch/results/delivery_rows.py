"""The rows of a delivery's files: what is read from a join, in which columns, with which texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vertex_batch.results.files import Block, Kind, open_writer
from vertex_batch.results.joining import JoinedRows
from vertex_batch.results.types import AnswerForm
from vertex_batch.specs.results import ANSWER_COLUMNS, EXCEPTION_COLUMNS

if TYPE_CHECKING:
    import pyarrow as pa

_decode_kept = msgspec.json.Decoder(list[Any]).decode
_BLOCK_ROWS = 20_000
_BLOCK_BYTES = 16 << 20
_OF_OUTPUT = (
    "o.answer_start, o.answer_size, o.model, o.finish_reason, o.input_tokens, o.cached_tokens,"
    " o.output_tokens, o.thoughts_tokens, o.attempt"
)
QUERIES = {
    "answers": (
        f"""
        SELECT i.seq AS row, i.key, i.kept_start, i.kept_size, {_OF_OUTPUT},
            c.cost AS cost_usd, c.cost_complete
        FROM chosen c JOIN output_rows o USING (id) JOIN input_rows i USING (seq)
        WHERE o.reason IS NULL ORDER BY i.seq
        """,  # noqa: S608 - our own columns
        ("row", "key", "*", *ANSWER_COLUMNS),
    ),
    "exceptions": (
        f"""
        SELECT i.seq AS row, i.key, i.kept_start, i.kept_size, r.reason,
            coalesce(
                o.words,
                CASE WHEN i.loose_a IS NULL THEN 'the input line is not a JSON object'
                ELSE 'no output has a row for it' END
            ) AS message, o.schema_path, {_OF_OUTPUT},
            CASE WHEN c.seq IS NULL THEN 0 ELSE c.cost END AS cost_usd,
            coalesce(c.cost_complete, true) AS cost_complete,
            fi.uri AS input_file, i.line AS input_line, fo.uri AS output_file, o.line AS output_line
        FROM outcomes r JOIN input_rows i USING (seq) JOIN files fi ON fi.file = i.file
        LEFT JOIN chosen c ON c.seq = i.seq LEFT JOIN output_rows o ON o.id = c.id
        LEFT JOIN files fo ON fo.file = o.file
        WHERE r.reason IS NOT NULL ORDER BY i.seq
        """,  # noqa: S608 - our own columns
        ("row", "key", "*", *EXCEPTION_COLUMNS),
    ),
    "extra": (
        f"""
        SELECT x.kind, o.key, o.reason, o.words AS message, {_OF_OUTPUT},
            o.cost AS cost_usd, o.cost_complete, f.uri AS output_file, o.line AS output_line
        FROM extra x JOIN output_rows o USING (id) JOIN files f ON f.file = o.file ORDER BY o.id
        """,  # noqa: S608 - our own columns
        ("kind", "key", "reason", "message", *ANSWER_COLUMNS, "output_file", "output_line"),
    ),
}
"""The rows of each file, and its columns; ``*`` stands for the fields that are carried over."""


def write_rows(joined: JoinedRows, name: str, path: Path, suffix: str) -> int:
    """Write one file of a delivery; return how many rows it has.

    :param name: ``answers``, ``exceptions`` or ``extra``.
    """
    query, order = QUERIES[name]
    kept = joined.settings.keep if name != "extra" else ()
    columns = [column for each in order for column in (kept if each == "*" else (each,))]
    found = joined.connection.sql(query).to_arrow_reader(_BLOCK_ROWS)
    rows = 0
    with ExitStack() as stack:
        write = open_writer(stack, path, suffix, _block(joined, _empty(found.schema), name, columns), columns)
        for batch in found:
            rows += batch.num_rows
            for part in parts_of(batch):
                write(_block(joined, part, name, columns))
    return rows


def _block(joined: JoinedRows, narrow: pa.RecordBatch, name: str, order: Sequence[str]) -> Block:
    """Add the texts to the rows of a query."""
    spool = joined.spool
    spans = zip(
        narrow.column("answer_start").to_pylist(), narrow.column("answer_size").to_pylist(), strict=True
    )
    added: dict[str, tuple[Kind, Sequence[object]]] = {}
    if joined.has_embeddings and name != "exceptions":
        added["answer"] = (
            "numbers",
            [None if at is None else spool.read_numbers(at, size) for at, size in spans],
        )
    else:
        found = [None if at is None else spool.read(at, size) for at, size in spans]
        if name == "answers" and joined.settings.answer != AnswerForm.TEXT:
            added["answer"] = "json", found
        else:
            added["answer"] = "text", [None if each is None else each.decode() for each in found]
    if joined.settings.keep and name != "extra":
        starts, sizes = narrow.column("kept_start").to_pylist(), narrow.column("kept_size").to_pylist()
        kept = [_decode_kept(spool.read(at, size)) for at, size in zip(starts, sizes, strict=True)]
        for n, path in enumerate(joined.settings.keep):
            added[path] = "value", [each[n] for each in kept]
    return Block(narrow, added, order)


def parts_of(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Parts of a batch whose texts fit in memory."""
    start = size = 0
    names = [name for name in ("answer_size", "kept_size") if name in batch.schema.names]
    texts = [batch.column(name).to_pylist() for name in names]
    for n, sizes in enumerate(zip(*texts, strict=True)):
        size += sum(filter(None, sizes))
        if size >= _BLOCK_BYTES:
            yield batch.slice(start, n + 1 - start)
            start, size = n + 1, 0
    if start < batch.num_rows:
        yield batch.slice(start)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)
