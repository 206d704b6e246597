"""The object store that holds a job's input and output, through Airflow's Google connection.

Vertex does not read the input with this connection but as its own service agent, so what is found here may
still be out of Google's reach; what is not found here would have become a failed job.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from vertex_batch.errors import (
    BucketMissingError,
    ConfigurationError,
    InputMissingError,
    InputUnusableError,
    StorageAccessError,
    StorageUnavailableError,
    VertexBatchError,
)
from vertex_batch.inputs import SourceObject, literal_wildcard_problem

DEFAULT_CONN_ID = "google_cloud_default"
BIGQUERY_SCHEME = "bq://"

# Of gsutil's wildcards, which Vertex takes.
_WILDCARDS = frozenset("*?[")
_HNS_SWITCH = "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"


def open_filesystem(gcp_conn_id: str = DEFAULT_CONN_ID) -> Any:
    """Open the object store of an Airflow Google connection, as an fsspec file system.

    It caches no listings: what another process wrote a moment ago is seen.
    """
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        # gcsfs asks Google's gRPC services what kind of bucket it has; an emulator has none.
        os.environ.setdefault(_HNS_SWITCH, "false")
        if os.environ[_HNS_SWITCH].lower() in {"true", "1"}:
            raise ConfigurationError(
                f"STORAGE_EMULATOR_HOST is set, and {_HNS_SWITCH} too: no emulator has what it asks for."
                f" Set {_HNS_SWITCH}=false."
            )
    from airflow.providers.google.cloud.fs.gcs import get_fs  # noqa: PLC0415 - takes seconds

    options: dict[str, Any] = {"use_listings_cache": False, "skip_instance_cache": True}
    return get_fs(gcp_conn_id, storage_options=options)


class InputStorage:
    """An object store with the inputs of a job, for a pre-flight.

    :param fs: an fsspec file system.
    :param conn_id: whose file system it is, for messages.
    """

    def __init__(self, fs: Any, conn_id: str = DEFAULT_CONN_ID) -> None:
        self._fs, self._conn_id = fs, conn_id

    @property
    def filesystem(self) -> Any:
        """The fsspec file system."""
        return self._fs

    def find(self, uris: Iterable[str]) -> list[SourceObject]:
        """See `check_inputs`."""
        return check_inputs(self._fs, uris, conn_id=self._conn_id)

    def check_output(self, uri: str) -> None:
        """See `check_output_bucket`."""
        check_output_bucket(self._fs, uri, conn_id=self._conn_id)

    def open(self, uri: str) -> Any:
        """Open an object to read its bytes, in order.

        :raises StorageAccessError: the connection may not read it.
        :raises StorageUnavailableError: the object store failed, or the object is gone.
        """
        try:
            return asking(uri, self._conn_id, lambda: self._fs.open(_path(self._fs, uri), "rb"))
        except FileNotFoundError as error:
            raise StorageUnavailableError(uri, "it was there a moment ago") from error


def check_inputs(fs: Any, uris: Iterable[str], *, conn_id: str = DEFAULT_CONN_ID) -> list[SourceObject]:
    """Look for every input, and return the objects that are there; wildcards are expanded.

    ``bq://`` URIs are not looked at, and not returned.

    :param fs: an fsspec file system.
    :param conn_id: whose file system it is, for messages.
    :raises BucketMissingError: one or more buckets do not exist.
    :raises InputMissingError: one or more inputs do not exist, match nothing or are empty: all are listed.
    :raises InputUnusableError: an object's name contains brackets, which Vertex would read as a wildcard.
    :raises StorageAccessError: the connection may not look.
    :raises StorageUnavailableError: the object store failed; a retry may succeed.
    """
    found: list[SourceObject] = []
    missing: dict[str, str] = {}
    buckets: list[str] = []
    for uri in uris:
        if uri.startswith(BIGQUERY_SCHEME):
            continue
        objects = asking(uri, conn_id, _find, fs, uri)
        if any(item.size for item in objects):
            found += objects
        elif objects:
            missing[uri] = f"holds 0 bytes in {len(objects)} object(s)"
        elif not asking(uri, conn_id, _bucket_exists, fs, uri):
            buckets.append(_bucket(fs, uri))
        else:
            missing[uri] = asking(uri, conn_id, _why_nothing, fs, uri)
    if buckets:
        raise BucketMissingError(list(dict.fromkeys(buckets)))
    if missing:
        raise InputMissingError(missing)
    return found


def check_output_bucket(fs: Any, prefix: str, *, conn_id: str = DEFAULT_CONN_ID) -> None:
    """See that the bucket of an output prefix exists. Vertex would accept the job and fail it later.

    :raises BucketMissingError: it does not.
    """
    if prefix.startswith(BIGQUERY_SCHEME):
        return
    if not asking(prefix, conn_id, _bucket_exists, fs, prefix):
        raise BucketMissingError([_bucket(fs, prefix)])


def asking(uri: str, conn_id: str, function: Any, *args: Any) -> Any:
    """Ask the object store, and say in our words what it refuses.

    :raises StorageAccessError: the connection may not.
    :raises StorageUnavailableError: the object store failed; a retry may succeed.
    """
    try:
        return function(*args)
    except (FileNotFoundError, VertexBatchError):
        raise
    except Exception as error:
        # gcsfs raises a bare OSError for 403, an error of its own for the rest, and aiohttp's as they come.
        text = str(error) or type(error).__name__
        code = getattr(error, "code", None)
        if isinstance(error, PermissionError) or text.startswith("Forbidden") or code in {401, 403}:
            raise StorageAccessError(uri, conn_id, text) from error
        raise StorageUnavailableError(uri, f"{type(error).__name__}: {text}") from error


def _find(fs: Any, uri: str) -> list[SourceObject]:
    path = _path(fs, uri)
    scheme = uri.split("://", 1)[0] + "://" if "://" in uri else ""
    if (problem := literal_wildcard_problem(uri)) and _file(fs, path):
        raise InputUnusableError(uri, problem)
    if _WILDCARDS & set(path):
        try:
            matches = fs.glob(path, detail=True)
        except FileNotFoundError:
            matches = {}
        return [
            _found(scheme + entry["name"], entry) for entry in matches.values() if entry["type"] == "file"
        ]
    entry = _file(fs, path)
    return [_found(uri, entry)] if entry else []


def _file(fs: Any, path: str) -> Mapping[str, Any] | None:
    """Return the object of exactly this name, if there is one."""
    try:
        entry: Mapping[str, Any] = fs.info(path)
    except FileNotFoundError:
        return None
    return entry if entry["type"] == "file" else None


def _found(uri: str, entry: Mapping[str, Any]) -> SourceObject:
    version = entry.get("generation") or entry.get("etag") or entry.get("mtime") or ""
    return SourceObject(uri, int(entry["size"]), str(version))


def _path(fs: Any, uri: str) -> str:
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    if "://" in uri and uri.split("://", 1)[0] not in protocols:
        raise ConfigurationError(
            f"{uri} is no input that can be read: write gs://BUCKET/OBJECT or bq://TABLE."
        )
    return str(fs._strip_protocol(uri))  # noqa: SLF001 - fsspec has no public name for it


def _bucket(fs: Any, uri: str) -> str:
    return _path(fs, uri).lstrip("/").split("/", 1)[0]


def _bucket_exists(fs: Any, uri: str) -> bool:
    if not hasattr(fs, "call"):
        return True  # only gcsfs has buckets
    try:
        # One object is asked for: reading the bucket itself takes a right that readers of objects lack.
        fs.call("GET", "b/{}/o", _bucket(fs, uri), maxResults=1)
    except FileNotFoundError:
        return False
    return True


def _why_nothing(fs: Any, uri: str) -> str:
    path = _path(fs, uri)
    if _WILDCARDS & set(path):
        return "matches no object"
    if uri.endswith("/") or fs.isdir(path):
        return f"is a folder; write {uri.rstrip('/')}/*.jsonl"
    return "does not exist"
