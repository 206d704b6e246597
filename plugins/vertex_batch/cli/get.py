"""``vertex-batch get`` copies one object, such as the answers of a delivery, to a file or standard output."""

from __future__ import annotations

import argparse
import sys
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path

from vertex_batch.cli import access, arguments
from vertex_batch.cli.output import replace_file, say
from vertex_batch.cli.paths import open_local
from vertex_batch.cli.progress import with_progress
from vertex_batch.errors import ConfigurationError, count_of
from vertex_batch.storage import ObjectStorage, SourceObject, has_wildcard

_GCS = "gs://"
_SHOWN = 5


def describe(command: argparse.ArgumentParser) -> None:
    command.description = (
        "Copy one object to a file, or print it, with the connection that the jobs use. So the"
        " answers of a delivery can be read also where the object store is emulated. The bytes are"
        " not changed: a gzip object stays gzip."
    )
    command.add_argument(
        "uri", metavar="URI", help="gs://BUCKET/NAME, with wildcards if only one object matches; or a path"
    )
    command.add_argument(
        "file",
        metavar="FILE",
        type=Path,
        nargs="?",
        help="where to write it; a folder keeps the object's name (default: standard output)",
    )
    command.add_argument("--force", action="store_true", help="replace a file that has this name")
    arguments.add_storage(command, "reads")
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    uri: str = options.uri
    file: Path | None = options.file
    storage = _open(uri, options.storage)
    source = _find(storage, uri)
    if file and (file.is_dir() or str(file).endswith("/")):
        file /= source.uri.rstrip("/").rpartition("/")[2]
    if file and file.exists() and not options.force:
        raise ConfigurationError(
            f"{file} already exists. Nothing was copied", "choose another name, or add --force"
        )
    with storage.open(source) as stream:
        if file is None:
            _print(stream.blocks(), source)
        else:
            replace_file(file, with_progress(source.uri, source.size, stream.blocks()))
            say(f"Copied {source.uri} to {file}, {source.size:,} bytes.")
    return 0


def _open(uri: str, connection: str) -> ObjectStorage:
    if uri.startswith(_GCS):
        return access.input_storage(connection)
    if "://" in uri:
        raise ConfigurationError(
            f"{uri} is not an object. Nothing was copied", "write gs://BUCKET/NAME or a path"
        )
    return open_local()


def _find(storage: ObjectStorage, uri: str) -> SourceObject:
    """The one object of a URI.

    :raises ConfigurationError: it does not exist, or there are several.
    """
    (named,) = storage.look_up([uri])  # of exactly this name, whatever it means as a wildcard
    found = [named] if named else storage.list(uri)
    if len(found) == 1:
        return found[0]
    several = found or ([] if has_wildcard(uri) else storage.list_below(uri))
    if not several:
        raise ConfigurationError(f"{uri} does not exist. Nothing was copied.")
    names = ", ".join(each.uri for each in several[:_SHOWN]) + (", ..." if len(several) > _SHOWN else "")
    count = count_of(len(several), "object")
    raise ConfigurationError(f"{uri} has {count}: {names}. Nothing was copied", "name one of them")


def _print(blocks: Iterable[bytes], source: SourceObject) -> None:
    """Write the content to standard output. Progress would be in the middle of it on a terminal."""
    is_shown = sys.stdout.isatty()
    for block in blocks if is_shown else with_progress(source.uri, source.size, blocks):
        sys.stdout.buffer.write(block)
