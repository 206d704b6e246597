"""`ObjectStorage`, which lists, opens, reads and writes objects of an fsspec file system."""

from __future__ import annotations

import builtins
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from vertex_batch.errors import BucketMissingError, InputMissingError, InputUnusableError, count_of
from vertex_batch.storage.faults import named
from vertex_batch.storage.listing import (
    bucket_exists,
    bucket_of,
    has_wildcard,
    is_folder,
    list_below,
    list_folders,
    list_objects,
    literal_wildcard_problem,
    look_up,
    path_of,
)
from vertex_batch.storage.objects import SourceObject
from vertex_batch.storage.streams import REQUESTS_AT_ONCE, ByteStream, ObjectReader, read_each

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

DEFAULT_CONN_ID = "google_cloud_default"
BIGQUERY_SCHEME = "bq://"
_WRITE_BYTES = 8 << 20
_Result = TypeVar("_Result")


class ObjectStorage:
    """The objects that one connection can access. It lists an input once and remembers the result.

    :param fs: an fsspec file system.
    :param conn_id: the connection that it was opened with, for messages.
    """

    def __init__(self, fs: AbstractFileSystem, conn_id: str = DEFAULT_CONN_ID) -> None:
        quiet_libraries()
        self._fs, self._conn_id = fs, conn_id
        self._found: dict[tuple[str, ...], builtins.list[SourceObject]] = {}
        self._listed: dict[str, SourceObject] = {}

    @property
    def filesystem(self) -> AbstractFileSystem:
        return self._fs

    def find(self, uris: Iterable[str], *, again: bool = False) -> builtins.list[SourceObject]:
        """List and check inputs; see `check_inputs`. The same URIs are listed once.

        :param again: list them again.
        """
        key = tuple(uris)
        if again or key not in self._found:
            self._found[key] = check_inputs(self._fs, key, conn_id=self._conn_id)
            self._listed |= {each.uri: each for each in self._found[key]}
        return list(self._found[key])

    def list(self, uri: str) -> builtins.list[SourceObject]:
        """List the objects of a URI; empty if there are none."""
        with named(uri, self._conn_id):
            return list_objects(self._fs, uri)

    def list_below(self, folder: str) -> builtins.list[SourceObject]:
        """List all objects below a folder, at every depth."""
        with named(folder, self._conn_id):
            return list_below(self._fs, folder)

    def list_folders(self, pattern: str) -> dict[str, builtins.list[SourceObject]]:
        """List all objects below each folder that a wildcard matches; empty if it matches none."""
        with named(pattern, self._conn_id):
            return list_folders(self._fs, pattern)

    def check_output(self, uri: str, consequence: str = "Nothing was submitted") -> None:
        """Check the bucket of an output; see `check_output_bucket`."""
        check_output_bucket(self._fs, uri, consequence, conn_id=self._conn_id)

    def look_up(self, uris: Sequence[str]) -> Sequence[SourceObject | None]:
        """Look up objects by their literal names, several at once; None for each that does not exist."""

        def one(uri: str) -> SourceObject | None:
            with named(uri, self._conn_id):
                return look_up(self._fs, uri)

        return _all(one, uris)

    def open(self, source: str | SourceObject, start: int = 0, end: int | None = None) -> ObjectReader:
        """Open an object to read its bytes in order; use it as a context manager.

        :param source: as it was listed; a URI that was not listed is looked up first.
        :param start: the first byte to read.
        :param end: see `ObjectReader`.
        :raises InputMissingError: a URI that was not listed does not exist.
        :raises ObjectEncodedError: it is stored with a content encoding.
        """
        if isinstance(source, str):
            source = self._source(source)
        return ObjectReader(self._fs, source, start, end, conn_id=self._conn_id)

    def read_each(self, objects: Sequence[SourceObject]) -> Iterator[tuple[SourceObject, ByteStream]]:
        """Yield each object with its bytes, in order; see `streams.read_each`."""
        return read_each(self._fs, objects, self._conn_id)

    def write(self, uri: str, content: Iterable[bytes]) -> None:
        """Write an object completely or not at all.

        :raises StorageAccessError: the connection may not write to this URI.
        """
        with named(uri, self._conn_id, writes=True):
            if getattr(self._fs, "auto_mkdir", None) is False:  # a local folder; object stores have none
                self._fs.makedirs(uri.rpartition("/")[0], exist_ok=True)
            target = self._fs.open(uri, "wb", block_size=_WRITE_BYTES)
            try:
                for block in content:
                    target.write(block)
            except BaseException:
                _abandon(target)
                raise
            target.close()

    def create(self, uri: str, content: bytes) -> bool:
        """Write a small object unless it exists. Of several at the same time, one succeeds.

        :returns: whether it was written.
        :raises StorageAccessError: the connection may not write to this URI.
        """
        with named(uri, self._conn_id, writes=True):
            try:
                # `open(..., "xb")` of gcsfs replaces a small object. On a local disk this is not atomic.
                self._fs.pipe_file(path_of(self._fs, uri), content, mode="create")
            except FileExistsError:
                return False
        return True

    def age(self, uri: str) -> timedelta:
        """How long ago an object was written; 0 if it does not exist."""
        with named(uri, self._conn_id):
            try:
                written: datetime = self._fs.modified(path_of(self._fs, uri))
            except FileNotFoundError:
                return timedelta()
        return datetime.now(UTC) - written

    def read_small(self, uri: str) -> bytes | None:
        """Read a whole object that fits in memory; None if it does not exist."""
        (found,) = self.look_up([uri])
        if found is None:
            return None
        with self.open(found) as stream:
            return stream.read()

    def move(self, uri: str, to: str) -> None:
        """Give an object another name. One that has this name is replaced at once, never partly.

        :raises StorageAccessError: the connection may not write to one of them.
        """
        with named(to, self._conn_id, writes=True):
            self._fs.mv(path_of(self._fs, uri), path_of(self._fs, to))

    def copy(self, uri: str, to: str) -> None:
        """Copy an object, if it exists, to another name.

        :raises StorageAccessError: the connection may not write there.
        """
        with named(to, self._conn_id, writes=True), suppress(FileNotFoundError):
            self._fs.cp_file(path_of(self._fs, uri), path_of(self._fs, to))

    def remove(self, uri: str) -> None:
        """Remove an object, if it exists.

        :raises StorageAccessError: the connection may not remove it.
        """
        with named(uri, self._conn_id, writes=True), suppress(FileNotFoundError):
            self._fs.rm_file(path_of(self._fs, uri))

    def _source(self, uri: str) -> SourceObject:
        if uri not in self._listed:
            (found,) = self.look_up([uri])
            if found is None:
                raise InputMissingError({uri: "does not exist"})
            self._listed[uri] = found
        return self._listed[uri]


