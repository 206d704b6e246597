"""Which files of an output directory hold the rows, each row once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vertex_batch.errors import OutputMissingError
from vertex_batch.usage.scan import LONG_CONTEXT_THRESHOLD, Scanner, ScanOptions, response_ids
from vertex_batch.usage.types import ScanResult

_MERGED = ("predictions.jsonl", "predictions.jsonl.gz")
_SUFFIXES = (".jsonl", ".jsonl.gz")
_READ_AHEAD_BYTES = 8 << 20
_MAX_FOUND = 20


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files to read, and others with rows that are left out, because they may be the same rows again."""

    read: list[str]
    left_out: list[str]


def choose_files(paths: list[str], directory: str) -> OutputFiles:
    """Choose among the paths below an output directory.

    ``predictions.jsonl`` is the whole output. Without it the other ``*.jsonl`` are its shards, except what is
    in ``incremental_predictions/``: those are copies that a running job writes.
    """
    names = {path[len(directory) :].lstrip("/"): path for path in sorted(paths)}
    rows = [
        name
        for name in names
        if name.endswith(_SUFFIXES)
        and "incremental_predictions" not in name.split("/")[:-1]
        and not name.rpartition("/")[2].startswith("errors")
    ]
    merged = [name for name in _MERGED if name in rows][:1]
    chosen = merged or rows
    return OutputFiles([names[n] for n in chosen], [names[n] for n in rows if n not in chosen])


def output_files(fs: Any, directory: str, job: str = "") -> OutputFiles:
    """List a directory and choose; raise `OutputMissingError` where there is nothing to read.

    :param fs: an fsspec filesystem.
    :param directory: ``outputInfo.gcsOutputDirectory``, with or without its scheme.
    """
    root = str(fs._strip_protocol(directory)).rstrip("/")  # noqa: SLF001 - fsspec's own extension point
    fs.invalidate_cache(root)  # an earlier look may have been before the output was there
    try:
        paths = [str(path) for path in fs.find(root)]
    except FileNotFoundError:
        paths = []
    files = choose_files(paths, root)
    if not files.read:
        found = ", ".join(path[len(root) :].lstrip("/") for path in paths[:_MAX_FOUND])
        raise OutputMissingError(
            directory,
            (f"job {job} left " if job else "it holds ")
            + "neither predictions.jsonl nor shards of it"
            + (f"; what is there: {found}" if found else ""),
        )
    return files


def scan_output(
    fs: Any,
    directory: str,
    *,
    job_model: str,
    long_context_threshold: int = LONG_CONTEXT_THRESHOLD,
    job: str = "",
    **options: Any,
) -> ScanResult:
    """Scan a job's output, streaming, in constant memory.

    :param fs: an fsspec filesystem, local or object store.
    :param directory: ``outputInfo.gcsOutputDirectory``. Never build it: its time stamp cannot be known.
    :param options: see `ScanOptions`.
    :raises OutputMissingError: the directory holds no rows. An empty file is no error: 0 rows, and a flag.
    """
    files = output_files(fs, directory, job)
    scanner = Scanner(ScanOptions(job_model, long_context_threshold=long_context_threshold, **options))
    for path in files.read:
        with fs.open(path, "rb", block_size=_READ_AHEAD_BYTES) as stream:
            scanner.scan(stream, path.rpartition("/")[2])
    result = scanner.result()
    if not result.rows:
        result.notes["the output holds no rows"] = 0
    if files.left_out:
        names = ", ".join(path.rpartition("/")[2] for path in files.left_out[:_MAX_FOUND])
        result.notes[f"not read beside {files.read[0].rpartition('/')[2]}: {names}"] = 0
    return result


def billed_response_ids(fs: Any, directory: str) -> set[str]:
    """The ``responseId``s of an earlier job of a resume chain, for `ScanOptions.already_billed`.

    Memory grows with the rows of that job: about 25 MB for 200,000.
    """
    billed: set[str] = set()
    for path in output_files(fs, directory).read:
        with fs.open(path, "rb", block_size=_READ_AHEAD_BYTES) as stream:
            billed.update(response_ids(stream))
    return billed
