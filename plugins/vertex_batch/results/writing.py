"""Write a delivery: the answers, the exceptions, and a manifest that is written last.

Each file is written under a temporary name and then renamed, so that a reader never sees a part of one. A
reader who wants answers and exceptions of the same delivery waits for the manifest, which names both with
their sizes and digests. Doing it twice with the same rows writes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from vertex_batch.costs.money import in_full
from vertex_batch.errors import ConfigurationError
from vertex_batch.results.joining import Joined
from vertex_batch.results.types import AnswerForm, Counts
from vertex_batch.storage import ObjectStorage

SUFFIXES = (".parquet", ".jsonl.gz", ".jsonl", ".csv")
"""The formats, by how the name of the file ends."""
MANIFEST_VERSION = 1
_READ_BYTES = 8 << 20
_COPY = {
    ".parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20000",
    ".jsonl": "FORMAT json",
    ".jsonl.gz": "FORMAT json, COMPRESSION gzip",
    ".csv": "FORMAT csv, HEADER",
}
_TOKENS = "o.input_tokens, o.cached_tokens, o.output_tokens, o.thoughts_tokens"
_NO_ROW = "no output has a row for it"


@dataclass(frozen=True, slots=True)
class Place:
    """The files of a delivery.

    >>> Place("gs://b/d/answers.jsonl.gz").exceptions
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
    """

    place: Place
    manifest: Mapping[str, Any]
    changed: bool


def deliver(joined: Joined, to: str, target: ObjectStorage, facts: Mapping[str, Any]) -> Written:
    """Write the delivery of a join.

    :param to: the URI of the answers; its ending is the format.
    :param facts: further facts for the manifest, such as the run, its jobs and the bill. They must be the
        same each time: no times.
    :raises ConfigurationError: `to` does not end like a known format.
    :raises StorageAccessError: the connection may not write there.
    """
    place = Place(to)
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
    if _is_there(target, place, content, local):
        return Written(place, manifest, changed=False)
    target.remove(place.manifest)
    for uri, path in local.items():
        target.write(_temporary(uri), _blocks(path))
    for uri in local:
        target.move(_temporary(uri), uri)
    if place.extra not in local:
        target.remove(place.extra)
    target.write(_temporary(place.manifest), [content])
    target.move(_temporary(place.manifest), place.manifest)
    return Written(place, manifest, changed=True)


def numbers(counts: Counts) -> dict[str, Any]:
    """The numbers of a delivery as plain data."""
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
    query = {"answers": _answers, "exceptions": _exceptions, "extra": _extra}[name](joined, suffix)
    copy = f"COPY ({query}) TO '{str(path).replace(chr(39), chr(39) * 2)}' ({_COPY[suffix]})"
    (rows,) = joined.connection.execute(copy).fetchall()[0]
    return int(rows)


def _answers(joined: Joined, suffix: str) -> str:
    return f"""
        SELECT i.seq AS row, i.key, {_kept(joined, suffix)} {_answer(joined, suffix)} AS answer, o.model,
            o.finish_reason, {_TOKENS}, {_cost("c.cost", suffix)} AS cost_usd, c.cost_complete, o.attempt
        FROM chosen c JOIN output_rows o USING (id) JOIN input_rows i USING (seq)
        LEFT JOIN answers a USING (id) LEFT JOIN embeddings e USING (id)
        WHERE o.reason IS NULL ORDER BY i.seq
    """  # noqa: S608 - our own names


def _exceptions(joined: Joined, suffix: str) -> str:
    return f"""
        SELECT i.seq AS row, i.key, {_kept(joined, suffix)} r.reason,
            coalesce(o.words, '{_NO_ROW}') AS message, o.schema_path, a.answer, o.model, o.finish_reason,
            {_TOKENS}, {_cost("coalesce(c.cost, 0)", suffix)} AS cost_usd,
            coalesce(c.cost_complete, true) AS cost_complete, o.attempt,
            fi.uri AS input_file, i.line AS input_line, fo.uri AS output_file, o.line AS output_line
        FROM outcomes r JOIN input_rows i USING (seq) JOIN files fi ON fi.file = i.file
        LEFT JOIN chosen c USING (seq) LEFT JOIN output_rows o ON o.id = c.id
        LEFT JOIN files fo ON fo.file = o.file LEFT JOIN answers a ON a.id = c.id
        WHERE r.reason IS NOT NULL ORDER BY i.seq
    """  # noqa: S608 - our own names


def _extra(joined: Joined, suffix: str) -> str:
    return f"""
        SELECT x.kind, o.key, o.reason, o.words AS message, {_answer(joined, suffix)} AS answer, o.model,
            o.finish_reason, {_TOKENS}, {_cost("o.cost", suffix)} AS cost_usd, o.cost_complete, o.attempt,
            f.uri AS output_file, o.line AS output_line
        FROM extra x JOIN output_rows o USING (id) JOIN files f ON f.file = o.file
        LEFT JOIN answers a USING (id) LEFT JOIN embeddings e USING (id)
        ORDER BY o.id
    """  # noqa: S608 - our own names


def _kept(joined: Joined, suffix: str) -> str:
    """The carried-over fields as columns, named like their paths."""
    columns = []
    for n, path in enumerate(joined.settings.keep):
        arrow = "->" if suffix.startswith(".jsonl") else "->>"
        name = path.replace('"', '""')
        columns.append(f"i.kept {arrow} '$[{n}]' AS \"{name}\", ")
    return "".join(columns)


def _answer(joined: Joined, suffix: str) -> str:
    """The answer: an embedding as a list, JSON inside of JSONL as such, otherwise text."""
    if joined.has_embeddings:
        return "CAST(to_json(e.embedding) AS VARCHAR)" if suffix == ".csv" else "e.embedding"
    if suffix.startswith(".jsonl") and joined.settings.answer is not AnswerForm.TEXT:
        return "CAST(a.answer AS JSON)"
    return "a.answer"


def _cost(column: str, suffix: str) -> str:
    """An exact amount: a decimal in Parquet, its digits without trailing zeros elsewhere."""
    if suffix == ".parquet":
        return column
    return f"rtrim(rtrim(CAST({column} AS VARCHAR), '0'), '.')"


def _is_there(target: ObjectStorage, place: Place, manifest: bytes, local: Mapping[str, Path]) -> bool:
    """Whether the same delivery is in its place, completely."""
    if target.read_small(place.manifest) != manifest:
        return False
    found = target.look_up(list(local))
    sizes = [path.stat().st_size for path in local.values()]
    return all(each and each.size == size for each, size in zip(found, sizes, strict=True))


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            yield block


def _temporary(uri: str) -> str:
    folder, _, name = uri.rpartition("/")
    return f"{folder}/_writing.{name}"


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]
