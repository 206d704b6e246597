"""Find the outputs to read from paths that a person wrote: files, directories, ``gs://`` URIs and globs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from vertex_batch.errors import OutputMissingError
from vertex_batch.storage import (
    ENVIRONMENT,
    ObjectStorage,
    SourceObject,
    has_wildcard,
    named,
    path_of,
    quiet_libraries,
)
from vertex_batch.usage.files import (
    INCREMENTS,
    choose_files,
    holds_rows,
    is_increment,
    is_merged,
    is_shard,
    with_notes,
)
from vertex_batch.usage.parallel import OnProgress, scan_files, scan_in_turn
from vertex_batch.usage.scan import CopiedRows, ScanOptions
from vertex_batch.usage.types import ScanResult

_GCS = ("gs://", "gcs://")


@dataclass(slots=True)
class Output:
    """What one job wrote: the rows of one output never come twice in it, those of two may."""

    storage: ObjectStorage
    read: list[SourceObject]
    left_out: list[str] = field(default_factory=list)


def find_outputs(paths: Sequence[str]) -> list[Output]:
    """Find what to read. A file is read once, however often it is named.

    Of a directory the rows are chosen as of a job's output (`choose_files`), job by job if it holds several.
    A file that is named is read whatever its name is, but a shard is not read beside its
    ``predictions.jsonl``, nor a running job's increments beside its output.

    :raises OutputMissingError: a path does not exist, or contains no rows.
    """
    outputs: list[Output] = []
    files: dict[str, tuple[ObjectStorage, SourceObject]] = {}
    stores: dict[bool, ObjectStorage] = {}
    for path in paths:
        is_gcs = path.startswith(_GCS)
        if is_gcs not in stores:
            stores[is_gcs] = open_object_store() if is_gcs else open_local()
        storage = stores[is_gcs]
        found, directories = _expand(storage, path)
        files |= {file.uri: (storage, file) for file in found}
        for directory, objects in directories.items():
            outputs += _of_directory(storage, directory, objects, path)
    outputs += _of_files(list(files.values()))
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
        scanned = scan_files(outputs[0].storage, outputs[0].read, options, processes, on_progress)
    else:
        copies = replace(options, copies=CopiedRows())
        scanned = scan_in_turn([(output.storage, output.read) for output in outputs], copies, on_progress)
    read = [file.uri for output in outputs for file in output.read]
    left_out = [path for output in outputs for path in output.left_out]
    result = with_notes(scanned, read, left_out)
    if result.copied:
        result.notes["copied from another output, billed once"] = result.copied
    return result


def open_object_store() -> ObjectStorage:
    """Open Google Cloud Storage with the credentials of the environment, or its emulator with none."""
    emulated = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
    if emulated:  # an emulator has no gRPC service to say what kind of bucket it has
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    quiet_libraries()
    import gcsfs

    with named("the credentials", ENVIRONMENT):
        fs = gcsfs.GCSFileSystem(token="anon" if emulated else None, use_listings_cache=False)
    return ObjectStorage(fs, ENVIRONMENT)


def open_local() -> ObjectStorage:
    import fsspec

    return ObjectStorage(fsspec.filesystem("file"), ENVIRONMENT)


def open_memory() -> ObjectStorage:
    """A store in the memory of this process."""
    import fsspec

    return ObjectStorage(fsspec.filesystem("memory"), ENVIRONMENT)


def _expand(storage: ObjectStorage, path: str) -> tuple[list[SourceObject], dict[str, list[SourceObject]]]:
    """The files that a path means, else the directories, each with everything below it."""
    fs = storage.filesystem
    plain = f"{'gs://' if path.startswith(_GCS) else ''}{path_of(fs, path)}"
    (file,) = storage.look_up([plain])  # of exactly this name, whatever it means as a wildcard
    if files := [file] if file else storage.list(plain) if has_wildcard(plain) else []:
        return files, {}
    below = storage.list_below(plain)
    directories = {plain: below} if below or (not path.startswith(_GCS) and fs.isdir(plain)) else {}
    if not directories and has_wildcard(plain):
        directories = storage.list_folders(plain)
    if not directories:
        raise OutputMissingError(path, "it does not exist")
    return [], directories


def _of_directory(
    storage: ObjectStorage, directory: str, objects: Sequence[SourceObject], path: str
) -> Iterator[Output]:
    """The outputs below a directory: it is one, or holds several."""
    found = {each.uri: each for each in objects}
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
        # Without a choice: *.json, which no job writes by itself.
        read = [found[file] for file in chosen.read or groups[group]]
        if chosen.copied:
            yield from (Output(storage, [file]) for file in read)
        else:
            yield Output(storage, read, chosen.left_out)


def _job_directory(file: str, root: str, merged: set[str]) -> str:
    """The directory of the job that wrote a file: one with a merged file, ``prediction-*``, or the root."""
    parts = file[len(root) :].strip("/").split("/")[:-1]
    above = [root, *("/".join([root, *parts[: n + 1]]) for n in range(len(parts)))]
    whole = next((folder for folder in above if folder in merged), None)
    dated = next((f for f in reversed(above[1:]) if f.rpartition("/")[2].startswith("prediction-")), root)
    return whole or dated


def _of_files(named: Sequence[tuple[ObjectStorage, SourceObject]]) -> list[Output]:
    """Files that were named: shards of one folder are one output, every other file is its own."""
    paths = [file.uri for _, file in named]
    folders = {_parent(path) for path in paths if not is_increment(path)}
    merged = {_parent(path): path for path in paths if is_merged(path) and not is_increment(path)}
    outputs: dict[str, Output] = {}
    left_out = []
    for storage, file in named:
        path = file.uri
        whole = merged.get(_parent(path), path)
        if is_increment(path):
            again = path.split(f"/{INCREMENTS}/")[0] in folders
        else:
            again = whole != path and (is_shard(path) or is_merged(path))
        if again:
            left_out.append(path)
            continue
        group = _parent(path) if is_shard(path) and not is_increment(path) else path
        outputs.setdefault(group, Output(storage, [])).read.append(file)
    found = list(outputs.values())
    if left_out:
        found[0].left_out += left_out
    return found


def _each_file_once(outputs: list[Output]) -> list[Output]:
    seen: set[str] = set()
    once = []
    for output in outputs:
        output.read = [file for file in output.read if file.uri not in seen]
        seen |= {file.uri for file in output.read}
        if output.read:
            once.append(output)
    return once


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
