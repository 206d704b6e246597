"""Find the outputs to read from paths that a person wrote: files, directories, ``gs://`` URIs and globs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import quiet_libraries
from vertex_batch.usage.files import (
    INCREMENTS,
    choose_files,
    holds_rows,
    is_increment,
    is_merged,
    is_shard,
    with_notes,
)
from vertex_batch.usage.progress import OnProgress
from vertex_batch.usage.ranges import scan_files, scan_in_turn
from vertex_batch.usage.scan import Copies, ScanOptions
from vertex_batch.usage.types import ScanResult

_GCS = ("gs://", "gcs://")
_WILDCARDS = frozenset("*?[")


@dataclass(slots=True)
class Output:
    """What one job wrote: the rows of one output never come twice in it, those of two may."""

    fs: Any
    read: list[str]
    left_out: list[str] = field(default_factory=list)


def find_outputs(paths: Sequence[str]) -> list[Output]:
    """Find what to read. A file is read once, however often it is named.

    Of a directory the rows are chosen as of a job's output (`choose_files`), job by job if it holds several.
    A file that is named is read whatever its name is, but a shard is not read beside its
    ``predictions.jsonl``, nor a running job's increments beside its output.

    :raises OutputMissingError: a path does not exist, or contains no rows.
    """
    outputs: list[Output] = []
    named: dict[str, tuple[Any, str]] = {}
    stores: dict[bool, Any] = {}
    for path in paths:
        is_gcs = path.startswith(_GCS)
        if is_gcs not in stores:
            stores[is_gcs] = open_object_store() if is_gcs else open_local()
        fs = stores[is_gcs]
        files, directories = _expand(fs, path)
        named.update({f"{is_gcs}{file}": (fs, file) for file in files})
        for directory in directories:
            outputs += _of_directory(fs, directory, path)
    outputs += _of_files(list(named.values()))
    return _each_file_once(outputs)


def scan_outputs(
    outputs: Sequence[Output],
    options: ScanOptions,
    processes: int = 1,
    on_progress: OnProgress | None = None,
) -> ScanResult:
    """Scan the outputs as one. A row that a resumed job copied from another output counts, but costs once.

    :param processes: how many may read the files of one output. Several outputs are read by one, since the
        copies have to be known.
    """
    if len(outputs) == 1:
        scanned = scan_files(outputs[0].fs, outputs[0].read, options, processes, on_progress)
    else:
        copies = replace(options, copies=Copies())
        scanned = scan_in_turn([(output.fs, output.read) for output in outputs], copies, on_progress)
    read = [path for output in outputs for path in output.read]
    left_out = [path for output in outputs for path in output.left_out]
    result = with_notes(scanned, read, left_out)
    if result.copied:
        result.notes["copied from another output, billed once"] = result.copied
    return result


def open_object_store() -> Any:
    """Open Google Cloud Storage with the credentials of the environment, or its emulator with none."""
    emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
    if emulated:  # an emulator has no gRPC service to say what kind of bucket it has
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    quiet_libraries()
    import gcsfs

    return gcsfs.GCSFileSystem(token="anon" if emulated else None, use_listings_cache=False)


def open_local() -> Any:
    import fsspec

    return fsspec.filesystem("file")


def _expand(fs: Any, path: str) -> tuple[list[str], list[str]]:
    """The files and directories that a path means."""
    plain = str(fs._strip_protocol(path))  # noqa: SLF001 - fsspec's own extension point
    found = [plain]
    if not fs.exists(plain) and _WILDCARDS & set(path):
        found = sorted(str(match) for match in fs.glob(plain))
    files = [match for match in found if fs.isfile(match)]
    directories = [] if files else [match for match in found if fs.isdir(match)]
    if not files and not directories:
        raise OutputMissingError(path, "it does not exist")
    return files, directories


def _of_directory(fs: Any, directory: str, path: str) -> Iterator[Output]:
    """The outputs below a directory: it is one, or holds several."""
    found = sorted(str(file) for file in fs.find(directory))
    root = directory.rstrip("/")
    rows = [file for file in found if holds_rows(file[len(root) :])]
    rows = rows or [file for file in found if file.endswith((".json", ".json.gz"))]
    if not rows:
        raise OutputMissingError(path, "it holds neither predictions.jsonl nor shards of it")
    groups: dict[str, list[str]] = {}
    merged = {_parent(file) for file in rows if is_merged(file) and not is_increment(file)}
    for file in rows:
        groups.setdefault(_job_directory(file, root, merged), []).append(file)
    for group in sorted(groups):
        chosen = choose_files(groups[group], group)
        read = chosen.read or groups[group]  # *.json, which no job writes by itself
        if chosen.copied:
            yield from (Output(fs, [file]) for file in read)
        else:
            yield Output(fs, read, chosen.left_out)


def _job_directory(file: str, root: str, merged: set[str]) -> str:
    """The directory of the job that wrote a file: one with a merged file, ``prediction-*``, or the root."""
    parts = file[len(root) :].strip("/").split("/")[:-1]
    above = [root, *("/".join([root, *parts[: n + 1]]) for n in range(len(parts)))]
    whole = next((folder for folder in above if folder in merged), None)
    dated = next((f for f in reversed(above[1:]) if f.rpartition("/")[2].startswith("prediction-")), root)
    return whole or dated


def _of_files(named: list[tuple[Any, str]]) -> list[Output]:
    """Files that were named: shards of one folder are one output, every other file is its own."""
    folders = {_parent(path) for _, path in named if not is_increment(path)}
    merged = {_parent(path): path for _, path in named if is_merged(path) and not is_increment(path)}
    outputs: dict[str, Output] = {}
    left_out = []
    for fs, path in named:
        whole = merged.get(_parent(path), path)
        if is_increment(path):
            again = path.split(f"/{INCREMENTS}/")[0] in folders
        else:
            again = whole != path and (is_shard(path) or is_merged(path))
        if again:
            left_out.append(path)
            continue
        group = _parent(path) if is_shard(path) and not is_increment(path) else path
        outputs.setdefault(group, Output(fs, [])).read.append(path)
    found = list(outputs.values())
    if left_out:
        found[0].left_out += left_out
    return found


def _each_file_once(outputs: list[Output]) -> list[Output]:
    seen: set[tuple[str, str]] = set()
    once = []
    for output in outputs:
        keys = {path: (type(output.fs).__name__, path) for path in output.read}
        output.read = [path for path in output.read if keys[path] not in seen]
        seen |= set(keys.values())
        if output.read:
            once.append(output)
    return once


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
