"""Write a delivery: the answers, the exceptions, and a manifest that is written last.

Each file is written under a temporary name and then renamed, so that a reader never sees a part of one. A
reader who wants answers and exceptions of the same delivery waits for the manifest, which names both with
their sizes and digests. Doing it twice with the same rows writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from vertex_batch.costs.money import in_full
from vertex_batch.errors import ConfigurationError
from vertex_batch.results.files import Block, Kind, blocks_of, open_writer
from vertex_batch.results.joining import Joined
from vertex_batch.results.types import AnswerForm, Counts
from vertex_batch.storage import ObjectStorage

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl", ".csv")
"""The formats, by how the name of the file ends."""
MANIFEST_VERSION = 1
_decode_kept = msgspec.json.Decoder(list[Any]).decode
_BLOCK_ROWS = 20_000
_BLOCK_BYTES = 16 << 20
_COST_COLUMNS = ("cost_usd", "cost_complete")
_TOKEN_COLUMNS = ("input_tokens", "cached_tokens", "output_tokens", "thoughts_tokens")
_QUERIES = {
    "answers": (
        """
        SELECT i.seq AS row, i.key, i.kept_start, i.kept_size, o.answer_start, o.answer_size, o.model,
            o.finish_reason, o.input_tokens, o.cached_tokens, o.output_tokens, o.thoughts_tokens,
            c.cost AS cost_usd, c.cost_complete, o.attempt
        FROM chosen c JOIN output_rows o USING (id) JOIN input_rows i USING (seq)
        WHERE o.reason IS NULL ORDER BY i.seq
        """,
        ("row", "key", "*", "answer", "model", "finish_reason", *_TOKEN_COLUMNS, *_COST_COLUMNS, "attempt"),
    ),
    "exceptions": (
        """
        SELECT i.seq AS row, i.key, i.kept_start, i.kept_size, r.reason,
            coalesce(
                o.words,
                CASE WHEN i.loose_a IS NULL THEN 'the input line is not a JSON object'
                ELSE 'no output has a row for it' END
            ) AS message, o.schema_path, o.answer_start,
            o.answer_size, o.model, o.finish_reason, o.input_tokens, o.cached_tokens, o.output_tokens,
            o.thoughts_tokens,
            CASE WHEN c.seq IS NULL THEN 0 ELSE c.cost END AS cost_usd,
            coalesce(c.cost_complete, true) AS cost_complete, o.attempt,
            fi.uri AS input_file, i.line AS input_line, fo.uri AS output_file, o.line AS output_line
        FROM outcomes r JOIN input_rows i USING (seq) JOIN files fi ON fi.file = i.file
        LEFT JOIN chosen c ON c.seq = i.seq LEFT JOIN output_rows o ON o.id = c.id
        LEFT JOIN files fo ON fo.file = o.file
        WHERE r.reason IS NOT NULL ORDER BY i.seq
        """,
        (
            *("row", "key", "*", "reason", "message", "schema_path", "answer", "model", "finish_reason"),
            *_TOKEN_COLUMNS,
            *_COST_COLUMNS,
            *("attempt", "input_file", "input_line", "output_file", "output_line"),
        ),
    ),
    "extra": (
        """
        SELECT x.kind, o.key, o.reason, o.words AS message, o.answer_start, o.answer_size, o.model,
            o.finish_reason, o.input_tokens, o.cached_tokens, o.output_tokens, o.thoughts_tokens,
            o.cost AS cost_usd, o.cost_complete, o.attempt,
            f.uri AS output_file, o.line AS output_line
        FROM extra x JOIN output_rows o USING (id) JOIN files f ON f.file = o.file ORDER BY o.id
        """,
        (
            *("kind", "key", "reason", "message", "answer", "model", "finish_reason"),
            *_TOKEN_COLUMNS,
            *_COST_COLUMNS,
            *("attempt", "output_file", "output_line"),
        ),
    ),
}
"""The rows of each file, and its columns; ``*`` stands for the fields that are carried over."""


@dataclass(frozen=True, slots=True)
class DeliveryPlace:
    """The files of a delivery.

    >>> DeliveryPlace("gs://b/d/answers.jsonl.gz").exceptions
    'gs://b/d/answers.exceptions.jsonl.gz'

    :param answers: the URI that the spec names.
    """

    answers: str

    @property
    def suffix(self) -> str:
        """How the files end, which decides their format.

        :raises ConfigurationError: it is none of the known formats.
        """
        found = next((suffix for suffix in SUFFIXES if self.answers.endswith(suffix)), None)
        if found is None:
            raise ConfigurationError(
                f"{self.answers} is not a file that answers can be delivered to",
                f"end its name with one of: {', '.join(SUFFIXES)}",
            )
        return found

    @property
    def exceptions(self) -> str:
        """The input rows without a good answer."""
        return f"{self._stem}.exceptions{self.suffix}"

    @property
    def extra(self) -> str:
        """Output rows that belong to no input row; written only if there are any."""
        return f"{self._stem}.extra{self.suffix}"

    @property
    def manifest(self) -> str:
        """The file that says that the others are complete."""
        return f"{self.answers}._SUCCESS.json"

    @property
    def _stem(self) -> str:
        return self.answers.removesuffix(self.suffix)


@dataclass(frozen=True, slots=True)
class Written:
    """A delivery that is in its place.

    :param manifest: the content of the manifest.
    :param changed: whether anything was written; False if the same delivery was there.
    :param replaced_run: the run whose delivery was there before; empty if none was, or one of the same run.
    """

    place: DeliveryPlace
    manifest: Mapping[str, Any]
    changed: bool
    replaced_run: str = ""


def deliver(joined: Joined, to: str, target: ObjectStorage, facts: Mapping[str, Any]) -> Written:
    """Write the delivery of a join.

    :param to: the URI of the answers; its ending is the format.
    :param facts: further facts for the manifest, such as the run, its jobs and the bill. They must be the
        same each time: no times.
    :raises ConfigurationError: `to` does not end like a known format.
    :raises StorageAccessError: the connection may not write there.
    :raises ConfigurationError: the folder does not exist and cannot be made.
    """
    place = DeliveryPlace(to)
    local: dict[str, Path] = {}
    files: dict[str, dict[str, Any]] = {}
    for name, uri in (("answers", place.answers), ("exceptions", place.exceptions), ("extra", place.extra)):
        if name == "extra" and not joined.counts.extra_rows:
            continue
        path = joined.work / f"{name}{place.suffix}"
        rows = _write(joined, name, path, place.suffix)
        local[uri] = path
        size = path.stat().st_size
        files[name] = {"file": _name(uri), "rows": rows, "bytes": size, "sha256": _digest(path)}
    manifest = {"version": MANIFEST_VERSION, **numbers(joined.counts), **facts, "files": files}
    content = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    earlier = target.read_small(place.manifest)
    if earlier == content and _is_there(target, local):
        return Written(place, manifest, changed=False)
    with _cleaned_up(target, [*local, place.manifest]):
        target.remove(place.manifest)
        for uri, path in local.items():
            target.write(_temporary(uri), blocks_of(path))
        for uri in local:
            target.move(_temporary(uri), uri)
        if place.extra not in local:
            target.remove(place.extra)
        target.write(_temporary(place.manifest), [content])
        target.move(_temporary(place.manifest), place.manifest)
    return Written(place, manifest, changed=True, replaced_run=_other_run(earlier, facts))


@contextmanager
def _cleaned_up(target: ObjectStorage, uris: Collection[str]) -> Iterator[None]:
    """Remove what was written under temporary names if the delivery is not completed."""
    try:
        yield
    except BaseException as error:
        for uri in uris:
            with suppress(Exception):  # the first error is the one to report
                target.remove(_temporary(uri))
        if isinstance(error, FileNotFoundError):
            raise ConfigurationError(
                f"The delivery cannot be written: {error}", "write it to a folder that exists"
            ) from error
        raise


def numbers(counts: Counts) -> dict[str, Any]:
    return {
        "input_rows": counts.input_rows,
        "delivered": counts.delivered,
        "exceptions": counts.exception_rows,
        "exceptions_by_reason": {str(reason): n for reason, n in counts.exceptions.items()},
        "extra_rows": {str(kind): n for kind, n in counts.extra_rows.items()},
        "copied_rows": counts.copied_rows,
        "rows_cost_usd": in_full(counts.cost_usd),
        "rows_cost_complete": counts.cost_complete,
    }


def _write(joined: Joined, name: str, path: Path, suffix: str) -> int:
    """Write one file of a delivery; return how many rows it has."""
    query, order = _QUERIES[name]
    kept = joined.settings.keep if name != "extra" else ()
    columns = [column for each in order for column in (kept if each == "*" else (each,))]
    found = joined.connection.sql(query).to_arrow_reader(_BLOCK_ROWS)
    rows = 0
    with ExitStack() as stack:
        write = open_writer(stack, path, suffix, _block(joined, _empty(found.schema), name, columns), columns)
        for batch in found:
            rows += batch.num_rows
            for part in _parts(batch):
                write(_block(joined, part, name, columns))
    return rows


def _block(joined: Joined, narrow: pa.RecordBatch, name: str, order: Sequence[str]) -> Block:
    """Add the texts to the rows of a query."""
    spool, answers_only = joined.spool, name == "answers"
    spans = zip(
        narrow.column("answer_start").to_pylist(), narrow.column("answer_size").to_pylist(), strict=True
    )
    numbers = joined.has_embeddings and name != "exceptions"
    added: dict[str, tuple[Kind, Sequence[Any]]] = {}
    if numbers:
        added["answer"] = (
            "numbers",
            [None if at is None else spool.read_numbers(at, size) for at, size in spans],
        )
    else:
        found = [None if at is None else spool.read(at, size) for at, size in spans]
        if answers_only and joined.settings.answer != AnswerForm.TEXT:
            added["answer"] = "json", found
        else:
            added["answer"] = "text", [None if each is None else each.decode() for each in found]
    if joined.settings.keep and name != "extra":
        starts, sizes = narrow.column("kept_start").to_pylist(), narrow.column("kept_size").to_pylist()
        kept = [_decode_kept(spool.read(at, size)) for at, size in zip(starts, sizes, strict=True)]
        for n, path in enumerate(joined.settings.keep):
            added[path] = "value", [each[n] for each in kept]
    return Block(narrow, added, order)


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Parts of a batch whose texts fit in memory."""
    start = size = 0
    for n, more in enumerate(batch.column("answer_size").to_pylist()):
        size += more or 0
        if size >= _BLOCK_BYTES:
            yield batch.slice(start, n + 1 - start)
            start, size = n + 1, 0
    if start < batch.num_rows:
        yield batch.slice(start)


class _RunOfManifest(msgspec.Struct):
    run_id: str = ""


def _other_run(manifest: bytes | None, facts: Mapping[str, Any]) -> str:
    """The run of a manifest, if it is another one than that of the facts."""
    try:
        run_id = msgspec.json.decode(manifest or b"", type=_RunOfManifest).run_id
    except (msgspec.DecodeError, UnicodeDecodeError):  # written by something else
        return ""
    return run_id if run_id != facts.get("run_id") else ""


def _is_there(target: ObjectStorage, local: Mapping[str, Path]) -> bool:
    found = target.look_up(list(local))
    sizes = [path.stat().st_size for path in local.values()]
    return all(each and each.size == size for each, size in zip(found, sizes, strict=True))


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    return pa.RecordBatch.from_arrays([pa.array([], each.type) for each in schema], schema=schema)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _temporary(uri: str) -> str:
    folder, _, name = uri.rpartition("/")
    return f"{folder}/_writing.{name}"


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]
