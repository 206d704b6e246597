"""Which files of an output directory hold the rows, each row once; and the rows of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import msgspec

from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import Lines, ObjectStorage, SourceObject, as_storage, path_of, read_lines
from vertex_batch.usage.parallel import OnProgress, scan_files, scan_in_turn
from vertex_batch.usage.scan import LONG_CONTEXT_THRESHOLD, CopiedRows, Scanner, ScanOptions, ids_of
from vertex_batch.usage.types import ScanResult

INCREMENTS = "incremental_predictions"
STAGED_FOLDER = "_shards"
"""Below an output, the folder with the parts of a split input."""
_MERGED = ("predictions.jsonl", "predictions.jsonl.gz")
_SUFFIXES = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_SHARD = re.compile(
    r"(?:predictions?(?:\.results)?(?:\.jsonl)?[-_.])?\d+(?:[-_]of[-_]\d+)?(?:\.(?:jsonl|ndjson|json))?(?:\.gz)?"
)
_MAX_FOUND = 20
_OUTPUT_FOLDER = "/prediction-"
_PEEK_BYTES = 1 << 20
# What a bill needs of a row of a table. The request, which is most of it, stays where it is; `content` is the
# text of text embeddings, whose characters are billed, and `processed_time` decides which day's prices hold.
COLUMNS = (
    *("status", "response", "predictions", "error", "prediction", "result", "instance", "content"),
    "processed_time",
)
_ROWS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files to read, and others with rows that are left out, because they may be the same rows again.

    :param copied: the files to read are what a job wrote while it ran: one may repeat rows of another.
    :param objects: the files to read, as they were listed.
    """

    read: list[str]
    left_out: list[str]
    copied: bool = False
    objects: tuple[SourceObject, ...] = ()


def choose_files(paths: list[str], directory: str) -> OutputFiles:
    """Choose among the paths below an output directory.

    ``predictions.jsonl`` is the whole output. Without it the other files of rows are its shards, except what
    is in ``incremental_predictions/``: those are copies that a running job writes, and are read only where
    they are all that there is. The parts of an input that was split may be below the same folder; they are
    not output.
    """
    names = {path[len(directory) :].lstrip("/"): path for path in sorted(paths)}
    rows = [name for name in names if holds_rows(name) and not is_staged(name)]
    increments = [name for name in rows if is_increment(name)]
    rows = [name for name in rows if name not in increments]
    merged = [name for name in _MERGED if name in rows][:1]
    chosen = merged or rows or increments
    left_out = [names[n] for n in rows if n not in chosen]
    return OutputFiles([names[n] for n in chosen], left_out, copied=chosen is increments)


def holds_rows(path: str) -> bool:
    """Whether a file of an output directory holds rows, by its name."""
    name = path.rpartition("/")[2]
    return (name.endswith(_SUFFIXES) or is_shard(name)) and not name.startswith("errors")


def is_shard(path: str) -> bool:
    """Whether a file is one of several of one output: ``000000000001.jsonl``, ``predictions_1.jsonl``."""
    return _SHARD.fullmatch(path.rpartition("/")[2]) is not None


def is_staged(path: str) -> bool:
    """Whether a file is a part of an input, which our plan has written beside the outputs."""
    return STAGED_FOLDER in path.split("/")[:-1]


def is_merged(path: str) -> bool:
    """Whether a file is the whole of an output."""
    return path.rpartition("/")[2] in _MERGED


def is_increment(path: str) -> bool:
    """Whether a running job wrote the file: its rows come again in the job's output."""
    return INCREMENTS in path.split("/")[:-1]


def output_files(storage: ObjectStorage | Any, directory: str, job: str = "") -> OutputFiles:
    """List a directory and choose; raise `OutputMissingError` where there is nothing to read.

    :param storage: an object store, or an fsspec filesystem.
    :param directory: ``outputInfo.gcsOutputDirectory``, with or without its scheme.
    """
    storage = as_storage(storage)
    root = path_of(storage.filesystem, directory).rstrip("/")
    objects = {path_of(storage.filesystem, each.uri): each for each in storage.list_below(directory)}
    paths = list(objects)
    files = choose_files(paths, root)
    if not files.read:
        found = ", ".join(path[len(root) :].lstrip("/") for path in paths[:_MAX_FOUND])
        raise OutputMissingError(
            directory,
            (f"job {job} left " if job else "it holds ")
            + "neither predictions.jsonl nor shards of it"
            + (f"; what is there: {found}" if found else ""),
        )
    return replace(files, objects=tuple(objects[path] for path in files.read))