def check_inputs(
    fs: AbstractFileSystem, uris: Iterable[str], *, conn_id: str = DEFAULT_CONN_ID
) -> list[SourceObject]:
    """List every input; wildcards are expanded.

    ``bq://`` URIs are ignored.

    :param fs: an fsspec file system.
    :param conn_id: the connection that it was opened with, for messages.
    :raises BucketMissingError: one or more buckets do not exist.
    :raises InputMissingError: one or more inputs do not exist, match nothing or are empty; it names them all.
    :raises InputUnusableError: an object's name contains brackets, which Vertex would read as a wildcard.
    :raises StorageAccessError: the connection may not list or read them.
    :raises StorageUnavailableError: the object store failed; a retry may succeed.
    """
    wanted = [uri for uri in uris if not uri.startswith(BIGQUERY_SCHEME)]

    def look(uri: str) -> list[SourceObject]:
        with named(uri, conn_id):
            if (problem := literal_wildcard_problem(uri)) and look_up(fs, uri):
                raise InputUnusableError(uri, problem)
            return list_objects(fs, uri)

    found: list[SourceObject] = []
    missing: dict[str, str] = {}
    buckets: list[str] = []
    for uri, objects in zip(wanted, _all(look, wanted), strict=True):
        if any(item.size for item in objects):
            found += objects
        elif objects:
            missing[uri] = f"holds 0 bytes in {count_of(len(objects), 'object')}"
        else:
            with named(uri, conn_id):
                if bucket_exists(fs, uri):
                    missing[uri] = _why_nothing(fs, uri)
                else:
                    buckets.append(bucket_of(fs, uri))
    if buckets:
        raise BucketMissingError(list(dict.fromkeys(buckets)))
    if missing:
        raise InputMissingError(missing)
    return found


def check_output_bucket(
    fs: AbstractFileSystem,
    prefix: str,
    consequence: str = "Nothing was submitted",
    *,
    conn_id: str = DEFAULT_CONN_ID,
) -> None:
    """Check that the bucket of an output prefix exists. Vertex would accept the job and fail it later.

    :param consequence: what it means that it does not.
    :raises BucketMissingError: the bucket does not exist.
    """
    if prefix.startswith(BIGQUERY_SCHEME):
        return
    with named(prefix, conn_id):
        if not bucket_exists(fs, prefix):
            raise BucketMissingError([bucket_of(fs, prefix)], consequence)


def as_storage(store: ObjectStorage | Any) -> ObjectStorage:
    """Return an `ObjectStorage` unchanged, or wrap an fsspec file system."""
    return store if isinstance(store, ObjectStorage) else ObjectStorage(store)


def quiet_libraries() -> None:
    """Keep the libraries' own lines out of task logs and the terminal; their exceptions are enough."""
    logging.getLogger("fsspec").setLevel(logging.WARNING)  # a line for each object that is opened
    logging.getLogger("gcsfs").setLevel(logging.CRITICAL)  # each retry, with a traceback


def _all(look: Callable[[str], _Result], uris: Sequence[str]) -> builtins.list[_Result]:
    """Look up many URIs, several at once: each takes a request."""
    if len(uris) < 2:  # noqa: PLR2004 - one needs no threads
        return [look(uri) for uri in uris]
    with ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(uris)), "list") as pool:
        return list(pool.map(look, uris))


def _why_nothing(fs: AbstractFileSystem, uri: str) -> str:
    if has_wildcard(path_of(fs, uri)):
        return "matches no object"
    if uri.endswith("/") or is_folder(fs, uri):
        return f"is a folder; write {uri.rstrip('/')}/*.jsonl"
    return "does not exist"


def _abandon(target: Any) -> None:
    """Leave a write unfinished. Closing the file, as its destructor does, would commit a part of it."""
    with suppress(Exception):
        target.discard()
    with suppress(AttributeError):
        target.closed = True