def scan_output(
    storage: ObjectStorage | Any,
    directory: str,
    *,
    job_model: str,
    long_context_threshold: int = LONG_CONTEXT_THRESHOLD,
    job: str = "",
    processes: int = 1,
    on_progress: OnProgress | None = None,
    **options: Any,
) -> ScanResult:
    """Scan a job's output, streaming, in constant memory.

    :param storage: an object store, or an fsspec filesystem.
    :param directory: ``outputInfo.gcsOutputDirectory``. Never build it: its time stamp cannot be known.
    :param processes: how many may read a large output.
    :param options: see `ScanOptions`.
    :raises OutputMissingError: the directory holds no rows. An empty file gives 0 rows and a flag instead.
    """
    storage = as_storage(storage)
    files = output_files(storage, directory, job)
    how = ScanOptions(job_model, long_context_threshold=long_context_threshold, **options)
    if files.copied:
        how = replace(how, copies=CopiedRows())
        scanned = scan_in_turn([(storage, [each]) for each in files.objects], how, on_progress)
        if how.already_billed is None:  # a repeated row is not one that an earlier job has answered
            scanned = replace(scanned, ok=scanned.ok - scanned.copied, copied=0)
    else:
        scanned = scan_files(storage, files.objects, how, processes, on_progress)
    return with_notes(scanned, files.read, files.left_out)


def with_notes(result: ScanResult, read: list[str], left_out: Iterable[str]) -> ScanResult:
    """Note what is odd about the files themselves."""
    if not result.rows:
        result.notes["the output holds no rows"] = 0
    if any(is_increment(path) for path in read):
        note = f"only {INCREMENTS} was found; rows with the same responseId were billed once"
        result.notes[note] = 0
    if names := [path.rpartition("/")[2] for path in left_out]:
        beside = read[0].rpartition("/")[2]
        result.notes[f"not read beside {beside}: {', '.join(names[:_MAX_FOUND])}"] = 0
    return result


def scan_table(rows: Iterable[Mapping[str, object]], name: str, options: ScanOptions) -> ScanResult:
    """Scan the rows of a table, as BigQuery gives them, in constant memory; each is read as a line of a file.

    :param rows: by column; `response` is an object, or its JSON in a text.
    :param name: what problems are reported under; their line is the number of the row.
    """
    scanner = Scanner(options)
    scanner.scan_lines(_lines(iter(rows)), name)
    return with_notes(scanner.result(), [], [])


def _lines(rows: Iterator[Mapping[str, object]]) -> Iterator[Lines]:
    encode = msgspec.json.Encoder(enc_hook=str).encode
    while some := list(islice(rows, _ROWS_AT_ONCE)):
        needed = ({name: row[name] for name in COLUMNS if name in row} for row in some)
        yield Lines(b"".join(encode(row) + b"\n" for row in needed))


def resumed_output(uris: Iterable[str]) -> str | None:
    """The first URI of an input that is, by its name, the output of a job, which another job resumed."""
    return next((uri for uri in uris if _OUTPUT_FOLDER in uri), None)


@dataclass(frozen=True, slots=True)
class InputFacts:
    """What a bill needs to know of a job's input.

    :param rows: None if some of them may have been added after the job.
    :param answered: the ``responseId``s in it: the rows that a job has answered before they were sent again.
    """

    rows: int | None = 0
    answered: frozenset[str] = frozenset()


def input_facts(storage: ObjectStorage, objects: Sequence[SourceObject]) -> InputFacts:
    """Count the rows of an input and collect the answers in it, in one pass.

    Only where the beginning of an object has an answer are all its rows looked at for more. Memory grows with
    the answers.
    """
    rows, answered = 0, set[str]()
    for source, stream in storage.read_each(objects):
        wanted, position = _OUTPUT_FOLDER in source.uri, 0
        for block in read_lines(stream):
            lines = block.lines
            rows += sum(not line.isspace() for line in lines)
            if wanted or position < _PEEK_BYTES:
                found = list(ids_of(lines))
                answered.update(found)
                wanted = wanted or bool(found)
            position += len(block.data)
    return InputFacts(rows, frozenset(answered))
